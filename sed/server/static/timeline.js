/**
 * The timeline: its segments, the visible time range, the selected segment and the selected part of the time.
 *
 * Emits CustomEvents: `choose` (detail: the segment to play, or null to stop), `select` (detail: the segment or
 * null), `seek` (detail: a time), `part` (detail: {start, end} or null), `move` (detail: {id, start, end}, new
 * boundaries of a segment) and `view` (detail: {start, span, duration, follow}). All times are in seconds.
 */

import { Cells } from "./cells.js";
import { addControls } from "./gestures.js";
import { Lanes } from "./lanes.js";

const SPANS = [2, 3600 * 8]; // seconds, the closest and the widest view
const GRIP = 6; // pixels on each side of a boundary by which it can be moved
const NOW = 0.92; // position of the current time in follow mode, as a fraction of the width

export class Timeline extends EventTarget {
  /** `box` contains the canvas and the tooltip; `palette` is the content of palette.json. */
  constructor(box, palette) {
    super();
    this._lanes = new Lanes(box, palette);
    this._cells = new Cells(box.querySelector(".cells"), (id) => id !== this._selected && this.select(id));
    this._box = box;
    this.follow = true;
    this.labels = [];
    this.editable = false; // whether boundaries can be moved
    this.clear();
    new ResizeObserver(() => this.draw()).observe(box);
    for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)", "(prefers-contrast: more)"]) {
      matchMedia(query).addEventListener("change", () => this.draw());
    }
    addControls(box, this);
  }

  clear() {
    this.segments = [];
    this._speakers = [];
    this._start = 0;
    this._span = 30;
    this._duration = 0;
    this._live = false;
    this._played = null;
    this._selected = null;
    this._part = null;
    this._moved = null; // a segment whose boundary is being moved, as it would be
    this._recording = null;
    this._words = [];
    this.draw();
  }

  /** The summary of each speaker in words, for screen readers. */
  set words(words) {
    this._words = words;
  }

  /** Whether the keyboard's focus is on a segment, which screen readers then read. */
  get hasFocus() {
    return this._cells.hasFocus;
  }

  /** Show these segments (sorted) of a `recording` of `duration` seconds; `live`: it is still growing. */
  show(segments, speakers, { duration, live, recording }) {
    this.segments = segments;
    this._recording = recording;
    Object.assign(this, { _speakers: speakers, _duration: duration, _live: live });
    if (this.follow) this._start = Math.max(0, duration - this._span * (live ? NOW : 1));
    this.draw();
  }

  /** Show the playback position in seconds, or none with null; `follow`: scroll to it if it is out of view. */
  showPlayed(time, follow) {
    this._played = time;
    if (follow && (time < this._start || time > this._start + this._span)) this.scrollTo(time);
    this.draw();
  }

  /** The selected part of the time, {start, end}, or null. */
  get part() {
    return this._part;
  }

  set part(part) {
    this._part = part;
    this.draw();
    this.emit("part", part);
  }

  /** The boundary of the selected segment at a position in pixels: "start", "end" or undefined. */
  edgeAt(x, y) {
    const segment = this.editable ? this.selected : null;
    if (!segment || this._laneOf(segment) !== this._lanes.laneAt(y)) return undefined;
    const distance = (time) => Math.abs(((time - this.timeAt(x)) / this._span) * this._lanes.width);
    if (distance(segment.end) <= GRIP) return "end";
    return distance(segment.start) <= GRIP ? "start" : undefined;
  }

  /** Show the selected segment with its `edge` at `time`. */
  dragEdge(edge, time) {
    this._moved = { ...this.selected, [edge]: time };
    this.draw();
  }

  /** Emit `move` for the boundary that was dragged. */
  dropEdge() {
    const { _moved: moved } = this;
    this._moved = null;
    if (moved && moved.end > moved.start) this.emit("move", { id: moved.id, start: moved.start, end: moved.end });
    this.draw();
  }

  get selected() {
    return this.segments.find((segment) => segment.id === this._selected) ?? null;
  }

  /** The first visible segment. */
  get first() {
    return this.segments.find((segment) => segment.end > this._start) ?? null;
  }

  /** Select a segment, and scroll it into view; `segments` are the new ones if they have just changed. */
  select(id, segments = this.segments) {
    this.segments = segments;
    this._selected = id;
    const segment = this.selected;
    if (segment && (segment.start < this._start || segment.start > this._start + this._span * 0.95)) {
      this.scrollTo(Math.max(0, segment.start - this._span * 0.2));
    }
    this._showCells();
    if (this._box.contains(document.activeElement)) this._cells.focus();
    this.draw();
    this.emit("select", segment);
  }

  /** The segment of the speaker `step` rows below that is closest to the selected one in time, or undefined. */
  across(step) {
    const from = this.selected ?? this.first;
    const lane = from ? this._laneOf(from) + step : -1;
    const middle = (s) => (s.start + s.end) / 2;
    const own = this.segments.filter((s) => this._laneOf(s) === lane);
    return own.sort((a, b) => Math.abs(middle(a) - middle(from)) - Math.abs(middle(b) - middle(from)))[0];
  }

  _showCells() {
    const { segments, _speakers: speakers, _selected: selected, _words: words, _start: start, _span: span } = this;
    const view = { segments, speakers, selected, words, start, span };
    this._cells.show(view, (segment) => this._lanes.placeOf(segment, view));
  }

  /** Scale the visible time range by `factor` around the time `at`. */
  zoom(factor, at = this._start + this._span / 2) {
    const span = Math.min(SPANS[1], Math.max(SPANS[0], this._span * factor));
    const following = this.follow && this._live;
    const start = following ? this._duration - span * NOW : at - ((at - this._start) * span) / this._span;
    this._span = span;
    this._start = Math.max(0, start);
    this.draw();
  }

  /** Show the whole recording. */
  fit() {
    this._span = Math.min(SPANS[1], Math.max(SPANS[0], this._duration));
    this._start = 0;
    this.draw();
  }

  scrollTo(start) {
    this.follow = false;
    this._start = Math.max(0, Math.min(start, Math.max(0, this._duration - this._span * 0.5)));
    this.draw();
  }

  /** Scroll by `pixels`. */
  scrollBy(pixels) {
    this.scrollTo(this._start + (pixels / this._lanes.width) * this._span);
  }

  /** The time in seconds at `x` pixels from the left of the box. */
  timeAt(x) {
    return this._lanes.timeAt(x, { start: this._start, span: this._span });
  }

  /** Whether a position in the box, in pixels, is in a speaker's row. */
  isInLane(y) {
    const lane = this._lanes.laneAt(y);
    return lane >= 0 && lane < Math.max(2, this._speakers.length);
  }

  _laneOf(segment) {
    return this._speakers.indexOf(segment.speaker ?? "?");
  }

  /** The segment at a position in the box, in pixels; the later one if two overlap. */
  segmentAt(x, y) {
    const [time, lane] = [this.timeAt(x), this._lanes.laneAt(y)];
    return this.segments.findLast(
      (s) => s.start <= time && time < s.end && this._laneOf(s) === lane,
    );
  }

  draw() {
    if (this._frameRequest) return;
    this._frameRequest = requestAnimationFrame(() => {
      this._frameRequest = 0;
      const { _speakers: speakers, _live: live, _played: played, _selected: selected, _moved: moved } = this;
      const { _start: start, _span: span, _duration: duration, _part: part, _recording: recording, follow, labels } = this;
      const segments = moved ? this.segments.map((s) => (s.id === moved.id ? moved : s)) : this.segments;
      const marks = { played, selected, part };
      this._lanes.paint({ segments, speakers, labels, recording, start, span, duration, live, ...marks });
      this._showCells();
      this.emit("view", { start, span, duration, follow });
    });
  }

  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
