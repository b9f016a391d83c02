/** Downloads: the result in every format of the server, the training table, and the audio. */

const NAMES = {
  rttm: "RTTM",
  json: "JSON",
  jsonl: "JSON lines",
  seglst: "SegLST (meeteval)",
  csv: "CSV",
  lab: "Labels (HTK)",
  audacity: "Audacity labels",
  textgrid: "TextGrid (Praat)",
  webvtt: "WebVTT subtitles",
  vtt: "WebVTT subtitles",
  eaf: "EAF (ELAN)",
  emotionml: "EmotionML",
  parquet: "Parquet",
  speechbrain: "SpeechBrain manifest",
  zed: "ZED (SpeechBrain)",
};
const CLIPS = "clips";
const AUDIO = "wav";
const LOCAL = ["json", "rttm"]; // formats that the page writes itself, also without the server

const $ = (id) => document.getElementById(id);

/** Connect the format and the download button; `onProblem(error)` is called if the server cannot convert. */
export class Exports {
  constructor(session, formats, { onSaved, onProblem }) {
    this._session = session;
    this._suffixes = Object.fromEntries(formats.map(({ name, suffix }) => [name, suffix]));
    const results = formats.map(({ name }) => new Option(NAMES[name] ?? name, name));
    this._clips = new Option("", CLIPS);
    $("format").replaceChildren(
      group("Result", results),
      group("For sed-train", [this._clips]),
      group("Recording", [new Option("Audio (WAV)", AUDIO)]),
    );
    $("download").addEventListener("click", () => this._download($("format").value).then(onSaved, onProblem));
    $("format").addEventListener("change", () => this.update());
  }

  /** Enable what can be downloaded now. */
  update() {
    const { segments, recording } = this._session;
    const checked = segments.all().filter((segment) => segment.checked).length;
    this._clips.textContent = `Training table (${checked} checked)`;
    const available = { [CLIPS]: checked > 0, [AUDIO]: recording.length > 0 };
    $("download").disabled = !(available[$("format").value] ?? segments.all().some((segment) => segment.final));
  }

  async _download(kind) {
    const { uri } = this._session;
    const name = kind === CLIPS ? `${uri}-clips.csv` : `${uri}${this._suffixes[kind] ?? ".wav"}`;
    save(await this.make(kind), name);
    return kind;
  }

  /** The content as text or a Blob. */
  make(kind) {
    const { segments, recording, uri, duration } = this._session;
    if (kind === AUDIO) return recording.toWav();
    if (kind === CLIPS) return segments.toClips(`${uri}.wav`);
    if (!LOCAL.includes(kind)) return this._session.export(kind);
    return kind === "json" ? segments.toJson(uri, duration) : segments.toRttm(uri);
  }
}

function group(label, options) {
  const element = Object.assign(document.createElement("optgroup"), { label });
  element.append(...options);
  return element;
}

/** Download `content` as a file. */
function save(content, name) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content]));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
