/** The list of segments as a table of which only the visible rows exist, so that 10,000 segments scroll smoothly. */

import { clock } from "./segments.js";

const MARGIN = 8; // rows beyond the visible ones
const COLUMNS = 6;

/** Rows have one height. Exactly one button in the list is a tab stop: that of the selected row, or the first one. */
export class Table {
  /** `rows` is the tbody; `onPlay(segment)` is called by a row's button, `onSelect(id)` by a click and arrow keys. */
  constructor(rows, palette, { onPlay, onSelect }) {
    this._rows = rows;
    this._box = rows.closest(".tablebox");
    this._palette = palette;
    this._onPlay = onPlay;
    this._onSelect = onSelect;
    this._shown = new Map(); // id -> {row, segment}
    this._segments = [];
    this._spaces = [makeSpace(), makeSpace()];
    rows.before(this._spaces[0]);
    rows.after(this._spaces[1]);
    this._box.addEventListener("scroll", () => this._render());
    new ResizeObserver(() => this._render()).observe(this._box);
    this._box.addEventListener("keydown", (event) => this._key(event));
  }

  /** Show these segments (sorted); scroll to the selected one when it changes, or to the end in follow mode. */
  show(segments, selected, follow) {
    const atEnd = follow && this._box.scrollTop + this._box.clientHeight > this._box.scrollHeight - 40;
    const changed = selected !== this._selected;
    this._segments = segments;
    this._selected = selected;
    this._rows.parentElement.setAttribute("aria-rowcount", segments.length + 1);
    this._render();
    if (atEnd) this._box.scrollTop = this._box.scrollHeight;
    else if (changed) this._reveal(segments.findIndex((segment) => segment.id === selected));
  }

  /** Height of a row in pixels. */
  get _height() {
    return this._shown.values().next().value?.row.offsetHeight || 41;
  }

  get _head() {
    return this._rows.parentElement.tHead.offsetHeight;
  }

  /** Create and fill the rows that are visible. */
  _render() {
    const height = this._height;
    const first = Math.max(0, Math.floor(this._box.scrollTop / height) - MARGIN);
    const last = Math.min(this._segments.length, first + Math.ceil(this._box.clientHeight / height) + 2 * MARGIN);
    const visible = this._segments.slice(first, last);
    this._discard(new Set(visible.map((segment) => segment.id)));
    const stop = visible.some((segment) => segment.id === this._selected) ? this._selected : visible[0]?.id;
    let before = null;
    visible.forEach((segment, n) => {
      const row = this._rowOf(segment, first + n);
      row.cells[0].firstChild.tabIndex = segment.id === stop ? 0 : -1;
      const place = before ? before.nextSibling : this._rows.firstChild;
      if (place !== row) this._rows.insertBefore(row, place);
      before = row;
    });
    this._spaces[0].style.height = `${first * height}px`;
    this._spaces[1].style.height = `${(this._segments.length - last) * height}px`;
  }

  _discard(kept) {
    for (const [id, { row }] of this._shown) {
      if (kept.has(id)) continue;
      row.remove();
      this._shown.delete(id);
    }
  }

  _rowOf(segment, place) {
    let entry = this._shown.get(segment.id);
    if (!entry) this._shown.set(segment.id, (entry = { row: this._makeRow(segment.id) }));
    if (entry.segment !== segment) this._fill((entry.segment = segment), entry.row); // an update is a new object
    entry.row.setAttribute("aria-rowindex", place + 2);
    entry.row.classList.toggle("selected", segment.id === this._selected);
    return entry.row;
  }

  /** Scroll the list, not the page, until row number `place` is visible below the header. */
  _reveal(place) {
    if (place < 0) return;
    const [top, bottom] = [place * this._height, (place + 1) * this._height + this._head - this._box.clientHeight];
    this._box.scrollTop = Math.max(bottom, Math.min(top, this._box.scrollTop));
    this._render();
  }

  _key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (!step || !this._segments.length || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const focused = [...this._shown].find(([, { row }]) => row.contains(event.target))?.[0];
    const place = (id) => this._segments.findIndex((segment) => segment.id === id);
    const at = place(focused) < 0 ? place(this._selected) : place(focused);
    const to = Math.max(0, Math.min(this._segments.length - 1, at + step));
    this._onSelect(this._segments[to].id);
    this._selected = this._segments[to].id;
    this._reveal(to);
    this._shown.get(this._selected)?.row.cells[0].firstChild.focus({ preventScroll: true });
  }

  _makeRow(id) {
    const row = document.createElement("tr");
    const button = Object.assign(document.createElement("button"), { type: "button", className: "play" });
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      this._onPlay(this._shown.get(id).segment);
    });
    row.addEventListener("click", () => this._onSelect(id));
    row.insertCell().append(button);
    for (let n = 1; n < COLUMNS; n++) row.insertCell();
    return row;
  }

  _fill({ start, end, speaker, emotion, confidence, probabilities, final, checked }, row) {
    const [play, time, speakerCell, emotionCell, mix, confidenceCell] = row.cells;
    const name = `${speaker ?? "unknown speaker"}, ${emotion ?? "unknown"}, at ${clock(start, 1)}`;
    play.firstChild.setAttribute("aria-label", `Play ${name}`);
    time.textContent = `${clock(start, 1)} – ${clock(end, 1)}`;
    speakerCell.textContent = speaker ?? "–";
    emotionCell.replaceChildren(chip(this._palette, emotion));
    mix.className = "wide";
    mix.replaceChildren(bar(this._palette, Object.entries(probabilities ?? {})));
    confidenceCell.textContent = checked ? "checked" : confidence === undefined ? "–" : Math.round(confidence * 100);
    const percent = { className: "wide", textContent: " %" }; // narrow screens show the unit in the column header
    if (confidence !== undefined && !checked) {
      confidenceCell.append(Object.assign(document.createElement("span"), percent));
    }
    row.classList.toggle("provisional", !final);
    if (!final) {
      const note = Object.assign(document.createElement("span"), { className: "hidden", textContent: " (may change)" });
      emotionCell.append(note);
    }
  }
}

/** A body of the table without rows, whose height stands for rows that do not exist. */
function makeSpace() {
  const space = document.createElement("tbody");
  space.className = "space";
  space.setAttribute("role", "presentation");
  return space;
}

/** The name of an emotion on its colour. */
function chip(palette, emotion) {
  const { colour, ink } = palette.emotions[emotion] ?? palette.other;
  const element = Object.assign(document.createElement("span"), { className: "chip", textContent: emotion ?? "unknown" });
  element.style.setProperty("--paint", colour);
  element.style.setProperty("--ink", ink);
  return element;
}

/** A bar divided by the `shares` [emotion, share], in their order. */
export function bar(palette, shares) {
  const element = Object.assign(document.createElement("div"), { className: "stack", ariaHidden: "true" });
  element.hidden = !shares.length;
  for (const [emotion, share] of shares) {
    const part = document.createElement("span");
    part.style.cssText = `width: ${100 * share}%`;
    part.style.background = (palette.emotions[emotion] ?? palette.other).colour;
    element.append(part);
  }
  return element;
}

/** A small square in the emotion's colour. */
export function swatch(palette, emotion) {
  const square = Object.assign(document.createElement("span"), { className: "swatch", ariaHidden: "true" });
  square.style.background = (palette.emotions[emotion] ?? palette.other).colour;
  return square;
}
