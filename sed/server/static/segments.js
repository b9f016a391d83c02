/** The segments of one stream or file, updated by events and corrections, and their export as JSON and RTTM. */

const ACTIVE_SECONDS = 0.6; // events arrive every 0.5 s, so a segment that ended earlier is not active any more

export class Segments {
  constructor() {
    this._byId = new Map();
    this._sorted = null;
    this.labels = [];
    this.describeBy({});
  }

  /** Keep what a stream or a result states beside its labels, if anything: names of dimensions, and settings. */
  describeBy({ dimensions, settings }) {
    this._about = { dimensions, settings };
  }

  /** What `describeBy` keeps. */
  get about() {
    return this._about;
  }

  /** Apply an event of type "segment". A final segment never becomes provisional again, as in a repeated stream. */
  apply({ id, final, segment }) {
    if (!final && this._byId.get(id)?.final) return;
    this.put(id, segment ? { id, final, ...segment } : null);
  }

  /** Store a segment under `id`, or remove it with null. */
  put(id, segment) {
    if (segment) this._byId.set(id, segment);
    else this._byId.delete(id);
    this._sorted = null;
  }

  /** Apply an event of type "relabel": the speaker `from` is the speaker `to`. */
  relabel({ from, to }) {
    for (const [id, segment] of this._byId) if (segment.speaker === from) this.put(id, { ...segment, speaker: to });
  }

  /** Keep the segments with these ids only. */
  keep(ids) {
    for (const id of [...this._byId.keys()]) if (!ids.has(id)) this.put(id, null);
  }

  /** Replace everything by these segments, all of them final. */
  replaceBy(segments) {
    this._byId.clear();
    segments.forEach((segment, id) => this.put(id, { ...segment, id, final: true }));
    this._sorted = null;
  }

  get(id) {
    return this._byId.get(id);
  }

  /** An id that no segment has. */
  newId() {
    return 1 + Math.max(-1, ...this._byId.keys());
  }

  /** All segments, sorted by start, end, speaker and emotion as in Python. */
  all() {
    const key = (s) => `${s.speaker ?? ""}\n${s.emotion ?? ""}`;
    this._sorted ??= [...this._byId.values()].sort(
      (a, b) => a.start - b.start || a.end - b.end || (key(a) < key(b) ? -1 : 1),
    );
    return this._sorted;
  }

  finals() {
    return this.all().filter((segment) => segment.final);
  }

  /** Speakers sorted by name. */
  speakers() {
    return [...new Set([...this._byId.values()].map((s) => s.speaker ?? "?"))].sort();
  }

  /** The active speakers at `time` (seconds), the current time of a stream. */
  speaking(time) {
    const now = [...this._byId.values()].filter((s) => s.end > time - ACTIVE_SECONDS);
    return [...new Set(now.map((s) => s.speaker ?? "?"))].sort();
  }

  /** The JSON format of sed, readable by `sed.read`. */
  toJson(uri, duration) {
    const segments = this.finals().map(({ id, final, checked, ...segment }) => segment);
    const head = { format: "sed", version: 1, uri, duration, labels: this.labels, frame_rate: 50, ...this._about };
    return JSON.stringify({ ...head, segments }, null, 1) + "\n";
  }

  /** RTTM with the emotion in the orthography field and the speaker in the name field. */
  toRttm(uri) {
    const line = ({ start, end, speaker, emotion, confidence }) => {
      const [first, last] = [Math.round(start * 1000), Math.round(end * 1000)];
      const times = `${(first / 1000).toFixed(3)} ${((last - first) / 1000).toFixed(3)}`;
      const confidenceText = confidence?.toFixed(2) ?? "<NA>";
      return last > first
        ? `SPEAKER ${uri} 1 ${times} ${emotion ?? "<NA>"} <NA> ${speaker ?? "<NA>"} ${confidenceText} <NA>\n`
        : "";
    };
    return this.finals().map(line).join("");
  }

  /**
   * The segments that a person has checked or corrected as the table that `sed-train hparams/adapt.yaml` takes:
   * clips of `path`, an audio file.
   */
  toClips(path) {
    const field = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const rows = this.finals()
      .filter(({ checked, emotion }) => checked && emotion)
      .map((s) => [path, s.emotion, s.start.toFixed(3), s.end.toFixed(3), s.speaker ?? "new"].map(field).join(","));
    return ["path,emotion,start,end,speaker", ...rows, ""].join("\n");
  }
}

/** Seconds as m:ss or h:mm:ss, with `digits` decimals. */
export function clock(seconds, digits = 0) {
  const rounded = Number(seconds.toFixed(digits));
  const whole = Math.floor(rounded / 60);
  const rest = (rounded - whole * 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return whole < 60 ? `${whole}:${rest}` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}:${rest}`;
}

/** A text description of a segment. */
export function describe({ start, end, speaker, emotion, confidence, dimensions, final, checked }) {
  const confidenceText = confidence === undefined ? "" : `, ${Math.round(confidence * 100)} %`;
  const state = final ? (checked ? ", checked" : "") : ", may still change";
  const label = `${speaker ?? "unknown speaker"}, ${emotion ?? "unknown"}${confidenceText}`;
  const values = Object.entries(dimensions ?? {}).map(([name, value]) => `, ${name} ${Math.round(value * 100)} %`);
  return `${label}${values.join("")}, ${clock(start, 1)} to ${clock(end, 1)}${state}`;
}
