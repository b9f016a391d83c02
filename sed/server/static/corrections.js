/** Corrections of a finished result by a person, each of which can be undone and redone. */

const MIN_SECONDS = 0.1; // shortest segment that a correction leaves
const TOUCH = 0.005; // seconds between two segments of a speaker that share a boundary

/**
 * Changes `segments`; emits `change` (detail: what was done, a phrase) after each correction, undo and redo.
 * A segment whose emotion a person has chosen or confirmed is `checked`, and has no confidence.
 */
export class Corrections extends EventTarget {
  constructor(segments) {
    super();
    this._segments = segments;
    this._done = [];
    this._undone = [];
  }

  get canUndo() {
    return this._done.length > 0;
  }

  get canRedo() {
    return this._undone.length > 0;
  }

  /** Give all segments of the speaker `from` to `to`; if `to` exists, the two are merged. */
  rename(from, to) {
    const own = this._segments.all().filter((s) => (s.speaker ?? "?") === from);
    const merged = this._segments.speakers().includes(to);
    this._apply(own.map((s) => [s.id, { ...s, speaker: to }]), merged ? `${from} merged into ${to}` : `${from} is ${to}`);
  }

  /** Give one segment to another speaker. */
  setSpeaker(id, speaker) {
    this._edit(id, { speaker }, `speaker ${speaker}`);
  }

  setEmotion(id, emotion) {
    this._edit(id, { emotion, confidence: undefined, checked: true }, `emotion ${emotion}`);
  }

  /** Confirm the emotion of a segment. */
  confirm(id) {
    this._edit(id, { checked: true }, "checked");
  }

  remove(id) {
    this._apply([[id, null]], "segment removed");
  }

  /** Divide a segment at `time`; returns the id of the second part, or undefined if a part would be too short. */
  split(id, time) {
    const segment = this._segments.get(id);
    if (!segment || time < segment.start + MIN_SECONDS || time > segment.end - MIN_SECONDS) return undefined;
    const second = this._segments.newId();
    const parts = [
      [id, { ...segment, end: time }],
      [second, { ...segment, id: second, start: time }],
    ];
    this._apply(parts, "segment split");
    return second;
  }

  /** Join a segment with the next one of its speaker; returns whether there is one. */
  join(id) {
    const segment = this._segments.get(id);
    const next = segment && this._neighbours(segment).next;
    if (!next) return false;
    const checked = segment.checked && next.checked && segment.emotion === next.emotion;
    const joined = { ...segment, end: next.end, probabilities: meanOf(segment, next), checked };
    joined.confidence = joined.probabilities?.[joined.emotion];
    this._apply([[id, joined], [next.id, null]], "segments joined");
    return true;
  }

  /**
   * Move the boundaries of a segment, within 0 to `duration`, up to its speaker's neighbours. A neighbour that
   * touches the boundary moves with it.
   */
  move(id, start, end, duration) {
    const segment = this._segments.get(id);
    if (!segment) return;
    const { previous, next } = this._neighbours(segment);
    const touches = { previous: touching(previous, segment), next: touching(segment, next) };
    const lowest = previous ? (touches.previous ? previous.start + MIN_SECONDS : previous.end) : 0;
    const highest = next ? (touches.next ? next.end - MIN_SECONDS : next.start) : Math.max(duration, segment.end);
    const first = clamp(start, lowest, segment.end - MIN_SECONDS);
    const last = clamp(end, first + MIN_SECONDS, highest);
    if (first === segment.start && last === segment.end) return;
    const changes = [[id, { ...segment, start: first, end: last }]];
    if (touches.previous && first !== segment.start) changes.push([previous.id, { ...previous, end: first }]);
    if (touches.next && last !== segment.end) changes.push([next.id, { ...next, start: last }]);
    this._apply(changes, "boundary moved");
  }

  undo() {
    const step = this._done.pop();
    if (!step) return;
    this._undone.push(step);
    for (const [id, before] of step.changes) this._segments.put(id, before);
    this._emit(`Undone: ${step.what}`);
  }

  redo() {
    const step = this._undone.pop();
    if (!step) return;
    this._done.push(step);
    for (const [id, , after] of step.changes) this._segments.put(id, after);
    this._emit(`Redone: ${step.what}`);
  }

  _edit(id, changes, what) {
    const segment = this._segments.get(id);
    if (segment) this._apply([[id, { ...segment, ...changes }]], what);
  }

  _apply(changes, what) {
    if (!changes.length) return;
    this._done.push({ what, changes: changes.map(([id, after]) => [id, this._segments.get(id) ?? null, after]) });
    this._undone = [];
    for (const [id, after] of changes) this._segments.put(id, after);
    this._emit(what);
  }

  _neighbours(segment) {
    const own = this._segments.all().filter((s) => s.speaker === segment.speaker);
    const place = own.indexOf(segment);
    return { previous: own[place - 1], next: own[place + 1] };
  }

  _emit(what) {
    this.dispatchEvent(new CustomEvent("change", { detail: what }));
  }
}

function touching(first, second) {
  return Boolean(first && second) && Math.abs(second.start - first.end) <= TOUCH;
}

function clamp(value, low, high) {
  return Math.max(low, Math.min(high, value));
}

/** The mean of the probabilities of two segments, weighted by their durations. */
function meanOf(a, b) {
  if (!a.probabilities || !b.probabilities) return undefined;
  const [first, second] = [a.end - a.start, b.end - b.start];
  const mean = ([name, p]) => [name, (p * first + (b.probabilities[name] ?? 0) * second) / (first + second)];
  return Object.fromEntries(Object.entries(a.probabilities).map(mean));
}
