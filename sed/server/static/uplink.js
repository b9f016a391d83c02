/**
 * Sends a growing recording to the server as a live stream, and outlives the connection: when it is lost, it connects
 * again and resumes the stream. If the server does not keep it any more (it was restarted, or away for long), the audio
 * is repeated: the result of a stream depends on its audio alone, so segments, speakers and clock are those of a stream
 * that was never interrupted.
 *
 * A recording of which the start is not stored any more cannot be repeated, and continues where results were settled; its
 * speakers are then new ones ("spk00 (2)").
 *
 * Emits CustomEvents: those of `SedStream` (with times of the recording), and `away` (detail: whether the server is).
 */

import { SedStream } from "./client.js";
import { CHUNK, RATE } from "./recording.js";

const FATAL = new Set(["unauthorized", "bad_message", "bad_frame", "too_long"]); // repeating cannot help
const MAX_FAILURES = 3; // failures of the server on the same audio, after which repeating it cannot help
const DELAYS = [1, 2, 4, 8, 10]; // seconds before each attempt; the last one repeats
const SILENT = 15; // seconds without an answer to audio after which the connection counts as lost
const ANSWERED = 5; // seconds of audio that may be unanswered
const FORWARDED = ["segment", "progress", "relabel", "refined"];

export class Uplink extends EventTarget {
  /** `connect(lost)` resolves with a `SedStream`, which resumes the stream `lost` if given; or rejects with a `SedError`. */
  constructor(recording, connect) {
    super();
    this._recording = recording;
    this._connect = connect;
    this._attempts = this._failures = 0;
    this._settled = 0; // seconds
    this._closed = this._ending = false;
    this._wake = () => {};
    this._ended = new Promise((resolve) => (this._resolve = resolve));
  }

  /** Connect for the first time; resolves with the stream, rejects with a `SedError`. */
  async open() {
    const stream = await this._connect();
    if (this._closed) stream.close();
    else this._begin(stream);
    return stream;
  }

  /** Whether the server is away. */
  get away() {
    return !this._stream;
  }

  /** Seconds of the recording that the server has processed. */
  get processed() {
    return this._stream ? this._offset + this._stream.processed : this._settled;
  }

  /** Send what the recording has received since. */
  push() {
    this._wake();
  }

  /** End the audio; resolves with true after the last event, false after an error or `close`. */
  end() {
    this._ending = true;
    this._wake();
    return this._ended;
  }

  /** Give up; what has arrived is the result. */
  close() {
    this._closed = true;
    this._stream?.close();
    this._stream = null;
    clearInterval(this._watch);
    this._wake();
    this._resolve(false);
  }

  /** Send the recording on a new stream: all of it, or what comes after the settled part. */
  _begin(stream) {
    this._attempts += 1;
    this._offset = this._recording.from > 0 ? Math.max(this._recording.from, this._settled) : 0;
    this._seen = new Set();
    this._use(stream);
  }

  _use(stream) {
    this._stream = stream;
    this._position = Math.round(this._offset * RATE) + (stream.resume?.samples ?? 0); // samples of the recording sent
    this._answered = performance.now();
    for (const name of FORWARDED) {
      stream.addEventListener(name, ({ detail }) => stream === this._stream && this._forward(name, detail));
    }
    stream.addEventListener("error", ({ detail }) => stream === this._stream && this._lose(detail));
    clearInterval(this._watch);
    this._watch = setInterval(() => this._check(stream), 1000);
    this._pump(stream);
  }

  async _pump(stream) {
    const isCurrent = () => stream === this._stream && !stream.closed;
    while (isCurrent()) {
      const { length, from } = this._recording;
      if (this._position < Math.round(from * RATE)) return this._fail("The server is more than an hour behind.");
      const last = Math.min(length, this._position + CHUNK);
      const part = this._recording.slice(this._position / RATE, last / RATE);
      this._position = last;
      if (part.length) await stream.sendPaced(part, isCurrent);
      else if (this._ending) return this._finish(stream);
      else await new Promise((resolve) => (this._wake = resolve));
    }
  }

  async _finish(stream) {
    if (!(await stream.end()) || stream !== this._stream) return;
    this.dispatchEvent(new CustomEvent("complete", { detail: this._offset ? null : this._seen }));
    clearInterval(this._watch);
    this._resolve(true);
  }

  /** Forward a message with the times of the recording. */
  _forward(name, message) {
    this._answered = performance.now();
    if (name === "segment") this._seen.add(message.id);
    if (message.settled !== undefined) this._settled = Math.max(this._settled, this._offset + message.settled);
    const detail = this._offset ? shifted(message, this._offset, this._attempts) : message;
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  _check(stream) {
    const silent = performance.now() - this._answered > SILENT * 1000;
    if (silent && stream.unprocessed > ANSWERED) {
      stream.abandon();
      this._lose({ code: "unreachable", message: "The server does not answer." });
    }
  }

  _lose({ code, message, retry_after: retryAfter }) {
    if (this._closed) return;
    if (FATAL.has(code) || (code === "internal" && ++this._failures === MAX_FAILURES)) return this._fail(message);
    const lost = this._stream.resume && this._stream;
    this._stream = null;
    clearInterval(this._watch);
    this.dispatchEvent(new CustomEvent("away", { detail: true }));
    this._reconnect(lost, retryAfter);
  }

  /** Connect until it succeeds; resume the stream `lost` if the server still keeps it. */
  async _reconnect(lost, retryAfter) {
    for (let attempt = 0; !this._closed; attempt++) {
      const seconds = retryAfter ?? DELAYS[Math.min(attempt, DELAYS.length - 1)];
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      if (this._closed) return;
      try {
        const stream = await this._connect(lost);
        if (this._closed) return stream.close();
        this.dispatchEvent(new CustomEvent("away", { detail: false }));
        return lost ? this._use(stream) : this._begin(stream);
      } catch (error) {
        if (FATAL.has(error.code)) return this._fail(error.message);
        if (error.code === "gone") lost = undefined;
        retryAfter = error.code === "gone" ? 0 : error.retryAfter;
      }
    }
  }

  _fail(message) {
    this.close();
    this.dispatchEvent(new CustomEvent("error", { detail: { message } }));
  }
}

/** The default way to connect: opens a stream with `options`, or resumes the stream `lost`. */
export function connectTo(options, lost) {
  return lost ? SedStream.resume(lost, options) : SedStream.open({ sampleRate: RATE, ...options });
}

function shifted(message, offset, attempt) {
  const moved = { ...message, time: message.time + offset };
  if (message.id !== undefined) moved.id = `${attempt}:${message.id}`;
  const own = (s) => s && { ...s, start: s.start + offset, end: s.end + offset, speaker: named(s.speaker, attempt) };
  if (message.segment) moved.segment = own(message.segment);
  if (message.segments) moved.segments = message.segments.map(own);
  for (const key of ["from", "to"]) if (message[key] !== undefined) moved[key] = named(message[key], attempt);
  return moved;
}

function named(speaker, attempt) {
  return speaker && `${speaker} (${attempt})`;
}
