/** Audio stored in the page for playback: 16 kHz mono 16-bit, at most the last hour. */

export const RATE = 16000;
const MAX_SAMPLES = 3600 * RATE; // 115 MB
const CHUNK = 10 * RATE;

export class Recording {
  constructor() {
    this._chunks = [];
    this._dropped = 0; // samples at the start that are no longer stored
    this.length = 0; // samples received
  }

  /** Seconds received. */
  get duration() {
    return this.length / RATE;
  }

  /** Seconds at the start that are no longer stored. */
  get from() {
    return this._dropped / RATE;
  }

  /** Append an Int16Array. */
  push(samples) {
    for (let done = 0; done < samples.length; ) {
      const used = (this.length - this._dropped) % CHUNK;
      if (used === 0) this._chunks.push(new Int16Array(CHUNK));
      const part = samples.subarray(done, done + CHUNK - used);
      this._chunks.at(-1).set(part, used);
      this.length += part.length;
      done += part.length;
      if (this.length - this._dropped > MAX_SAMPLES) {
        this._chunks.shift();
        this._dropped += CHUNK;
      }
    }
  }

  /** The stored audio between two times in seconds, as an Int16Array. */
  slice(start, end) {
    const first = Math.max(this._dropped, Math.round(start * RATE));
    const last = Math.min(this.length, Math.round(end * RATE));
    const out = new Int16Array(Math.max(0, last - first));
    for (let place = first; place < last; ) {
      const offset = place - this._dropped;
      const chunk = this._chunks[Math.floor(offset / CHUNK)];
      const part = chunk.subarray(offset % CHUNK, Math.min(CHUNK, (offset % CHUNK) + last - place));
      out.set(part, place - first);
      place += part.length;
    }
    return out;
  }

  /** All stored audio, as a WAV file. */
  toWav() {
    const samples = this.slice(0, this.duration);
    const head = new DataView(new ArrayBuffer(44));
    const text = (place, word) => [...word].forEach((c, n) => head.setUint8(place + n, c.charCodeAt(0)));
    text(0, "RIFF");
    head.setUint32(4, 36 + samples.length * 2, true);
    text(8, "WAVEfmt ");
    head.setUint32(16, 16, true);
    head.setUint16(20, 1, true);
    head.setUint16(22, 1, true);
    head.setUint32(24, RATE, true);
    head.setUint32(28, RATE * 2, true);
    head.setUint16(32, 2, true);
    head.setUint16(34, 16, true);
    text(36, "data");
    head.setUint32(40, samples.length * 2, true);
    return new Blob([head, samples], { type: "audio/wav" });
  }
}

/** Decode a file with the browser: mono Int16Array at 16 kHz. Rejects if the browser cannot decode it. */
export async function decodeFile(file) {
  const context = new OfflineAudioContext(1, 1, RATE);
  const audio = await context.decodeAudioData(await file.arrayBuffer());
  const mono = new Int16Array(audio.length);
  const channels = Array.from({ length: audio.numberOfChannels }, (_, n) => audio.getChannelData(n));
  for (let place = 0; place < mono.length; place++) {
    let sum = 0;
    for (const channel of channels) sum += channel[place];
    mono[place] = Math.max(-32768, Math.min(32767, Math.round((sum / channels.length) * 32768)));
  }
  return mono;
}

/** Plays parts of a recording, one at a time. */
export class Player {
  /** `onTime(seconds)` is called during playback, and `onTime(null)` at its end. */
  constructor(onTime) {
    this._onTime = onTime;
  }

  /** Play `recording` from `start` to `end` (seconds); returns whether that audio is stored. */
  play(recording, start, end) {
    this.stop();
    const samples = recording.slice(start, end);
    if (!samples.length || start < recording.from) return false;
    this._context ??= new AudioContext();
    this._context.resume();
    const buffer = this._context.createBuffer(1, samples.length, RATE);
    buffer.copyToChannel(Float32Array.from(samples, (x) => x / 32768), 0);
    const source = this._context.createBufferSource();
    source.buffer = buffer;
    source.connect(this._context.destination);
    source.onended = () => this._source === source && this.stop();
    const started = this._context.currentTime;
    source.start();
    this._source = source;
    const tick = () => {
      if (this._source !== source) return;
      this._onTime(Math.min(end, start + this._context.currentTime - started));
      requestAnimationFrame(tick);
    };
    tick();
    return true;
  }

  stop() {
    const source = this._source;
    this._source = null;
    if (source) {
      source.stop();
      this._onTime(null);
    }
  }
}
