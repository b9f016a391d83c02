/** One recording at a time: sends the microphone or a file to the server, and keeps the results. */

import { shownIn } from "./analysis.js";
import { convert, diarizeFile, SedError } from "./client.js";
import { Microphone } from "./microphone.js";
import { decodeFile, RATE, Recording } from "./recording.js";
import { clock, Segments } from "./segments.js";
import { connectTo, Uplink } from "./uplink.js";
import { problemOf, sentence, stem } from "./words.js";

const SHOWN_DELAY = 3; // seconds of delay, beyond the latency, from which on it is shown
const PUSHED = RATE; // samples of a file that are stored at once
const AHEAD = 20; // seconds of a file that are stored before they are processed
const SILENCE = -55; // decibels below which no probabilities are shown

/**
 * `state` is idle, connecting, live, finishing or analysing. `segments`, `recording`, `uri`, `duration` (seconds
 * processed, or of the file) are those of the latest recording.
 *
 * Emits CustomEvents with these details: `reset` (a new recording; earlier results are discarded), `state`, `change`
 * (segments have changed), `labels` (names), `final` (a segment that will not change), `moment` ({probabilities,
 * audible}), `level` (decibels), `delay` (seconds, or 0), `work` ({text, share} or null), `problem` (a sentence or
 * null), `found` (the first provisional segment of a whole file), `analysed` (number of its segments), `away` (whether the
 * server is, while recording goes on), `token` (a secret that was entered).
 */
export class Session extends EventTarget {
  /**
   * `askToken(refused)` asks the user for the server's secret; it resolves with the secret or undefined. `features()`
   * returns options of `SedStream.open`, such as `refine`.
   */
  constructor(askToken, token, features = () => ({})) {
    super();
    this._features = features;
    this._askToken = askToken;
    this._token = token;
    this._run = 0; // number of the latest recording; pending operations of earlier ones are ignored
    this.state = "idle";
    this._clear("recording");
  }

  /** Use another secret from now on. */
  setToken(token) {
    this._token = token;
  }

  /** Record from the microphone until `stop`. */
  async start(latency) {
    const run = this._reset(`live-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-")}`, "connecting");
    try {
      const microphone = await Microphone.open({
        onFrame: (frame) => run === this._run && this._record(frame), // not the last frames of an earlier recording
        onLost: () => this.stop("The microphone was disconnected. The results so far are kept."),
      });
      if (!this._isConnecting(run)) return void microphone.close(); // stopped meanwhile
      this._microphone = microphone;
      if (await this._connect(run, latency)) this._setState("live");
    } catch (error) {
      if (run === this._run) await this.stop(problemOf(error));
    }
  }

  /** Send a file like live audio, as fast as the server accepts it. */
  async streamFile(file, latency) {
    const run = this._reset(stem(file.name), "connecting");
    try {
      const samples = await decodeFile(file).catch(() => {
        throw new Error("This browser cannot decode the file; analysing the whole file may still work.");
      });
      if (!this._isConnecting(run) || !(await this._connect(run, latency))) return;
      this._setState("live");
      this._whole = samples.length / RATE;
      this._emit("work", { text: "Sending the file…" });
      const shouldContinue = () => run === this._run && this.state === "live";
      for (let first = 0; first < samples.length && shouldContinue(); first += PUSHED) {
        this.recording.push(samples.subarray(first, first + PUSHED));
        this._uplink.push();
        while (shouldContinue() && this.recording.duration > this._uplink.processed + AHEAD) await sleep(50);
      }
      if (run === this._run) await this.stop(null);
    } catch (error) {
      if (run === this._run) await this.stop(problemOf(error));
    }
  }

  /** Open a saved result of any format that the server reads, with its audio if there is some. */
  async openResult(file, audio) {
    this._reset(stem(file.name), "analysing");
    this._emit("work", { text: "Opening the result…" });
    try {
      const result = await this._withToken((token) => convert(file, { format: "json", name: file.name, token }));
      this._take(JSON.parse(await result.text()), audio && (await decodeFile(audio)));
      this._finish(null);
      this._emit("analysed", this.segments.all().length);
    } catch (error) {
      this._finish(problemOf(error));
    }
  }

  /** Show what `storage` has kept: a result and its audio. */
  restore({ result, segments, recording }) {
    this._reset(result.uri, "analysing");
    this._take({ ...result, segments }, null);
    this.recording = recording;
    this._finish(null);
    this._emit("analysed", segments.length);
  }

  /** The content of the recording in the format `kind`, as a Blob. */
  export(kind) {
    const json = new Blob([this.segments.toJson(this.uri, this.duration)], { type: "application/json" });
    return this._withToken((token) => convert(json, { format: kind, name: "result.json", token }));
  }

  _take(result, samples) {
    this._setLabels(result.labels ?? []);
    this.segments.describeBy(result);
    this.uri = result.uri;
    this.segments.replaceBy(result.segments);
    this.duration = Math.max(result.duration, samples ? samples.length / RATE : 0);
    if (samples) this.recording.push(samples);
  }

  /** Analyse a whole file; what is found meanwhile is provisional, and the result replaces it. */
  async analyse(file) {
    const run = this._reset(stem(file.name), "analysing");
    const isCurrent = () => run === this._run && this.state === "analysing";
    this._emit("work", { text: "Sending the file…" });
    this._abort = new AbortController();
    const { signal } = this._abort;
    const store = (samples) => this._change(() => isCurrent() && this.recording.push(samples));
    const sound = decodeFile(file).then(store).then(() => true, () => false); // only to play it back
    const shown = shownIn(this, (name, detail) => this._emit(name, detail), isCurrent);
    try {
      const result = await this._withToken((token) => diarizeFile(file, { token, signal, ...shown }));
      const isPlayable = await sound;
      this._take(result, null);
      this._finish(isPlayable ? null : "This browser cannot decode the file, so its audio cannot be played here.");
      this._emit("analysed", result.segments.length);
    } catch (error) {
      this._clear(this.uri);
      this._emit("change");
      this._finish(signal.aborted ? null : problemOf(error));
    }
  }

  /**
   * Stop, and wait for the remaining results of the server; a second call while the server is away gives up waiting.
   * `problem` is an error message or null.
   */
  async stop(problem) {
    if (this.state === "finishing" && this.away) return this._uplink.close();
    if (this.state === "idle" || this.state === "finishing") return;
    if (this.state === "analysing") return this._abort?.abort();
    this._setState("finishing");
    await this._microphone?.close();
    const complete = (await this._uplink?.end()) ?? true;
    this._finish(problem ?? (complete ? null : "The end of the recording was not analysed: the server is away."));
  }

  /** Whether a recording goes on, from the first sample to the last result. */
  get isLive() {
    return this.state === "live" || this.state === "finishing";
  }

  /** Whether the server is away while a recording goes on. */
  get away() {
    return Boolean(this._uplink?.away);
  }

  _reset(uri, state) {
    this._run += 1;
    this._clear(uri);
    this._emit("reset");
    this._emit("problem", null);
    this._setState(state);
    return this._run;
  }

  _clear(uri) {
    this.segments = new Segments();
    this.recording = new Recording();
    this.uri = uri;
    this.duration = 0;
    this._whole = null; // seconds of a file that is streamed
    this._refined = null; // segments that replace those of the stream
    this._uplink = this._microphone = this._abort = null;
  }

  /** Whether recording number `run` is the latest one and still connecting. */
  _isConnecting(run) {
    return run === this._run && this.state === "connecting";
  }

  async _connect(run, latency) {
    const options = { latency, ...this._features() };
    const connect = (lost) => this._withToken((token) => connectTo({ ...options, token }, lost));
    const uplink = new Uplink(this.recording, connect);
    const stream = await uplink.open();
    if (!this._isConnecting(run)) {
      uplink.close(); // stopped meanwhile
      return false;
    }
    this._setLabels(stream.labels);
    this.segments.describeBy(stream);
    this._listen(uplink, latency);
    this._uplink = uplink;
    return true;
  }

  _listen(uplink, latency) {
    const on = (name, action) => uplink.addEventListener(name, ({ detail }) => uplink === this._uplink && action(detail));
    on("segment", (event) => {
      this.segments.apply(event);
      if (event.final && event.segment) this._emit("final", { ...event.segment, final: true });
      this._emit("change");
    });
    on("relabel", (event) => this._change(() => this.segments.relabel(event)));
    on("refined", ({ segments }) => this._change(() => this.segments.replaceBy((this._refined = segments))));
    on("complete", (seen) => this._change(() => seen && !this._refined && this.segments.keep(seen)));
    on("progress", (event) => this._progress(uplink, latency, event));
    on("error", ({ message }) => this.stop(sentence(message)));
    on("away", (away) => {
      this._emit("away", away);
      const text = "The server is away. Recording goes on in this page; the results will catch up.";
      this._emit("work", { text: away ? text : "Connected again; catching up…" });
    });
  }

  _change(action) {
    action();
    this._emit("change");
  }

  _progress(uplink, latency, { time, probabilities, level }) {
    const isBehind = time < this.duration; // a repeated stream
    this.duration = Math.max(this.duration, time);
    if (!isBehind) this._emit("moment", { probabilities, audible: level > SILENCE });
    if (!this._microphone) this._emit("level", level);
    const whole = this._whole ?? (isBehind && this.recording.duration);
    if (whole) this._emit("work", { text: `Processed ${clock(time)} of ${clock(whole)}`, share: time / whole });
    else this._emit("work", null);
    const delay = this.recording.duration - uplink.processed - latency;
    this._emit("delay", this._microphone && delay > SHOWN_DELAY ? delay : 0);
    this._emit("change");
  }

  _record(frame) {
    this.recording.push(frame);
    this._uplink?.push();
    let sum = 0;
    for (const sample of frame) sum += (sample / 32768) ** 2;
    this._emit("level", 10 * Math.log10(sum / frame.length + 1e-10));
  }

  /** Run `action(token)`; if the server requires its secret, ask for it and retry. */
  async _withToken(action) {
    for (;;) {
      try {
        return await action(this._token);
      } catch (error) {
        if (error.code !== "unauthorized") throw error;
        const token = await this._askToken(this._token !== undefined);
        if (token === undefined) throw new SedError(error.code, "This server requires its secret.");
        this._token = token;
        this._emit("token", token);
      }
    }
  }

  _finish(problem) {
    this._uplink?.close();
    this._microphone = this._uplink = this._abort = null;
    this._emit("away", false);
    this._emit("work", null);
    this._emit("moment", { probabilities: null, audible: false });
    this._emit("level", -Infinity);
    if (problem) this._emit("problem", problem);
    this._setState("idle");
  }

  _setLabels(labels) {
    this.segments.labels = labels;
    this._emit("labels", labels);
  }

  _setState(state) {
    this.state = state;
    this._emit("state", state);
  }

  _emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
