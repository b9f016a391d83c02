/**
 * Block-wise resampling with a windowed sinc: Float32Array at one rate in, Float32Array at another rate out.
 *
 * Output n is exactly at the input's time n * from / to, for any block sizes, so there is no drift. The Kaiser window
 * attenuates aliasing by about 80 dB; the passband ends at 87 % of the lower Nyquist frequency, and the stopband
 * starts at 97 %.
 */

const ZEROS = 48; // zero crossings of the sinc on each side
const BETA = 8; // of the Kaiser window
const CUTOFF = 0.92; // as a fraction of the lower Nyquist frequency

export class Resampler {
  constructor(from, to) {
    const divisor = gcd(from, to);
    this._step = from / divisor; // the input advances _step / _phases samples per output
    this._phases = to / divisor;
    this._cutoff = CUTOFF * Math.min(1, to / from);
    this._half = Math.ceil(ZEROS / this._cutoff);
    this._filters = new Map(); // phase -> taps, computed on first use
    this._input = new Float32Array(this._half); // zeros before the first sample
    this._position = this._half; // the input sample, in _input, at or before the next output
    this._phase = 0;
    this._taken = 0;
    this._made = 0;
    this._ratio = to / from;
  }

  /** Process the next block; returns the output samples that it completes. */
  process(block) {
    this._taken += block.length;
    return this._run(block);
  }

  /** The remaining outputs after the last block; in total there are round(inputs * to / from) outputs. */
  flush() {
    const due = Math.round(this._taken * this._ratio) - this._made;
    const rest = this._run(new Float32Array(2 * this._half + this._step));
    return rest.subarray(0, Math.max(0, due));
  }

  _run(block) {
    const input = new Float32Array(this._input.length + block.length);
    input.set(this._input);
    input.set(block, this._input.length);
    const output = [];
    while (this._position + this._half < input.length) {
      const taps = this._taps(this._phase);
      const first = this._position - this._half + 1;
      let sum = 0;
      for (let tap = 0; tap < taps.length; tap++) sum += taps[tap] * input[first + tap];
      output.push(sum);
      this._phase += this._step;
      this._position += Math.floor(this._phase / this._phases);
      this._phase %= this._phases;
    }
    const keep = Math.min(input.length, Math.max(0, this._position - this._half + 1));
    this._input = input.slice(keep);
    this._position -= keep;
    this._made += output.length;
    return Float32Array.from(output);
  }

  /** Filter taps for an output at phase / _phases samples after its input sample. */
  _taps(phase) {
    let taps = this._filters.get(phase);
    if (!taps) {
      taps = new Float32Array(2 * this._half);
      let sum = 0;
      for (let tap = 0; tap < taps.length; tap++) {
        const distance = tap - this._half + 1 - phase / this._phases;
        taps[tap] = sinc(distance * this._cutoff) * kaiser(distance / this._half);
        sum += taps[tap];
      }
      for (let tap = 0; tap < taps.length; tap++) taps[tap] /= sum; // equal gain at 0 Hz for all phases
      this._filters.set(phase, taps);
    }
    return taps;
  }
}

function gcd(a, b) {
  return b ? gcd(b, a % b) : a;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function kaiser(x) {
  return Math.abs(x) > 1 ? 0 : bessel(BETA * Math.sqrt(1 - x * x)) / bessel(BETA);
}

function bessel(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > 1e-12 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/** Convert float samples of full scale 1 to 16-bit, with clipping. */
export function toInt16(samples) {
  return Int16Array.from(samples, (x) => Math.max(-32768, Math.min(32767, Math.round(x * 32768))));
}
