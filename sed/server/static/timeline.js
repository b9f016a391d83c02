/**
 * The timeline: a lane for each speaker, a colour for each emotion, pale and hatched while it may change.
 *
 * Emits CustomEvents: `choose` (detail: the segment, to be played), `select` (detail: the segment or null) and
 * `view` (detail: {start, span, duration, follow}, in seconds).
 */

import { clock } from "./segments.js";

const LANE = 46; // pixels
const BAR = 30;
const AXIS = 26;
const SPANS = [2, 3600 * 8]; // seconds, the closest and the widest view
const TICKS = [0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];

export class Timeline extends EventTarget {
  /** `box` holds the canvas and the tip; `palette` is that of palette.json. */
  constructor(box, palette) {
    super();
    this._box = box;
    this._canvas = box.querySelector("canvas");
    this._tip = box.querySelector(".tip");
    this._palette = palette;
    this._hatches = new Map();
    this._gutter = 74; // pixels for the speakers' names
    this.follow = true;
    this.clear();
    new ResizeObserver(() => this.draw()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this._listen();
  }

  clear() {
    this._segments = [];
    this._speakers = [];
    this._start = 0;
    this._span = 30;
    this._duration = 0;
    this._settled = 0;
    this._live = false;
    this._played = null;
    this._selected = null;
    this.draw();
  }

  /** Show these segments (ordered), of `duration` seconds of which `settled` are decided. */
  show(segments, speakers, { duration, settled, live }) {
    Object.assign(this, { _segments: segments, _speakers: speakers });
    Object.assign(this, { _duration: duration, _settled: settled, _live: live });
    if (this.follow) this._start = Math.max(0, duration - this._span * (live ? 0.92 : 1));
    this.draw();
  }

  /** Show where playback is (seconds), or null. */
  set played(time) {
    this._played = time;
    if (time !== null && (time < this._start || time > this._start + this._span)) this.scrollTo(time);
    this.draw();
  }

  get selected() {
    return this._segments.find((segment) => segment.id === this._selected) ?? null;
  }

  /** Mark a segment, and bring it into view. */
  select(id) {
    this._selected = id;
    const segment = this.selected;
    if (segment && (segment.start < this._start || segment.start > this._start + this._span * 0.95)) {
      this.scrollTo(Math.max(0, segment.start - this._span * 0.2));
    }
    this.draw();
    this._emit("select", segment);
  }

  zoom(factor, at = this._start + this._span / 2) {
    const span = Math.min(SPANS[1], Math.max(SPANS[0], this._span * factor));
    const start = this.follow && this._live ? this._duration - span * 0.92 : at - ((at - this._start) * span) / this._span;
    this._span = span;
    this._start = Math.max(0, start);
    this.draw();
  }

  /** Everything at once. */
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

  draw() {
    if (this._asked) return;
    this._asked = requestAnimationFrame(() => {
      this._asked = 0;
      this._paint();
      const { _start: start, _span: span, _duration: duration, follow } = this;
      this._emit("view", { start, span, duration, follow });
    });
  }

  _emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // Drawing

  _paint() {
    const style = getComputedStyle(this._box);
    const colour = (name) => style.getPropertyValue(name).trim();
    const lanes = Math.max(2, this._speakers.length);
    const height = lanes * LANE + AXIS + 8;
    const width = this._box.clientWidth;
    this._gutter = width < 500 ? 54 : 74;
    const scale = devicePixelRatio || 1;
    this._canvas.width = Math.round(width * scale);
    this._canvas.height = Math.round(height * scale);
    this._canvas.style.height = `${height}px`;
    const c = this._canvas.getContext("2d");
    c.scale(scale, scale);
    this._x = (time) => this._gutter + ((time - this._start) / this._span) * (width - this._gutter);
    c.font = `13px ${style.fontFamily}`;
    c.textBaseline = "middle";

    if (!this._duration) return; // the box says what to do
    for (let lane = 0; lane < lanes; lane++) {
      c.fillStyle = colour("--lane");
      c.beginPath();
      c.roundRect(this._gutter, lane * LANE + (LANE - BAR) / 2, width - this._gutter, BAR, 6);
      c.fill();
      c.fillStyle = colour("--soft");
      c.fillText(this._speakers[lane] ?? "", 2, lane * LANE + LANE / 2, this._gutter - 8);
    }
    c.save();
    c.beginPath();
    c.rect(this._gutter, 0, width - this._gutter, height);
    c.clip();
    this._paintAxis(c, lanes * LANE, width, colour);
    const last = this._start + this._span;
    for (const segment of this._segments) {
      if (segment.end >= this._start && segment.start <= last) this._paintSegment(c, segment, colour, scale);
    }
    if (this._live) this._paintMark(c, this._duration, lanes * LANE, colour("--soft"), 1);
    if (this._played !== null) this._paintMark(c, this._played, lanes * LANE, colour("--accent"), 2);
    c.restore();
  }

  _paintAxis(c, top, width, colour) {
    const tick = TICKS.find((t) => (t / this._span) * (width - this._gutter) > 64) ?? 7200;
    c.textAlign = "center";
    for (let n = Math.ceil(this._start / tick); n * tick <= this._start + this._span; n++) {
      const x = this._x(n * tick);
      c.fillStyle = colour("--line");
      c.fillRect(Math.round(x), 0, 1, top + 4);
      c.fillStyle = colour("--soft");
      if (x > this._gutter + 14 && x < width - 14) c.fillText(clock(n * tick, tick < 1 ? 1 : 0), x, top + 16);
    }
    c.textAlign = "left";
  }

  _paintSegment(c, segment, colour, scale) {
    const lane = Math.max(0, this._speakers.indexOf(segment.speaker ?? "?"));
    const x = this._x(segment.start);
    const width = Math.max(2, this._x(segment.end) - x - 1);
    const y = lane * LANE + (LANE - BAR) / 2;
    const { colour: fill, ink } = this._palette.emotions[segment.emotion] ?? this._palette.other;
    c.beginPath();
    c.roundRect(x, y, width, BAR, Math.min(6, width / 2));
    if (segment.final) {
      c.fillStyle = fill;
      c.fill();
    } else {
      c.globalAlpha = 0.32;
      c.fillStyle = fill;
      c.fill();
      c.globalAlpha = 0.75;
      c.fillStyle = this._hatch(c, fill, scale);
      c.fill();
      c.globalAlpha = 1;
    }
    if (segment.final) {
      c.lineWidth = 1;
      c.strokeStyle = colour("--edge");
      c.stroke();
    }
    if (segment.id === this._selected) {
      c.lineWidth = 2.5;
      c.strokeStyle = colour("--accent");
      c.stroke();
    }
    const left = Math.max(x, this._gutter) + 7; // the word stays in sight while its segment scrolls out
    const room = x + width - left - 5;
    if (segment.emotion && c.measureText(segment.emotion).width <= room) {
      c.fillStyle = segment.final ? ink : colour("--text");
      c.fillText(segment.emotion, left, y + BAR / 2 + 0.5);
    }
  }

  _paintMark(c, time, height, colour, width) {
    c.fillStyle = colour;
    c.fillRect(this._x(time) - width / 2, 2, width, height - 2);
  }

  _hatch(c, fill, scale) {
    const key = `${fill}@${scale}`;
    if (!this._hatches.has(key)) {
      const tile = new OffscreenCanvas(8 * scale, 8 * scale);
      const t = tile.getContext("2d");
      t.scale(scale, scale);
      t.strokeStyle = fill;
      t.lineWidth = 2;
      t.beginPath();
      for (const shift of [-8, 0, 8]) {
        t.moveTo(shift, 8);
        t.lineTo(shift + 8, 0);
      }
      t.stroke();
      const pattern = c.createPattern(tile, "repeat");
      pattern.setTransform(new DOMMatrix().scale(1 / scale));
      this._hatches.set(key, pattern);
    }
    return this._hatches.get(key);
  }

  // Input

  _listen() {
    const box = this._box;
    const pointers = new Map();
    let moved = 0;
    box.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      pointers.set(event.pointerId, event);
      moved = 0;
    });
    box.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return this._hover(event);
      const width = box.clientWidth - this._gutter;
      if (pointers.size === 2) {
        const other = [...pointers.values()].find((p) => p.pointerId !== event.pointerId);
        const apart = Math.abs(before.clientX - other.clientX) / Math.max(20, Math.abs(event.clientX - other.clientX));
        this.zoom(Math.min(2, Math.max(0.5, apart)), this._time((event.clientX + other.clientX) / 2));
        moved = 99;
      } else {
        moved += Math.abs(event.clientX - before.clientX);
        if (moved > 5) {
          box.setPointerCapture(event.pointerId);
          this.scrollTo(this._start - ((event.clientX - before.clientX) / width) * this._span);
        }
      }
      pointers.set(event.pointerId, event);
    });
    const lift = (event) => {
      if (pointers.delete(event.pointerId) && event.type === "pointerup" && moved <= 5) this._click(event);
    };
    for (const name of ["pointerup", "pointercancel"]) box.addEventListener(name, lift);
    box.addEventListener("pointerleave", () => (this._tip.hidden = true));
    box.addEventListener("wheel", (event) => this._wheel(event), { passive: false });
    box.addEventListener("keydown", (event) => this._key(event));
  }

  _time(clientX) {
    const { left, width } = this._box.getBoundingClientRect();
    return this._start + ((clientX - left - this._gutter) / (width - this._gutter)) * this._span;
  }

  _at(event) {
    const lane = Math.floor((event.clientY - this._box.getBoundingClientRect().top) / LANE);
    const time = this._time(event.clientX);
    return this._segments.findLast(
      (s) => s.start <= time && time < s.end && this._speakers.indexOf(s.speaker ?? "?") === lane,
    );
  }

  _click(event) {
    const segment = this._at(event);
    this.select(segment?.id ?? null);
    if (segment) this._emit("choose", segment);
  }

  _hover(event) {
    const segment = this._at(event);
    this._tip.hidden = !segment;
    this._box.style.cursor = segment ? "pointer" : "grab";
    if (!segment) return;
    this._tip.textContent = describe(segment);
    const box = this._box.getBoundingClientRect();
    const x = Math.min(event.clientX - box.left + 12, box.width - this._tip.offsetWidth - 4);
    this._tip.style.left = `${Math.max(0, x)}px`;
    this._tip.style.top = `${event.clientY - box.top + 16}px`;
  }

  _wheel(event) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(Math.exp(event.deltaY / 200), this._time(event.clientX));
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
      event.preventDefault();
      const width = this._box.clientWidth - this._gutter;
      this.scrollTo(this._start + ((event.deltaX || event.deltaY) / width) * this._span);
    }
  }

  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const place = this._segments.findIndex((segment) => segment.id === this._selected);
    const last = this._segments.length - 1;
    const go = (to) => this._segments[to] && this.select(this._segments[Math.max(0, to)].id);
    const visible = this._segments.findIndex((segment) => segment.end > this._start);
    const actions = {
      ArrowRight: () => go(place < 0 ? visible : Math.min(last, place + 1)),
      ArrowLeft: () => go(place < 0 ? visible : Math.max(0, place - 1)),
      Home: () => go(0),
      End: () => go(last),
      Enter: () => this.selected && this._emit("choose", this.selected),
      " ": () => this.selected && this._emit("choose", this.selected),
      "+": () => this.zoom(1 / 1.5),
      "=": () => this.zoom(1 / 1.5),
      "-": () => this.zoom(1.5),
      Escape: () => this._emit("choose", null),
    };
    if (actions[event.key]) {
      event.preventDefault();
      actions[event.key]();
    }
  }
}

/** A segment in words. */
export function describe({ start, end, speaker, emotion, confidence, final }) {
  const sure = confidence === undefined ? "" : `, ${Math.round(confidence * 100)} %`;
  const state = final ? "" : ", may still change";
  return `${speaker ?? "someone"}, ${emotion ?? "unknown"}${sure}, ${clock(start, 1)} to ${clock(end, 1)}${state}`;
}
