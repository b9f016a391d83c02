/**
 * Plays the audio of a recording: position, speed, and a part that ends or repeats.
 *
 * Emits CustomEvents: `time` (detail: the position in seconds) and `state` (detail: whether it plays).
 */
export class Player extends EventTarget {
  constructor() {
    super();
    this._audio = new Audio();
    this._audio.preservesPitch = true;
    this._audio.addEventListener("ended", () => this._reachEnd());
    this._audio.addEventListener("pause", () => this._emit("state", false));
    this._audio.addEventListener("play", () => this._emit("state", true));
    this.loop = false; // whether the part that is played repeats
    this.unload();
  }

  /** Forget the recording. */
  unload() {
    this._audio.pause();
    if (this._url) URL.revokeObjectURL(this._url);
    this._audio.removeAttribute("src");
    this._url = this._recording = this._part = null;
    this._length = this._offset = this._time = 0;
  }

  get playing() {
    return !this._audio.paused;
  }

  /** The position in seconds. */
  get time() {
    return this._audio.readyState ? this._audio.currentTime + this._offset : this._time;
  }

  set speed(factor) {
    this._audio.defaultPlaybackRate = this._audio.playbackRate = factor;
  }

  /** Play `recording` from `start` to `end` (seconds; default: its end); returns whether that audio is stored. */
  play(recording, start, end = null) {
    if (!recording.length || start < recording.from - 0.001 || start >= recording.duration) return false;
    this._load(recording, end ?? start);
    this._part = { start, end: end ?? recording.duration };
    this.seek(start);
    this._audio.play().then(() => this._tick(), () => {}); // rejected if it is paused before it starts
    return true;
  }

  /** Play on from the position, or from the start if it is at the end. */
  resume(recording, part = null) {
    const within = part && (this.time < part.start || this.time >= part.end - 0.05);
    const start = within ? part.start : this.time >= recording.duration - 0.05 ? recording.from : this.time;
    const played = this.play(recording, Math.max(start, recording.from), part?.end ?? null);
    if (played && part) this._part = part;
    return played;
  }

  pause() {
    this._audio.pause();
  }

  /** Go to `time` in seconds. */
  seek(time) {
    this._time = Math.max(0, time);
    this._audio.currentTime = Math.max(0, time - this._offset);
    this._emit("time", this._time);
  }

  /** Go to `time` in `recording`, which plays from there if it is playing. */
  seekIn(recording, time) {
    this._load(recording, time);
    this._part = null;
    this.seek(time);
  }

  /** Load the recording, if it is another one or has grown beyond what is loaded. */
  _load(recording, until) {
    const isLoaded = this._recording === recording && until * 16000 <= this._length;
    if (isLoaded && this._offset >= recording.from) return;
    const speed = this._audio.defaultPlaybackRate;
    this.unload();
    this._recording = recording;
    this._length = recording.length;
    this._offset = recording.from;
    this._url = URL.createObjectURL(recording.toWav());
    this._audio.src = this._url;
    this.speed = speed;
  }

  _tick() {
    if (!this.playing) return;
    if (this._part && this.time >= this._part.end) this._reachEnd();
    this._emit("time", this.time);
    requestAnimationFrame(() => this._tick());
  }

  _reachEnd() {
    if (this.loop && this._part) {
      this.seek(this._part.start);
      this._audio.play();
    } else this.pause();
  }

  _emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
