/**
 * Audio thread of the microphone: mixes to mono, resamples to 16 kHz, and posts Int16Arrays of 100 ms.
 * On the message "stop", it posts the remaining samples and then null.
 */

import { Resampler, toInt16 } from "./resampler.js";

const RATE = 16000;
const FRAME = RATE / 10;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this._resampler = sampleRate === RATE ? null : new Resampler(sampleRate, RATE);
    this._frame = new Int16Array(FRAME);
    this._filled = 0;
    this._stopped = false;
    this.port.onmessage = () => this._stop();
  }

  process([channels]) {
    if (this._stopped) return false;
    if (!channels.length) return true;
    const mono = new Float32Array(channels[0].length);
    for (const channel of channels) channel.forEach((x, place) => (mono[place] += x / channels.length));
    this._collect(this._resampler ? this._resampler.process(mono) : mono);
    return true;
  }

  _collect(samples) {
    for (const sample of toInt16(samples)) {
      this._frame[this._filled++] = sample;
      if (this._filled === FRAME) this._post();
    }
  }

  _post() {
    const frame = this._frame.slice(0, this._filled);
    this._filled = 0;
    this.port.postMessage(frame, [frame.buffer]);
  }

  _stop() {
    if (this._stopped) return;
    this._stopped = true;
    if (this._resampler) this._collect(this._resampler.flush());
    if (this._filled) this._post();
    this.port.postMessage(null);
  }
}

registerProcessor("capture", Capture);
