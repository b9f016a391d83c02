/** One recording at a time: sends the microphone or a file to the server, and keeps the results. */

import { diarizeFile, SedError, SedStream } from "./client.js";
import { Microphone } from "./microphone.js";
import { decodeFile, RATE, Recording } from "./recording.js";
import { clock, Segments } from "./segments.js";

const MAX_DELAY = 30; // seconds of unprocessed audio at which recording stops, to bound the memory
const MAX_PENDING = 100; // frames of 100 ms that are buffered until the server is ready
const SHOWN_DELAY = 3; // seconds of delay, beyond the latency, from which on it is shown
const CHUNK = 10 * RATE; // samples of a file that are stored at once, so that audio that was not sent is not stored
const SILENCE = -55; // decibels below which no probabilities are shown

/**
 * `state` is idle, connecting, live, finishing or analysing. `segments`, `recording`, `uri`, `duration` (seconds
 * processed, or of the file) are those of the latest recording.
 *
 * Emits CustomEvents with these details: `reset` (a new recording; earlier results are discarded), `state`, `change`
 * (segments have changed), `labels` (names), `final` (a segment that will not change), `moment` ({probabilities,
 * audible}), `level` (decibels), `delay` (seconds, or 0), `work` ({text, share} or null), `problem` (a sentence or
 * null), `analysed` (number of segments of a whole file), `token` (a secret that was entered).
 */
export class Session extends EventTarget {
  /** `askToken(refused)` asks the user for the server's secret; it resolves with the secret or undefined. */
  constructor(askToken, token) {
    super();
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
      const pending = []; // audio recorded before the server is ready
      const microphone = await Microphone.open({
        onFrame: (frame) => {
          if (run !== this._run) return; // the last frames of an earlier recording
          if (this._stream) return this._sendFrame(frame);
          pending.push(frame);
          if (pending.length > MAX_PENDING) pending.shift();
        },
        onLost: () => this.stop("The microphone was disconnected. The results so far are kept."),
      });
      if (!this._isConnecting(run)) return void microphone.close(); // stopped meanwhile
      this._microphone = microphone;
      if (!(await this._connect(run, latency))) return;
      pending.forEach((frame) => this._sendFrame(frame));
      this._setState("live");
    } catch (error) {
      if (run === this._run) await this.stop(sentence(error.message));
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
      for (let first = 0; first < samples.length && shouldContinue(); first += CHUNK) {
        const part = samples.subarray(first, first + CHUNK);
        this.recording.push(part);
        await this._stream.sendPaced(part, shouldContinue);
      }
      if (run === this._run) await this.stop(null);
    } catch (error) {
      if (run === this._run) await this.stop(sentence(error.message));
    }
  }

  /** Analyse a whole file. */
  async analyse(file) {
    this._reset(stem(file.name), "analysing");
    this._emit("work", { text: "Sending the file…" });
    this._abort = new AbortController();
    const { signal } = this._abort;
    const sound = decodeFile(file).catch(() => null); // only to play it back
    const onProgress = ({ time, duration: whole, ahead }) => {
      if (ahead) return this._emit("work", { text: waiting(ahead) });
      const of = whole ? ` of ${clock(whole)}` : "";
      this._emit("work", { text: `Analysed ${clock(time)}${of}`, share: whole ? time / whole : undefined });
    };
    try {
      const result = await this._withToken((token) => diarizeFile(file, { token, signal, onProgress }));
      this._setLabels(result.labels);
      this.segments.describeBy(result);
      this.uri = result.uri;
      result.segments.forEach((segment, id) => this.segments.apply({ id, final: true, segment }));
      this.duration = result.duration;
      const samples = await sound;
      if (samples) this.recording.push(samples);
      this._finish(samples ? null : "This browser cannot decode the file, so its audio cannot be played here.");
      this._emit("analysed", result.segments.length);
    } catch (error) {
      this._finish(signal.aborted ? null : sentence(error.message));
    }
  }

  /** Stop, and wait for the remaining results of the server. `problem` is an error message or null. */
  async stop(problem) {
    if (this.state === "idle" || this.state === "finishing") return;
    if (this.state === "analysing") return this._abort.abort();
    this._setState("finishing");
    await this._microphone?.close();
    if (this._stream && !this._stream.closed) await this._stream.end();
    else this._stream?.close();
    this._finish(problem);
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
    this._stream = this._microphone = this._abort = null;
  }

  /** Whether recording number `run` is the latest one and still connecting. */
  _isConnecting(run) {
    return run === this._run && this.state === "connecting";
  }

  async _connect(run, latency) {
    const stream = await this._withToken((token) => SedStream.open({ sampleRate: RATE, latency, token }));
    if (!this._isConnecting(run)) {
      stream.close(); // stopped meanwhile
      return false;
    }
    this._setLabels(stream.labels);
    this.segments.describeBy(stream);
    stream.addEventListener("segment", ({ detail }) => {
      this.segments.apply(detail);
      if (detail.final && detail.segment) this._emit("final", { ...detail.segment, final: true });
      this._emit("change");
    });
    stream.addEventListener("progress", ({ detail }) => this._progress(stream, detail));
    stream.addEventListener("error", ({ detail }) => this._lost(sentence(detail.message)));
    this._stream = stream;
    return true;
  }

  _progress(stream, { time, probabilities, level }) {
    this.duration = time;
    this._emit("moment", { probabilities, audible: level > SILENCE });
    if (!this._microphone) this._emit("level", level);
    if (this._whole) {
      this._emit("work", { text: `Processed ${clock(time)} of ${clock(this._whole)}`, share: time / this._whole });
    }
    const delay = stream.unprocessed - stream.latency;
    this._emit("delay", this._microphone && delay > SHOWN_DELAY ? delay : 0);
    this._emit("change");
  }

  /** Handle an error of the server. */
  _lost(problem) {
    if (this.state === "finishing") this._emit("problem", problem);
    else this.stop(problem);
  }

  _sendFrame(frame) {
    this.recording.push(frame);
    this._stream.send(frame);
    let sum = 0;
    for (const sample of frame) sum += (sample / 32768) ** 2;
    this._emit("level", 10 * Math.log10(sum / frame.length + 1e-10));
    if (this._stream.unprocessed > MAX_DELAY) {
      this.stop("The server cannot keep up with this microphone, so recording was stopped.");
    }
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
    this._microphone = this._stream = this._abort = null;
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

/** A message for a file that waits for `ahead` others. */
function waiting(ahead) {
  return ahead === 1 ? "Waiting in the queue: 1 file before yours" : `Waiting in the queue: ${ahead} files before yours`;
}

function stem(name) {
  return name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}_.+-]+/gu, "_") || "recording";
}

function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
