/** The page: connects the controls to the session, and the session's events to the views. */

import { chooser } from "./chooser.js";
import { Moment } from "./moment.js";
import { Panel } from "./panel.js";
import { Player } from "./recording.js";
import { clock, describe, save } from "./segments.js";
import { storeSecret, takeSecret } from "./secret.js";
import { Session } from "./session.js";
import { Table } from "./table.js";
import { Timeline } from "./timeline.js";

const $ = (id) => document.getElementById(id);
const ZOOM = 1.5; // factor per click

const palette = await (await fetch("palette.json")).json();
const panel = new Panel();
const timeline = new Timeline($("timeline"), palette);
const moment = new Moment($("bars"), $("now-word"), $("now-who"), palette);
const table = new Table($("rows"), palette, choose);
const player = new Player((time) => (timeline.played = time));
const session = new Session((refused) => panel.askToken(refused), takeSecret());
addEventListener("hashchange", () => session.setToken(takeSecret())); // a link with a secret in an open page
const latency = () => Number($("latency").value);
const hideChooser = chooser({
  isIdle: () => session.state === "idle",
  onAnalyse: (file) => session.analyse(file),
  onStream: (file) => session.streamFile(file, latency()),
});

// Events of the session

const on = (name, action) => session.addEventListener(name, ({ detail }) => action(detail));
on("reset", () => {
  player.stop();
  timeline.follow = true;
  timeline.clear();
  panel.clearAnnouncements();
  hideChooser();
});
on("state", (state) => {
  panel.setState(state, session.segments.all().length > 0);
  scheduleRender();
});
on("change", scheduleRender);
on("labels", showLabels);
on("token", storeSecret);
on("final", (segment) => panel.announce(segment));
on("moment", ({ probabilities, audible }) => moment.show(probabilities, audible));
on("level", (decibels) => panel.setLevel(decibels));
on("delay", (seconds) => panel.setDelay(seconds));
on("work", (work) => panel.setWork(work));
on("problem", (problem) => panel.setProblem(problem));
on("analysed", (count) => {
  timeline.follow = false;
  render();
  timeline.fit();
  panel.announceNow(`${count} segment${count === 1 ? "" : "s"} found.`);
});

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
  timeline.show(all, speakers, { duration, live });
  const listed = table.show(all, timeline.selected?.id, timeline.follow);
  moment.setSpeakers(live ? segments.speaking(duration) : null);
  const speakerCount = `${speakers.length} speaker${speakers.length === 1 ? "" : "s"}`;
  const listedCount = listed < all.length ? ` · ${listed} of them listed` : "";
  $("count").textContent = all.length ? `${all.length} · ${speakerCount}${listedCount}` : "";
  $("clock").textContent = clock(duration);
  $("rttm").disabled = $("json").disabled = !all.some((segment) => segment.final);
  $("wav").disabled = !recording.length;
}

function showLabels(labels) {
  moment.setLabels(labels);
  $("legend").replaceChildren(...moment.legend());
}

/** Select a segment and play it; null stops playback. */
function choose(segment) {
  if (!segment) return player.stop();
  timeline.select(segment.id);
  const isPlaying = player.play(session.recording, segment.start, segment.end);
  if (!isPlaying) panel.setProblem("The audio of this segment is no longer stored in the page.");
}

// Controls

$("record").addEventListener("click", () => (session.state === "idle" ? session.start(latency()) : session.stop(null)));
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
timeline.addEventListener("select", ({ detail }) => {
  if (detail) panel.announceNow(describe(detail));
  scheduleRender();
});
timeline.addEventListener("view", ({ detail: { start, span, duration, follow } }) => {
  $("scroll").hidden = duration <= span;
  $("scroll").max = Math.max(0, duration - span);
  $("scroll").value = start;
  $("scroll").ariaValueText = `from ${clock(start)}`;
  $("follow").checked = follow;
});
const exported = {
  json: () => session.segments.toJson(session.uri, session.duration),
  rttm: () => session.segments.toRttm(session.uri),
  wav: () => session.recording.toWav(),
};
const MIME_TYPES = { json: "application/json", rttm: "text/plain", wav: "audio/wav" };
for (const [kind, make] of Object.entries(exported)) {
  $(kind).addEventListener("click", () => save(make(), `${session.uri}.${kind}`, MIME_TYPES[kind]));
}
addEventListener("beforeunload", (event) => session.state === "live" && event.preventDefault());

$("server").textContent = location.host;
showLabels(palette.labels);
session.segments.labels = palette.labels;
panel.setState("idle", false);
render();
/** For tests and the browser's console: the exports without a click. */
globalThis.sed = { ...exported, state: () => session.state };
