/** Correcting a finished result: the inspector, undo and redo, and the keys of timeline and list. */

import { Corrections } from "./corrections.js";
import { Inspector } from "./inspector.js";

const $ = (id) => document.getElementById(id);

/** Connects `session`, `timeline` and `playback`; `onChange(what)` is called after every correction. */
export class Editing {
  constructor({ session, timeline, playback, palette, onChange }) {
    Object.assign(this, { _session: session, _timeline: timeline, _playback: playback, _onChange: onChange });
    this._inspector = new Inspector(palette, this._actions());
    $("undo").addEventListener("click", () => this.corrections.undo());
    $("redo").addEventListener("click", () => this.corrections.redo());
    timeline.addEventListener("move", ({ detail: { id, start, end } }) => this._move(id, start, end));
    for (const box of [$("timeline"), document.querySelector(".tablebox")]) {
      box.addEventListener("keydown", (event) => this._key(event));
    }
    addEventListener("keydown", (event) => this._undoKey(event));
    this.reset();
  }

  /** Begin with the session's segments, without anything to undo. */
  reset() {
    this.corrections = new Corrections(this._session.segments);
    this.corrections.addEventListener("change", ({ detail }) => this._onChange(detail));
  }

  /** Whether the result can be corrected. */
  get enabled() {
    return this._session.state === "idle";
  }

  rename(from, to) {
    this.corrections.rename(from, to);
  }

  /** Show the state of the selected segment, and what can be undone. */
  update() {
    const { segments } = this._session;
    this._timeline.editable = this.enabled;
    const selected = this.enabled ? segments.get(this._timeline.selected?.id) : null;
    this._inspector.show(selected ?? null, segments.labels, segments.speakers());
    $("undo").disabled = !this.enabled || !this.corrections.canUndo;
    $("redo").disabled = !this.enabled || !this.corrections.canRedo;
  }

  _actions() {
    const withId = (action) => (...values) => {
      const { selected } = this._timeline;
      if (selected && this.enabled) action(selected, ...values);
    };
    this._do = {
      emotion: withId(({ id }, name) => this.corrections.setEmotion(id, name)),
      speaker: withId(({ id }, name) => name && this.corrections.setSpeaker(id, name)),
      times: withId(({ id }, start, end) => this._move(id, start, end)),
      confirm: withId(({ id }) => this.corrections.confirm(id)),
      join: withId(({ id }) => this.corrections.join(id)),
      split: withId(({ id, start, end }) => this._split(id, start, end)),
      remove: withId((segment) => this._remove(segment)),
      start: withId(({ id, end }) => this._move(id, this._playback.time, end)),
      end: withId(({ id, start }) => this._move(id, start, this._playback.time)),
    };
    return this._do;
  }

  _move(id, start, end) {
    if (Number.isFinite(start) && Number.isFinite(end)) this.corrections.move(id, start, end, this._session.duration);
  }

  /** Split at the playhead, or in the middle if the playhead is elsewhere. */
  _split(id, start, end) {
    const { time } = this._playback;
    const second = this.corrections.split(id, time > start && time < end ? time : (start + end) / 2);
    if (second !== undefined) this._timeline.select(second, this._session.segments.all());
  }

  _remove(segment) {
    const all = this._session.segments.all();
    const next = all[all.indexOf(segment) + 1] ?? all[all.indexOf(segment) - 1];
    this.corrections.remove(segment.id);
    this._timeline.select(next?.id ?? null, this._session.segments.all());
  }

  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const inList = event.target.matches(".play");
    const playback = this._playback;
    const actions = {
      Enter: inList ? null : () => playback.playSelected(),
      " ": inList ? null : () => playback.toggle(),
      Escape: () => playback.stop(),
      l: () => playback.toggleLoop(),
      i: () => playback.markPart("start"),
      o: () => playback.markPart("end"),
      c: this._do.confirm,
      s: this._do.split,
      j: this._do.join,
      Delete: this._do.remove,
      "[": this._do.start,
      "]": this._do.end,
      "?": () => $("keys").showModal(),
    };
    const label = this._session.segments.labels[Number(event.key) - 1];
    const action = label ? () => this._do.emotion(label) : actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  _undoKey(event) {
    if (!(event.ctrlKey || event.metaKey) || event.target.matches("input[type=text], input[type=search]")) return;
    const key = event.key.toLowerCase();
    if (!this.enabled || !["z", "y"].includes(key)) return;
    event.preventDefault();
    if (key === "y" || event.shiftKey) this.corrections.redo();
    else this.corrections.undo();
  }
}
