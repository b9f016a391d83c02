/**
 * The timeline for keyboards and screen readers: a grid over the canvas with one row per speaker and one cell per segment
 * in view. One cell is a tab stop: that of the selected segment, or else of the first one.
 */

import { describe } from "./segments.js";

const MOST = 120; // cells, those around the tab stop: more would slow the page down, and no one steps through them

export class Cells {
  /** `grid` contains the rows; `onFocus(id)` is called when a cell gets the focus. */
  constructor(grid, onFocus) {
    this._grid = grid;
    this._cells = new Map(); // id -> {cell, segment}
    this._rows = [];
    this._key = null;
    grid.addEventListener("focusin", ({ target }) => target.dataset.id && onFocus(this._idOf(target)));
  }

  /** Whether one of the cells has the focus. */
  get hasFocus() {
    return this._grid.contains(document.activeElement);
  }

  focus() {
    this._cells.get(this._stop)?.cell.focus({ preventScroll: true });
  }

  /**
   * Show the segments in `view`, which are {segments, speakers, selected, words, start, span}, with `words` the summary of
   * each speaker; `placeOf(segment)` returns its {left, top, width, height} in pixels.
   */
  show(view, placeOf) {
    const { segments, speakers, selected, words, start, span } = view;
    const key = [start, span, selected, this._grid.clientWidth, words].join(" ");
    if (this._segments === segments && this._key === key) return;
    Object.assign(this, { _segments: segments, _key: key });
    const hadFocus = this.hasFocus;
    this._grid.hidden = !segments.length;
    const near = segments.filter((s) => s.end > start && s.start < start + span);
    const stop = segments.find((s) => s.id === selected) ?? near[0] ?? segments.findLast((s) => s.end <= start) ?? segments[0];
    this._stop = stop?.id;
    const at = near.indexOf(stop);
    const shown = at < 0 ? near.slice(0, MOST) : near.slice(Math.max(0, at - MOST / 2), at + MOST / 2);
    if (stop && at < 0) shown.push(stop);
    this._makeRows(speakers, words);
    this._discard(new Set(shown.map((s) => s.id)));
    const before = speakers.map(() => null);
    for (const segment of shown) {
      const lane = Math.max(0, speakers.indexOf(segment.speaker ?? "?"));
      const cell = this._cellOf(segment, placeOf(segment), selected);
      const place = (before[lane] ?? this._rows[lane].firstChild).nextSibling;
      if (place !== cell) this._rows[lane].insertBefore(cell, place);
      before[lane] = cell;
    }
    if (hadFocus && !this.hasFocus) this.focus();
  }

  _makeRows(speakers, words) {
    while (this._rows.length > speakers.length) this._rows.pop().remove();
    speakers.forEach((speaker, lane) => {
      this._rows[lane] ??= this._grid.appendChild(makeRow());
      const text = words[lane]?.startsWith(`${speaker}: `) ? words[lane] : speaker;
      const head = this._rows[lane].firstChild;
      if (head.textContent !== text) head.textContent = text;
    });
  }

  _discard(kept) {
    for (const [id, { cell }] of this._cells) {
      if (kept.has(id)) continue;
      this._cells.delete(id);
      cell.remove();
    }
  }

  _cellOf(segment, { left, top, width, height }, selected) {
    const { id } = segment;
    if (!this._cells.has(id)) this._cells.set(id, { cell: makeCell(id) });
    const entry = this._cells.get(id);
    const { cell } = entry;
    if (entry.segment !== segment) cell.setAttribute("aria-label", describe((entry.segment = segment)));
    cell.setAttribute("aria-selected", String(id === selected));
    cell.tabIndex = id === this._stop ? 0 : -1;
    cell.style.cssText = `left: ${left}px; top: ${top}px; width: ${width}px; height: ${height}px`;
    return cell;
  }

  _idOf(cell) {
    for (const [id, entry] of this._cells) if (entry.cell === cell) return id;
    return null;
  }
}

function makeRow() {
  const row = document.createElement("div");
  row.setAttribute("role", "row");
  const head = row.appendChild(document.createElement("span"));
  head.className = "hidden";
  head.setAttribute("role", "rowheader");
  return row;
}

function makeCell(id) {
  const cell = document.createElement("span");
  cell.className = "cell";
  cell.dataset.id = id;
  cell.setAttribute("role", "gridcell");
  return cell;
}
