/** The list of segments as a table: one row per segment, with a button that plays it. */

import { clock } from "./segments.js";

const MAX_ROWS = 500; // browsers are slow with the thousands of rows of a long recording

export class Table {
  /** `rows` is the tbody; `onPlay(segment)` is called by a row's button. */
  constructor(rows, palette, onPlay) {
    this._rows = rows;
    this._box = rows.closest(".tablebox");
    this._palette = palette;
    this._onPlay = onPlay;
    this._shown = new Map(); // id -> {row, segment}
  }

  /**
   * Show these segments (sorted), or at most `MAX_ROWS` of them: around the selected one, or the latest in follow
   * mode, or the first. Unchanged rows are not updated. Returns the number of rows.
   */
  show(all, selected, follow) {
    const segments = visibleSegments(all, selected, follow);
    const atEnd = follow && this._box.scrollTop + this._box.clientHeight > this._box.scrollHeight - 40;
    const ids = new Set(segments.map((segment) => segment.id));
    for (const [id, { row }] of this._shown) {
      if (ids.has(id)) continue;
      row.remove();
      this._shown.delete(id);
    }
    let before = null;
    for (const segment of segments) {
      let entry = this._shown.get(segment.id);
      if (!entry) this._shown.set(segment.id, (entry = { row: this._makeRow(segment.id) }));
      if (entry.segment !== segment) this._fill((entry.segment = segment), entry.row); // an update is a new object
      const place = before ? before.nextSibling : this._rows.firstChild;
      if (place !== entry.row) this._rows.insertBefore(entry.row, place);
      entry.row.classList.toggle("selected", segment.id === selected);
      before = entry.row;
    }
    if (atEnd) this._box.scrollTop = this._box.scrollHeight;
    if (selected !== this._selected && this._shown.has(selected)) this._reveal(this._shown.get(selected).row);
    this._selected = selected;
    return segments.length;
  }

  /** Scroll the list, not the page, until `row` is visible below the header. */
  _reveal(row) {
    const head = this._rows.parentElement.tHead.offsetHeight;
    const [top, bottom] = [row.offsetTop - head, row.offsetTop + row.offsetHeight - this._box.clientHeight];
    this._box.scrollTop = Math.max(bottom, Math.min(top, this._box.scrollTop));
  }

  _makeRow(id) {
    const row = document.createElement("tr");
    const button = Object.assign(document.createElement("button"), { type: "button", className: "play" });
    button.addEventListener("click", () => this._onPlay(this._shown.get(id).segment));
    row.insertCell().append(button);
    for (let n = 0; n < 4; n++) row.insertCell();
    return row;
  }

  _fill({ start, end, speaker, emotion, confidence, final }, row) {
    const [play, time, speakerCell, emotionCell, confidenceCell] = row.cells;
    const name = `${speaker ?? "unknown speaker"}, ${emotion ?? "unknown"}, at ${clock(start, 1)}`;
    play.firstChild.setAttribute("aria-label", `Play ${name}`);
    time.textContent = `${clock(start, 1)} – ${clock(end, 1)}`;
    speakerCell.textContent = speaker ?? "–";
    emotionCell.replaceChildren(swatch(this._palette, emotion), emotion ?? "–");
    confidenceCell.textContent = confidence === undefined ? "–" : Math.round(confidence * 100);
    const percent = { className: "wide", textContent: " %" }; // narrow screens show the unit in the column header
    if (confidence !== undefined) confidenceCell.append(Object.assign(document.createElement("span"), percent));
    row.classList.toggle("provisional", !final);
    if (!final) {
      const note = Object.assign(document.createElement("span"), { className: "hidden", textContent: " (may change)" });
      emotionCell.append(note);
    }
  }
}

function visibleSegments(segments, selected, follow) {
  const place = segments.findIndex((segment) => segment.id === selected);
  const wanted = place >= 0 ? place - MAX_ROWS / 2 : follow ? segments.length : 0;
  const first = Math.max(0, Math.min(wanted, segments.length - MAX_ROWS));
  return segments.slice(first, first + MAX_ROWS);
}

/** A small square in the emotion's colour. */
export function swatch(palette, emotion) {
  const square = Object.assign(document.createElement("span"), { className: "swatch", ariaHidden: "true" });
  square.style.background = (palette.emotions[emotion] ?? palette.other).colour;
  return square;
}
