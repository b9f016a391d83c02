/**
 * The timeline: its segments, the visible time range and the selected segment.
 *
 * Emits CustomEvents: `choose` (detail: the segment to play, or null to stop), `select` (detail: the segment or
 * null) and `view` (detail: {start, span, duration, follow}, in seconds).
 */

import { addControls } from "./gestures.js";
import { Lanes } from "./lanes.js";

const SPANS = [2, 3600 * 8]; // seconds, the closest and the widest view
const NOW = 0.92; // position of the current time in follow mode, as a fraction of the width

export class Timeline extends EventTarget {
  /** `box` contains the canvas and the tooltip; `palette` is the content of palette.json. */
  constructor(box, palette) {
    super();
    this._lanes = new Lanes(box, palette);
    this.follow = true;
    this.clear();
    new ResizeObserver(() => this.draw()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
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
    this.draw();
  }

  /** Show these segments (sorted) of a recording of `duration` seconds; `live`: it is still growing. */
  show(segments, speakers, { duration, live }) {
    this.segments = segments;
    Object.assign(this, { _speakers: speakers, _duration: duration, _live: live });
    if (this.follow) this._start = Math.max(0, duration - this._span * (live ? NOW : 1));
    this.draw();
  }

  /** The playback position in seconds, or null. */
  set played(time) {
    this._played = time;
    if (time !== null && (time < this._start || time > this._start + this._span)) this.scrollTo(time);
    this.draw();
  }

  get selected() {
    return this.segments.find((segment) => segment.id === this._selected) ?? null;
  }

  /** The first visible segment. */
  get first() {
    return this.segments.find((segment) => segment.end > this._start) ?? null;
  }

  /** Select a segment, and scroll it into view. */
  select(id) {
    this._selected = id;
    const segment = this.selected;
    if (segment && (segment.start < this._start || segment.start > this._start + this._span * 0.95)) {
      this.scrollTo(Math.max(0, segment.start - this._span * 0.2));
    }
    this.draw();
    this.emit("select", segment);
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

  /** The segment at a position in the box, in pixels; the later one if two overlap. */
  segmentAt(x, y) {
    const [time, lane] = [this.timeAt(x), this._lanes.laneAt(y)];
    return this.segments.findLast(
      (s) => s.start <= time && time < s.end && this._speakers.indexOf(s.speaker ?? "?") === lane,
    );
  }

  draw() {
    if (this._frameRequest) return;
    this._frameRequest = requestAnimationFrame(() => {
      this._frameRequest = 0;
      const { segments, _speakers: speakers, _live: live, _played: played, _selected: selected } = this;
      const { _start: start, _span: span, _duration: duration, follow } = this;
      this._lanes.paint({ segments, speakers, start, span, duration, live, played, selected });
      this.emit("view", { start, span, duration, follow });
    });
  }

  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
