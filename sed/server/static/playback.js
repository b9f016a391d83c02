/** The controls of playback: play and pause, position, speed, loop, and the selected part of the time. */

import { Player } from "./player.js";
import { clock } from "./segments.js";

const $ = (id) => document.getElementById(id);

export class Playback {
  /** `onProblem(text)` is called if audio that is to be played is not stored. */
  constructor(session, timeline, onProblem) {
    Object.assign(this, { _session: session, _timeline: timeline, _onProblem: onProblem, _player: new Player() });
    this._player.addEventListener("time", ({ detail }) => this._show(detail, this._player.playing));
    this._player.addEventListener("state", ({ detail }) => this._setPlaying(detail));
    $("play").addEventListener("click", () => this.toggle());
    $("loop").addEventListener("click", () => this.toggleLoop());
    $("speed").addEventListener("change", () => (this._player.speed = Number($("speed").value)));
    $("seek").addEventListener("input", () => this.seek(Number($("seek").value)));
    timeline.addEventListener("seek", ({ detail }) => this.seek(detail));
  }

  get playing() {
    return this._player.playing;
  }

  get time() {
    return this._player.time;
  }

  reset() {
    this._player.unload();
    this._timeline.showPlayed(null, false);
  }

  /** Show the controls if there is audio and nothing is recorded. */
  update() {
    const { recording, state, duration } = this._session;
    const usable = recording.length > 0 && state === "idle";
    $("transport").hidden = !usable;
    if (!usable) return;
    $("seek").min = recording.from;
    $("seek").max = duration;
    this._show(this._player.time, false);
  }

  /** Play a segment. */
  play({ start, end }) {
    if (this._player.play(this._session.recording, start, end)) return;
    this._onProblem("The audio of this segment is not stored in the page.");
  }

  playSelected() {
    if (this._timeline.selected) this.play(this._timeline.selected);
  }

  toggle() {
    if (this._player.playing) this._player.pause();
    else if (this._session.state === "idle") this._player.resume(this._session.recording, this._loopedPart());
  }

  /** Stop; when nothing plays, give up the selected part. */
  stop() {
    if (this._player.playing) this._player.pause();
    else this._timeline.part = null;
  }

  seek(time) {
    if (this._session.state !== "idle" || !this._session.recording.length) return;
    this._player.seekIn(this._session.recording, Math.min(time, this._session.duration));
  }

  toggleLoop() {
    this._player.loop = !this._player.loop;
    $("loop").setAttribute("aria-pressed", String(this._player.loop));
  }

  /** Set the `edge` ("start" or "end") of the selected part at the playhead. */
  markPart(edge) {
    const { duration } = this._session;
    const part = { ...(this._timeline.part ?? { start: 0, end: duration }), [edge]: this.time };
    this._timeline.part = part.end > part.start ? part : null;
  }

  /** What playing repeats: the selected part, or else the selected segment if the loop is on. */
  _loopedPart() {
    const { part, selected } = this._timeline;
    return part ?? (this._player.loop && selected ? { start: selected.start, end: selected.end } : null);
  }

  _show(time, follow) {
    const { state, recording, duration } = this._session;
    const shown = recording.length && (state === "idle" || this._player.playing) ? time : null;
    this._timeline.showPlayed(shown, follow);
    $("position").textContent = `${clock(time, 1)} / ${clock(duration)}`;
    $("seek").value = time;
    $("seek").ariaValueText = clock(time, 1);
  }

  _setPlaying(playing) {
    $("play").classList.toggle("pause", playing);
    $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    if (!playing && this._session.state !== "idle") this._timeline.showPlayed(null, false);
  }
}
