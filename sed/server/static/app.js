/** The page: connects the controls to the session, and the session's events to the views. */

import { chooser } from "./chooser.js";
import { Editing } from "./editing.js";
import { Exports } from "./exports.js";
import { Filter } from "./filter.js";
import { Keeping } from "./keeping.js";
import { Moment } from "./moment.js";
import { Panel } from "./panel.js";
import { Playback } from "./playback.js";
import { clock, describe } from "./segments.js";
import { storeSecret, takeSecret } from "./secret.js";
import { Session } from "./session.js";
import { lanesInWords, Speakers } from "./speakers.js";
import { Table } from "./table.js";
import { Timeline } from "./timeline.js";
import { count, problemOf } from "./words.js";

const $ = (id) => document.getElementById(id);
const ZOOM = 1.5; // factor per click
const EXAMPLE = "example.flac";

const [palette, about] = await Promise.all(["palette.json", "about.json"].map((name) => fetch(name).then((r) => r.json())));
const panel = new Panel();
const timeline = new Timeline($("timeline"), palette);
const moment = new Moment($("bars"), $("now-word"), $("now-who"), palette);
const session = new Session((refused) => panel.askToken(refused), takeSecret(), features);
const playback = new Playback(session, timeline, (text) => panel.setProblem(text));
const table = new Table($("rows"), palette, { onPlay: choose, onSelect: (id) => timeline.select(id) });
const filter = new Filter(scheduleRender);
const speakersTable = new Speakers(palette, { onRename: rename, onClear: () => (timeline.part = null) });
const keeping = await Keeping.open(session, (text) => panel.setProblem(text));
const editing = new Editing({ session, timeline, playback, palette, onChange: corrected });
const exporter = new Exports(session, about.formats, {
  onSaved: (kind) => kind !== "wav" && keeping.saved(),
  onProblem: (error) => panel.setProblem(problemOf(error)),
});
addEventListener("hashchange", () => session.setToken(takeSecret())); // a link with a secret in an open page
const latency = () => Number($("latency").value);
/** Run `action` if nothing is lost by it, or the user agrees. */
const ifFree = (action) => (...values) => keeping.unlessLost(() => action(...values));
const hideChooser = chooser({
  limits: about.limits,
  isIdle: () => session.state === "idle",
  onAnalyse: ifFree((file) => session.analyse(file)),
  onStream: ifFree((file) => session.streamFile(file, latency())),
  onResult: ifFree((file, audio) => session.openResult(file, audio)),
  onProblem: (text) => panel.setProblem(text),
});

// Events of the session

const on = (name, action) => session.addEventListener(name, ({ detail }) => action(detail));
on("reset", () => {
  playback.reset();
  timeline.follow = true;
  timeline.clear();
  filter.clear();
  panel.clearAnnouncements();
  hideChooser();
  keeping.reset();
});
on("state", (state) => {
  panel.setState(state, session.segments.all().length > 0, session.away);
  if (state === "idle") {
    editing.reset();
    if (keeping.isUnsaved) keeping.save();
  }
  scheduleRender();
});
on("change", () => {
  if (session.isLive) keeping.changed();
  scheduleRender();
});
on("labels", showLabels);
on("token", storeSecret);
on("away", (away) => panel.setState(session.state, session.segments.all().length > 0, away));
on("final", (segment) => panel.announce(segment));
on("moment", ({ probabilities, audible }) => moment.show(probabilities, audible));
on("level", (decibels) => {
  panel.setLevel(decibels);
  if (session.away) scheduleRender(); // no events of the server do
});
on("delay", (seconds) => panel.setDelay(seconds));
on("work", (work) => panel.setWork(work));
on("problem", (problem) => panel.setProblem(problem));
on("found", showWhole);
on("analysed", (found) => {
  showWhole();
  panel.announceNow(`${count(found, "segment")} found.`);
});

function showWhole() {
  timeline.follow = false;
  render();
  timeline.fit();
}

/** What the page asks of a stream, if the server offers it. */
function features() {
  const offered = new Set(about.start);
  const refine = offered.has("refine") && $("refine").checked;
  return { relabel: offered.has("relabel"), refine, resume: offered.has("resume") };
}

function corrected(what) {
  keeping.changed();
  panel.announceNow(what);
  scheduleRender();
}

function rename(from, to) {
  editing.rename(from, to);
}

// Rendering

let renderPending = false; // whether a render is scheduled for the next frame

function scheduleRender() {
  if (renderPending) return;
  renderPending = true;
  requestAnimationFrame(() => {
    renderPending = false;
    render();
  });
}

function render() {
  const { segments, duration, recording, state } = session;
  const all = segments.all();
  const speakers = segments.speakers();
  const live = state === "live" || state === "finishing";
  timeline.words = live ? [] : lanesInWords(all, speakers);
  timeline.show(all, speakers, { duration, live, recording });
  const stage = live ? "live" : all.length ? "done" : "empty";
  document.body.dataset.stage = stage;
  if (stage === "done") moment.sumUp(all, timeline.part);
  else moment.setSpeakers(live ? segments.speaking(duration) : null);
  $("now-title").textContent = stage === "done" ? "Emotions" : "Now";
  $("now-hint").hidden = stage !== "done" || !editing.enabled;
  renderList(all, speakers);
  speakersTable.show(all, speakers, timeline.part, editing.enabled);
  $("clock").textContent = clock(live ? Math.max(duration, recording.duration) : duration);
  $("pale").hidden = !live && state !== "analysing";
  editing.update();
  playback.update();
  exporter.update();
}

function renderList(all, speakers) {
  filter.offer(speakers, [...new Set(all.map((segment) => segment.emotion ?? "unknown"))].sort());
  const listed = filter.apply(all);
  table.show(listed, timeline.selected?.id, timeline.follow);
  $("filters").hidden = !all.length;
  const shown = listed.length < all.length ? `${listed.length} of ${all.length}` : `${all.length}`;
  $("count").textContent = all.length ? `${shown} · ${count(speakers.length, "speaker")}` : "";
}

function showLabels(labels) {
  moment.setLabels(labels);
  timeline.labels = speakersTable.labels = labels;
  $("legend").replaceChildren(...moment.legend());
}

/** Select a segment and play it. */
function choose(segment) {
  timeline.select(segment.id);
  playback.play(segment);
}

async function tryExample() {
  const response = await fetch(EXAMPLE);
  session.analyse(new File([await response.blob()], EXAMPLE));
}

// Controls

$("record").addEventListener("click", () => (session.state === "idle" ? startRecording() : session.stop(null)));
const startRecording = ifFree(() => session.start(latency()));
$("example").addEventListener("click", ifFree(tryExample));
$("zoom-in").addEventListener("click", () => timeline.zoom(1 / ZOOM));
$("zoom-out").addEventListener("click", () => timeline.zoom(ZOOM));
$("fit").addEventListener("click", () => {
  timeline.follow = false;
  timeline.fit();
});
$("follow").addEventListener("change", () => {
  timeline.follow = $("follow").checked;
  scheduleRender();
});
$("scroll").addEventListener("input", () => timeline.scrollTo(Number($("scroll").value)));
timeline.addEventListener("choose", ({ detail }) => choose(detail));
timeline.addEventListener("part", scheduleRender);
timeline.addEventListener("select", ({ detail }) => {
  if (detail && !timeline.hasFocus) panel.announceNow(describe(detail)); // a focused segment is read anyway
  scheduleRender();
});
timeline.addEventListener("view", ({ detail: { start, span, duration, follow } }) => {
  $("scroll").hidden = duration <= span;
  $("scroll").max = Math.max(0, duration - span);
  $("scroll").value = start;
  $("scroll").ariaValueText = `from ${clock(start)}`;
  $("follow").checked = follow;
});
addEventListener("beforeunload", (event) => session.isLive && event.preventDefault());

$("server").textContent = location.host;
$("refine").parentElement.hidden = !about.start.includes("refine");
showLabels(palette.labels);
session.segments.labels = palette.labels;
panel.setState("idle", false, false);
render();
/** For tests and the browser's console: the exports without a click. */
const exported = Object.fromEntries(["json", "rttm", "wav", "clips"].map((kind) => [kind, () => exporter.make(kind)]));
globalThis.sed = { ...exported, state: () => session.state, session, timeline, playback, keep: () => keeping.save() };
