/** Smoothed probability of each emotion over time, for a timeline on which single segments would be too narrow. */

const STEP = 3; // pixels between two points
const SMOOTHING = 3; // standard deviation of the Gaussian, in points

/**
 * The curves of the segments of one speaker: {step, curves}, where `curves` maps each emotion to one value per `step`
 * pixels: the share of the time around it in which the speaker talks, times the emotion's probability there.
 * `view` is {start, span} in seconds and `width` pixels.
 */
export function curvesOf(segments, { start, span }, width) {
  const points = Math.ceil(width / STEP) + 1;
  const perPoint = (span * STEP) / width; // seconds
  const sums = new Map();
  for (const segment of segments) {
    const [first, last] = [(segment.start - start) / perPoint, (segment.end - start) / perPoint];
    for (const [emotion, p] of Object.entries(probabilitiesOf(segment))) {
      if (!sums.has(emotion)) sums.set(emotion, new Float32Array(points));
      addRange(sums.get(emotion), first, last, p);
    }
  }
  const curves = new Map([...sums].map(([emotion, values]) => [emotion, smooth(values)]));
  return { step: STEP, curves };
}

/**
 * The curves on top of each other, in the order of `labels`: {step, layers, most}, with layers of {emotion, base, top}
 * and the largest value `most`.
 */
export function stacked({ step, curves }, labels) {
  const names = [...new Set([...labels, ...curves.keys()])].filter((name) => curves.has(name));
  let base = new Float32Array(curves.get(names[0])?.length ?? 0);
  const layers = names.map((emotion) => {
    const layer = { emotion, base, top: curves.get(emotion).map((value, n) => base[n] + value) };
    base = layer.top;
    return layer;
  });
  return { step, layers, most: base.reduce((most, value) => Math.max(most, value), 0) };
}

/** What the model found, or the emotion that a person has chosen. */
function probabilitiesOf({ probabilities, emotion, checked }) {
  return probabilities && !checked ? probabilities : { [emotion ?? "unknown"]: 1 };
}

/** Add `value` to the points from `first` to `last`, in proportion where a point is covered in part. */
function addRange(points, first, last, value) {
  for (let n = Math.max(0, Math.floor(first)); n < Math.min(points.length, last); n++) {
    points[n] += value * (Math.min(last, n + 1) - Math.max(first, n));
  }
}

function smooth(values) {
  const radius = 3 * SMOOTHING;
  const weights = Array.from({ length: 2 * radius + 1 }, (_, n) => Math.exp(-(((n - radius) / SMOOTHING) ** 2) / 2));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return values.map((_, at) => {
    let sum = 0;
    for (let n = 0; n < weights.length; n++) sum += weights[n] * (values[at + n - radius] ?? 0);
    return sum / total;
  });
}

/** Whether the visible segments are too narrow to be distinguished. */
export function isCrowded(segments, { start, span }, width, lanes) {
  const visible = segments.filter((segment) => segment.end > start && segment.start < start + span).length;
  return visible > 60 && (width * lanes) / visible < 26;
}
