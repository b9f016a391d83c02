/** Audio stored in the page for playback: 16 kHz mono 16-bit, at most the last hour. */

export const RATE = 16000;
export const PEAKS = 50; // peaks per second
export const CHUNK = 10 * RATE; // samples that are stored together
const MAX_SAMPLES = 3600 * RATE; // 115 MB
const BLOCK = RATE / PEAKS;

export class Recording {
  constructor() {
    this._chunks = [];
    this._dropped = 0; // samples at the start that are no longer stored
    this.length = 0; // samples received
    this._peaks = new Uint8Array(PEAKS * 60);
  }

  /** A recording of chunks as `chunk` returns them, without the first `dropped` samples. */
  static of(chunks, dropped) {
    const recording = new Recording();
    recording.length = recording._dropped = dropped;
    chunks.forEach((chunk) => recording.push(chunk));
    return recording;
  }

  /** Number `n` of the chunks of `CHUNK` samples from the start, as far as received; undefined if it is not stored. */
  chunk(n) {
    const place = n - this._dropped / CHUNK;
    const used = Math.min(CHUNK, this.length - n * CHUNK);
    return place >= 0 && used > 0 ? this._chunks[place]?.subarray(0, used) : undefined;
  }

  /** The largest absolute sample between two times in seconds, 0 to 1. */
  peak(start, end) {
    const last = Math.min(Math.max(start + 1 / PEAKS, end) * PEAKS, this.length / BLOCK);
    let most = 0;
    for (let n = Math.max(0, Math.floor(start * PEAKS)); n < last; n++) most = Math.max(most, this._peaks[n]);
    return most / 255;
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
      this._addPeaks(part);
      this.length += part.length;
      done += part.length;
      if (this.length - this._dropped > MAX_SAMPLES) {
        this._chunks.shift();
        this._dropped += CHUNK;
      }
    }
  }

  _addPeaks(samples) {
    const blocks = Math.ceil((this.length + samples.length) / BLOCK);
    if (blocks > this._peaks.length) {
      const larger = new Uint8Array(2 * blocks);
      larger.set(this._peaks);
      this._peaks = larger;
    }
    for (let n = 0; n < samples.length; n++) {
      const block = Math.floor((this.length + n) / BLOCK);
      const value = Math.min(255, Math.abs(samples[n]) >> 7);
      if (value > this._peaks[block]) this._peaks[block] = value;
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
    const size = (this.length - this._dropped) * 2;
    const head = new DataView(new ArrayBuffer(44));
    const text = (place, word) => [...word].forEach((c, n) => head.setUint8(place + n, c.charCodeAt(0)));
    text(0, "RIFF");
    head.setUint32(4, 36 + size, true);
    text(8, "WAVEfmt ");
    head.setUint32(16, 16, true);
    head.setUint16(20, 1, true);
    head.setUint16(22, 1, true);
    head.setUint32(24, RATE, true);
    head.setUint32(28, RATE * 2, true);
    head.setUint16(32, 2, true);
    head.setUint16(34, 16, true);
    text(36, "data");
    head.setUint32(40, size, true);
    const first = this._dropped / CHUNK;
    const chunks = this._chunks.map((_, n) => this.chunk(first + n));
    return new Blob([head, ...chunks], { type: "audio/wav" });
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
