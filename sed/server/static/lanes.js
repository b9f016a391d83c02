/** Draws the timeline on a canvas: the waveform, one row per speaker, one colour per emotion, and a time axis. */

import { curvesOf, isCrowded, stacked } from "./curves.js";
import { clock } from "./segments.js";

const LANE = 46; // pixels
const BAR = 30;
const AXIS = 26;
const WAVE = 44; // height of the waveform
const CURVE = 36; // height of the curves of a row
const MIN_CURVE = 0.25; // the share of the time that a speaker talks, at least, at the full height of the curves
const THIN = 4; // width in pixels below which a segment is drawn without edge and round corners
const NARROW = 500; // width in pixels below which the column of speaker names is narrower
const TICKS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600]; // seconds

export class Lanes {
  /** `box` has the styles and contains the canvas; `palette` is the content of palette.json. */
  constructor(box, palette) {
    this._box = box;
    this._canvas = box.querySelector("canvas");
    this._palette = palette;
    this._hatches = new Map();
  }

  /** The time in seconds at `x` pixels from the left of the box. */
  timeAt(x, { start, span }) {
    return start + ((x - this._gutter) / this.width) * span;
  }

  /** The index of the speaker's row at `y` pixels from the top of the box; negative in the waveform. */
  laneAt(y) {
    return Math.floor((y - WAVE) / LANE);
  }

  /** Width of the time range in pixels. */
  get width() {
    return Math.max(1, this._box.clientWidth - this._gutter);
  }

  get _gutter() {
    return this._box.clientWidth < NARROW ? 54 : 74; // pixels for the speakers' names
  }

  /** Where a segment is, in pixels from the left and the top of the box; as much of it as is in view. */
  placeOf({ start, end, speaker }, view) {
    const [first, last] = [start, end].map((t) => this._gutter + ((t - view.start) / view.span) * this.width);
    const left = Math.max(this._gutter, first);
    const top = WAVE + Math.max(0, view.speakers.indexOf(speaker ?? "?")) * LANE + (LANE - BAR) / 2;
    return { left, top, width: Math.max(2, last - left), height: BAR };
  }

  /**
   * Draw `view`: {segments, speakers, labels, recording, start, span, duration, live, played, selected, part}; times are
   * in seconds, `played` is the playback position or null, `selected` the id of the selected segment, `part` the
   * selected part {start, end} or null.
   */
  paint(view) {
    const style = getComputedStyle(this._box);
    const colour = (name) => style.getPropertyValue(name).trim();
    const lanes = Math.max(2, view.speakers.length);
    const height = WAVE + lanes * LANE + AXIS + 8;
    const scale = devicePixelRatio || 1;
    this._canvas.width = Math.round(this._box.clientWidth * scale);
    this._canvas.height = Math.round(height * scale);
    this._canvas.style.height = `${height}px`;
    if (!view.duration) return; // the box shows instructions
    const c = this._canvas.getContext("2d");
    c.scale(scale, scale);
    c.font = `13px ${style.fontFamily}`;
    c.textBaseline = "middle";
    const x = (time) => this._gutter + ((time - view.start) / view.span) * this.width;

    c.save();
    c.beginPath();
    c.rect(this._gutter, 0, this.width, WAVE);
    c.clip();
    this._paintWave(c, view, colour);
    c.restore();
    c.translate(0, WAVE);
    this._paintLanes(c, view, lanes, colour);
    c.save();
    c.beginPath();
    c.rect(this._gutter, -WAVE, this.width, height);
    c.clip();
    this._paintAxis(c, view, x, lanes * LANE, colour);
    if (isCrowded(view.segments, view, this.width, view.speakers.length)) this._paintCurves(c, view, x, colour, scale);
    else this._paintSegments(c, view, x, colour, scale);
    if (view.part) this._paintPart(c, view.part, x, lanes * LANE, colour);
    if (view.live) paintMark(c, x(view.duration), lanes * LANE, colour("--soft"), 1);
    if (view.played !== null) paintMark(c, x(view.played), lanes * LANE, colour("--accent"), 2);
    c.restore();
  }

  _paintWave(c, { recording, start, span }, colour) {
    const perPixel = span / this.width;
    c.fillStyle = colour("--wave");
    for (let n = 0; n < this.width; n += 2) {
      const time = start + n * perPixel;
      if (time > recording.duration) break;
      const height = Math.max(1, Math.sqrt(recording.peak(time, time + 2 * perPixel)) * (WAVE - 10));
      c.fillRect(this._gutter + n, (WAVE - height) / 2 - 1, 1.3, height);
    }
  }

  _paintSegments(c, view, x, colour, scale) {
    for (const segment of view.segments) {
      const visible = segment.end >= view.start && segment.start <= view.start + view.span;
      if (visible) this._paintSegment(c, view, segment, x, colour, scale);
    }
  }

  /** Curves of every speaker, in one scale: the tallest reaches the top of its row. */
  _paintCurves(c, view, x, colour, scale) {
    const lanes = view.speakers.map((speaker) => {
      const own = view.segments.filter((segment) => (segment.speaker ?? "?") === speaker);
      return stacked(curvesOf(own, view, this.width), view.labels);
    });
    const most = Math.max(MIN_CURVE, ...lanes.map(({ most: height }) => height));
    lanes.forEach(({ step, layers }, lane) => {
      const bottom = lane * LANE + (LANE + BAR) / 2;
      for (const { emotion, base, top } of layers) {
        const height = (value) => bottom - (value / most) * CURVE;
        this._paintArea(c, base.map(height), top.map(height), step, this._look(emotion).colour, colour("--card"));
      }
    });
    const selected = view.segments.find((segment) => segment.id === view.selected);
    if (selected) this._paintSegment(c, view, selected, x, colour, scale);
  }

  _paintArea(c, base, top, step, fill, edge) {
    const left = this._gutter;
    c.beginPath();
    c.moveTo(left, base[0]);
    for (let n = 0; n < top.length; n++) c.lineTo(left + n * step, top[n]);
    for (let n = top.length - 1; n >= 0; n--) c.lineTo(left + n * step, base[n]);
    c.fillStyle = fill;
    c.fill();
    c.strokeStyle = edge;
    c.lineWidth = 0.75;
    c.stroke();
  }

  _paintPart(c, { start, end }, x, height, colour) {
    c.globalAlpha = 0.16;
    c.fillStyle = colour("--accent");
    c.fillRect(x(start), -WAVE, x(end) - x(start), height + WAVE);
    c.globalAlpha = 1;
    for (const time of [start, end]) paintMark(c, x(time), height, colour("--accent"), 1);
  }

  _look(emotion) {
    return this._palette.emotions[emotion] ?? this._palette.other;
  }

  _paintLanes(c, { speakers }, lanes, colour) {
    for (let lane = 0; lane < lanes; lane++) {
      c.fillStyle = colour("--lane");
      c.beginPath();
      c.roundRect(this._gutter, lane * LANE + (LANE - BAR) / 2, this.width, BAR, 6);
      c.fill();
      c.fillStyle = colour("--soft");
      c.fillText(shortened(c, speakers[lane] ?? "", this._gutter - 10), 2, lane * LANE + LANE / 2);
    }
  }

  _paintAxis(c, { start, span }, x, top, colour) {
    const tick = TICKS.find((t) => (t / span) * this.width > 64) ?? 7200;
    c.textAlign = "center";
    for (let n = Math.ceil(start / tick); n * tick <= start + span; n++) {
      const place = x(n * tick);
      c.fillStyle = colour("--line");
      c.fillRect(Math.round(place), 0, 1, top + 4);
      c.fillStyle = colour("--soft");
      const fits = place > this._gutter + 14 && place < this._gutter + this.width - 14;
      if (fits) c.fillText(clock(n * tick, tick < 1 ? 1 : 0), place, top + 16);
    }
    c.textAlign = "left";
  }

  _paintSegment(c, view, segment, x, colour, scale) {
    const lane = Math.max(0, view.speakers.indexOf(segment.speaker ?? "?"));
    const left = x(segment.start);
    const width = Math.max(2, x(segment.end) - left - 1);
    const y = lane * LANE + (LANE - BAR) / 2;
    const { colour: fill, ink } = this._look(segment.emotion);
    if (width < THIN && segment.final && segment.id !== view.selected) {
      c.fillStyle = fill; // fast, because thousands of them may be visible
      c.fillRect(left, y, width, BAR);
      return;
    }
    c.beginPath();
    c.roundRect(left, y, width, BAR, Math.min(6, width / 2));
    if (segment.final) {
      c.fillStyle = fill;
      c.fill();
      c.lineWidth = 1;
      c.strokeStyle = colour("--edge");
      c.stroke();
    } else {
      c.globalAlpha = 0.32;
      c.fillStyle = fill;
      c.fill();
      c.globalAlpha = 0.75;
      c.fillStyle = this._hatch(c, fill, scale);
      c.fill();
      c.globalAlpha = 1;
    }
    if (segment.id === view.selected) {
      c.lineWidth = 2.5;
      c.strokeStyle = colour("--accent");
      c.stroke();
    }
    const word = Math.max(left, this._gutter) + 7; // stays visible while its segment scrolls out
    const room = left + width - word - 5;
    if (segment.emotion && room > BAR / 2 && c.measureText(segment.emotion).width <= room) {
      if (!segment.final) paintPlate(c, word, y, c.measureText(segment.emotion).width, colour("--card"));
      c.fillStyle = segment.final ? ink : colour("--text");
      c.fillText(segment.emotion, word, y + BAR / 2 + 0.5);
    }
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
}

/** A plain ground for a word on stripes. */
function paintPlate(c, left, top, width, fill) {
  c.fillStyle = fill;
  c.beginPath();
  c.roundRect(left - 4, top + 6, width + 8, BAR - 12, 4);
  c.fill();
}

/** `text`, or as much of it as fits into `room` pixels. */
function shortened(c, text, room) {
  if (c.measureText(text).width <= room) return text;
  let length = text.length - 1;
  while (length > 1 && c.measureText(`${text.slice(0, length)}…`).width > room) length -= 1;
  return `${text.slice(0, length)}…`;
}

function paintMark(c, place, height, colour, width) {
  c.fillStyle = colour;
  c.fillRect(place - width / 2, -WAVE + 2, width, height + WAVE - 2);
}
