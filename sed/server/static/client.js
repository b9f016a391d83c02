/**
 * A client of sed-serve's WebSocket (PROTOCOL.md): 16-bit audio in, events out. No dependencies.
 *
 *   const stream = await SedStream.open({ sampleRate: 16000, latency: 1 });
 *   stream.addEventListener("segment", ({ detail }) => console.log(detail.segment, detail.final));
 *   stream.send(samples);              // Int16Array, mono, any length
 *   await stream.end();                // resolves after the last event
 *
 * Events (each a CustomEvent whose `detail` is the message): `segment`, `progress`, `end`, with the option `relabel`
 * also `relabel` (speaker `from` is `to`), with `refine` also `refined` (`segments`) before `end`, and `error` with
 * `{code, message, retry_after}`, after which the stream is closed. A stream with the option `resume` can then go on with
 * `SedStream.resume`.
 */

const OPEN_TIMEOUT = 20_000; // milliseconds
const MARGIN = 0.9; // fraction of the server's limits that is used, because two clocks never agree
const MESSAGE_SECONDS = 0.1;
const RESIDUE = 0.05; // seconds of audio that the server's resampler may buffer
const ABANDONED = 4000; // the close code after which the server keeps a stream
const SILENCE_TIMEOUT = 60_000; // milliseconds for which the server may send nothing after the end of the audio

export class SedError extends Error {
  /** `retryAfter`: seconds after which a retry may succeed, with `too_many` and `overload`. */
  constructor(code, message, retryAfter) {
    super(message);
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export class SedStream extends EventTarget {
  /**
   * Open a stream. `url` defaults to the server of the page; `sampleRate` is that of the samples (the server
   * resamples), `latency` is in seconds, `token` is the server's secret if it has one. The flags `relabel`, `refine` and
   * `resume` are false by default. Rejects with a SedError.
   */
  static open({ url, sampleRate = 16000, latency = 1, token, ...flags } = {}) {
    const start = { type: "start", sample_rate: sampleRate, latency };
    for (const name of ["relabel", "refine", "resume"]) if (flags[name]) start[name] = true;
    return connect(url, token ? { ...start, token } : start);
  }

  /**
   * Continue the stream `lost`, which was opened with `resume`, on a new connection. The server continues with the event
   * after the last one that `lost` has emitted; audio is to be sent from sample `resume.samples` of the stream on, and
   * `end` called again. Rejects with a SedError: `gone` if the server does not keep the stream any more.
   */
  static resume(lost, { url, token } = {}) {
    const message = { type: "resume", stream: lost.resume?.stream ?? "", received: lost.received };
    return connect(url, token ? { ...message, token } : message, lost);
  }

  constructor(socket, ready, lost) {
    super();
    this.labels = ready.labels;
    this.dimensions = ready.dimensions; // names such as arousal, if the server's model estimates some
    this.settings = ready.settings; // the server's prior, sensitivity and known speakers, if it has any
    this.limits = ready.limits;
    this.sampleRate = ready.sample_rate;
    this.latency = ready.latency;
    this.resume = ready.resume; // {stream, seconds, samples, ended}, if the stream can be resumed
    this.received = lost?.received ?? 0; // messages
    this.sent = (ready.resume?.samples ?? 0) / this.sampleRate; // seconds of audio
    this.processed = lost?.processed ?? 0; // seconds that the server has processed
    this._credit = lost?._credit ?? MARGIN * this.limits.burst; // seconds of audio that may be sent at once
    this._creditTime = lost?._creditTime ?? performance.now() / 1000;
    this._socket = socket;
    this._closed = false;
    this._ended = new Promise((resolve) => (this._resolve = resolve));
    socket.onmessage = ({ data }) => this._receive(JSON.parse(data));
    socket.onclose = () => this._fail("closed", "The connection to the server was lost.");
  }

  /** Seconds of audio that were sent and not yet processed by the server. */
  get unprocessed() {
    return Math.max(0, this.sent - this.processed);
  }

  get closed() {
    return this._closed;
  }

  /** Send an Int16Array now; for live audio, which arrives in real time. Does nothing after the stream is closed. */
  send(samples) {
    if (this._closed) return;
    this._socket.send(littleEndian(samples));
    this.sent += samples.length / this.sampleRate;
  }

  /**
   * Send a long Int16Array as fast as the server accepts and processes it, while `shouldContinue()` is true.
   * Resolves when everything is sent.
   */
  async sendPaced(samples, shouldContinue = () => true) {
    const size = Math.round(MESSAGE_SECONDS * this.sampleRate);
    const ahead = MARGIN * (this.limits.max_waiting ?? Infinity) - MESSAGE_SECONDS;
    const canSend = () => !this._closed && shouldContinue();
    for (let first = 0; first < samples.length && canSend(); first += size) {
      const part = samples.subarray(first, first + size);
      const wait = this._secondsTooEarly(part.length / this.sampleRate);
      if (wait > 0) await sleep(wait * 1000);
      while (canSend() && (this._socket.bufferedAmount > 1 << 20 || this.unprocessed > Math.max(RESIDUE, ahead))) {
        await sleep(50);
      }
      if (canSend()) this.send(part);
    }
  }

  /** Charge `seconds` of audio; returns by how many seconds they are too early for `burst` and `max_rate`. */
  _secondsTooEarly(seconds) {
    const rate = MARGIN * this.limits.max_rate;
    const now = performance.now() / 1000;
    this._credit = Math.min(MARGIN * this.limits.burst, this._credit + (now - this._creditTime) * rate) - seconds;
    this._creditTime = now;
    return Math.max(0, -this._credit / rate);
  }

  /** End the audio; resolves with true after the last event, false after an error. */
  end() {
    if (!this._closed) {
      if (!this.resume?.ended) this._socket.send('{"type":"end"}');
      this._restartTimeout();
    }
    return this._ended;
  }

  /** Close the connection immediately: the stream is over. */
  close() {
    this._close();
  }

  /** Close the connection as if it were lost: the stream can be resumed. */
  abandon() {
    this._close(ABANDONED);
  }

  _close(code) {
    this._closed = true;
    clearTimeout(this._timer);
    this._socket.onclose = null;
    this._socket.close(code);
    this._resolve(false);
  }

  /** Fail if the server sends nothing for a long time. */
  _restartTimeout() {
    clearTimeout(this._timer);
    const fail = () => this._fail("unreachable", "The server has not answered for a long time.");
    this._timer = setTimeout(fail, SILENCE_TIMEOUT);
  }

  _receive(message) {
    if (this._timer) this._restartTimeout();
    if (message.type === "progress") this.processed = message.time;
    if (message.type === "error") return this._fail(message.code, message.message, message.retry_after);
    this.received += 1;
    this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
    if (message.type === "end") {
      this._resolve(true); // before close, which resolves with false
      this.close();
    }
  }

  _fail(code, message, retryAfter) {
    if (this._closed) return;
    this.abandon();
    this.dispatchEvent(new CustomEvent("error", { detail: { code, message, retry_after: retryAfter } }));
  }
}

/** Connect, send `first`, and resolve with a SedStream, which continues the stream `lost` if there is one. */
function connect(url, first, lost) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url ?? defaultUrl());
    socket.binaryType = "arraybuffer";
    const timer = setTimeout(() => fail("unreachable", "The server did not answer."), OPEN_TIMEOUT);
    const fail = (code, message, retryAfter) => {
      clearTimeout(timer);
      socket.onclose = null;
      socket.close();
      reject(new SedError(code, message, retryAfter));
    };
    socket.onopen = () => socket.send(JSON.stringify(first));
    socket.onclose = () => fail("unreachable", "The server cannot be reached.");
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "error") return fail(message.code, message.message, message.retry_after);
      clearTimeout(timer);
      resolve(new SedStream(socket, message, lost));
    };
  });
}

/**
 * Diarize a whole file (POST /diarize); `onProgress({time, duration, ahead})` is called repeatedly, where `ahead` is
 * the number of files that the server processes before this one. `onSegment` is called with messages of type
 * `segment` about provisional segments, which the result replaces.
 * Resolves with the result as sed's JSON; rejects with a SedError.
 */
export async function diarizeFile(file, { url = "diarize", token, onProgress = () => {}, onSegment, signal } = {}) {
  const query = new URLSearchParams({ progress: "1", name: file.name ?? "" });
  if (onSegment) query.set("provisional", "1");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(`${url}?${query}`, { method: "POST", body: file, headers, signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new SedError("unreachable", "The server cannot be reached, or the file is too long for it.");
  }
  for await (const message of jsonLines(response)) {
    if (message.type === "progress") onProgress(message);
    else if (message.type === "segment") onSegment?.(message);
    else if (message.type === "result") return message.result;
    else throw new SedError(message.code, message.message);
  }
  throw new SedError("closed", "The server has closed the connection before the result.");
}

/**
 * Convert a result (a Blob of any format that sed reads) into the format `format` (POST /convert); `name` is its file
 * name. Resolves with a Blob; rejects with a SedError.
 */
export async function convert(result, { url = "convert", format = "json", name = "", token } = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    const query = new URLSearchParams({ format, name });
    response = await fetch(`${url}?${query}`, { method: "POST", body: result, headers });
  } catch {
    throw new SedError("unreachable", "The server cannot be reached.");
  }
  if (response.ok) return response.blob();
  const { code, message } = await response.json();
  throw new SedError(code, message);
}

async function* jsonLines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    rest += value ?? "";
    const lines = rest.split("\n");
    rest = done ? "" : lines.pop();
    for (const line of lines) if (line.trim()) yield JSON.parse(line);
    if (done) return;
  }
}

function defaultUrl() {
  const url = new URL("stream", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.hash = url.search = "";
  return url.href;
}

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function littleEndian(samples) {
  if (new Uint8Array(new Uint16Array([1]).buffer)[0] === 1) return samples;
  const view = new DataView(new ArrayBuffer(samples.length * 2));
  samples.forEach((sample, place) => view.setInt16(place * 2, sample, true));
  return view.buffer;
}
