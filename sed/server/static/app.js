/** The page: buttons, the microphone or a file, one stream at a time, and everything that shows it. */

import { diarizeFile, SedStream } from "./client.js";
import { Microphone } from "./microphone.js";
import { Moment } from "./moment.js";
import { decodeFile, Player, Recording } from "./recording.js";
import { clock, save, Segments } from "./segments.js";
import { Table } from "./table.js";
import { describe, Timeline } from "./timeline.js";

const $ = (id) => document.getElementById(id);
const TOO_FAR = 30; // seconds behind at which listening stops rather than fill the memory
const PATIENCE = 100; // frames of 100 ms that are kept until the server is ready
const LATE = 3; // seconds behind, beyond the latency, of which the page warns

const palette = await (await fetch("palette.json")).json();
const timeline = new Timeline($("timeline"), palette);
const moment = new Moment($("bars"), $("now-word"), palette);
const table = new Table($("rows"), palette, (segment) => choose(segment));
let segments = new Segments();
let recording = new Recording();
let player = makePlayer();
let uri = "recording";
let duration = 0; // seconds heard by the server, or of the file
let settled = 0;
let state = "idle"; // idle, connecting, live, finishing, analysing
let stream = null;
let microphone = null;
let abort = null; // of a file's analysis
let file = null; // that waits for a decision
let token = new URLSearchParams(location.hash.slice(1)).get("token") ?? undefined;
let dirty = false;
const unsaid = []; // final segments that a screen reader has not been told yet

// State and messages

function setState(next) {
  state = next;
  const words = {
    idle: segments.all().length ? "Done" : "Ready",
    connecting: "Connecting",
    live: "Listening",
    finishing: "Finishing",
    analysing: "Analysing",
  };
  $("status").textContent = words[state];
  $("status").parentElement.dataset.state = state;
  $("behind").textContent = "";
  const busy = state !== "idle";
  $("listen").setAttribute("aria-pressed", String(busy));
  $("listen-text").textContent = busy ? "Stop" : "Listen";
  $("listen").disabled = state === "finishing";
  for (const id of ["open", "latency", "analyse", "play-live"]) $(id).disabled = busy;
  changed();
}

function say(problem) {
  $("problem").textContent = problem ?? "";
  $("problem").hidden = !problem;
}

function setLevel(decibels) {
  const shown = Math.max(-60, Math.min(0, decibels));
  $("level").firstElementChild.style.width = `${(100 * (shown + 60)) / 60}%`;
  $("level").ariaValueNow = Math.round(shown);
}

function showWork(text, share) {
  $("work").hidden = text === null;
  if (text === null) return;
  $("work-text").textContent = text;
  if (share === undefined) $("work-bar").removeAttribute("value");
  else $("work-bar").value = share;
}

// One stream or file

function begin(name) {
  player.stop();
  segments = new Segments();
  recording = new Recording();
  player = makePlayer();
  uri = name;
  duration = settled = 0;
  timeline.follow = true;
  timeline.clear();
  unsaid.length = 0;
  $("choice").hidden = true;
  $("empty").hidden = true;
  say(null);
}

async function connect() {
  const latency = Number($("latency").value);
  const opened = await withToken(() => SedStream.open({ sampleRate: 16000, latency, token }));
  if (state !== "connecting") {
    opened.close(); // stopped meanwhile
    return false;
  }
  setLabels(opened.labels);
  opened.addEventListener("segment", ({ detail }) => {
    segments.apply(detail);
    settled = detail.settled;
    if (detail.final && detail.segment) unsaid.push({ ...detail.segment, final: true });
    changed();
  });
  opened.addEventListener("progress", ({ detail }) => {
    duration = detail.time;
    settled = detail.settled;
    moment.show(detail.probabilities, detail.level > -55);
    if (!microphone) setLevel(detail.level);
    const behind = opened.behind - opened.latency;
    $("behind").textContent = microphone && behind > LATE ? ` · ${behind.toFixed(0)} s behind` : "";
    changed();
  });
  opened.addEventListener("error", ({ detail }) => stop(sentence(detail.message)));
  stream = opened;
  return true;
}

/** Run `action`; if the server wants its secret, ask for it and try again. */
async function withToken(action) {
  for (;;) {
    try {
      return await action();
    } catch (error) {
      if (error.code !== "unauthorized" || !(await askToken())) throw error;
    }
  }
}

function askToken() {
  const dialog = $("secret");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      token = $("token").value || undefined;
      resolve(dialog.returnValue === "ok" && token !== undefined);
    };
  });
}

async function listen() {
  begin(`live-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-")}`);
  setState("connecting");
  try {
    const pending = []; // what is said while the server gets ready
    const opened = await Microphone.open({
      onFrame: (frame) => {
        if (stream) return sendFrame(frame);
        pending.push(frame);
        if (pending.length > PATIENCE) pending.shift();
      },
      onLost: () => stop("The microphone went away. What was heard is kept."),
    });
    if (state !== "connecting") return void opened.close(); // stopped meanwhile
    microphone = opened;
    if (!(await connect())) return;
    pending.forEach(sendFrame);
    setState("live");
  } catch (error) {
    await stop(sentence(error.message));
  }
}

function sendFrame(frame) {
  recording.push(frame);
  stream.send(frame);
  let sum = 0;
  for (const sample of frame) sum += (sample / 32768) ** 2;
  setLevel(10 * Math.log10(sum / frame.length + 1e-10));
  if (stream.behind > TOO_FAR) stop("The server cannot keep up with this microphone, so listening has stopped.");
}

async function stop(problem) {
  if (state === "idle" || state === "finishing") return;
  abort?.abort();
  setState("finishing");
  await microphone?.close();
  if (stream && !stream.closed) await stream.end();
  else stream?.close();
  finish(problem);
}

function finish(problem) {
  microphone = stream = abort = null;
  showWork(null);
  moment.show(null, false);
  setLevel(-60);
  if (problem) say(problem);
  if (!segments.all().length) $("empty").hidden = false;
  setState("idle");
}

// Files

function offer(chosen) {
  if (!chosen || state !== "idle") return;
  file = chosen;
  $("choice-name").textContent = file.name;
  $("choice-detail").textContent = `${(file.size / 1e6).toFixed(1)} MB`;
  $("choice").hidden = false;
  say(null);
  $("analyse").focus();
}

async function analyse() {
  begin(stem(file.name));
  setState("analysing");
  showWork("Sending the file…");
  abort = new AbortController();
  const { signal } = abort;
  const sound = decodeFile(file).catch(() => null); // only to play it back
  try {
    const result = await withToken(() =>
      diarizeFile(file, {
        token,
        signal,
        onProgress: ({ time, duration: whole }) => {
          const of = whole ? ` of ${clock(whole)}` : "";
          showWork(`Analysed ${clock(time)}${of}`, whole ? time / whole : undefined);
        },
      }),
    );
    setLabels(result.labels);
    uri = result.uri;
    result.segments.forEach((segment, id) => segments.apply({ id, final: true, segment }));
    duration = settled = result.duration;
    const samples = await sound;
    if (samples) recording.push(samples);
    finish(samples ? null : "This browser cannot decode the file, so its sound cannot be played here.");
    timeline.follow = false;
    render();
    timeline.fit();
    $("news").textContent = `${result.segments.length} segments found.`;
  } catch (error) {
    finish(signal.aborted ? null : sentence(error.message));
  }
}

async function playLive() {
  begin(stem(file.name));
  setState("connecting");
  try {
    const samples = await decodeFile(file).catch(() => {
      throw new Error("This browser cannot decode the file; analysing the whole file may still work.");
    });
    if (!(await connect())) return;
    setState("live");
    const size = 16000 * 10;
    for (let first = 0; first < samples.length && state === "live"; first += size) {
      const part = samples.subarray(first, first + size);
      recording.push(part);
      showWork(`Sending ${clock(first / 16000)} of ${clock(samples.length / 16000)}`, first / samples.length);
      await stream.sendPaced(part, () => state === "live");
    }
    await stop(null);
  } catch (error) {
    await stop(sentence(error.message));
  }
}

// Showing

function setLabels(labels) {
  segments.labels = labels;
  moment.setLabels(labels);
  $("legend").replaceChildren(...moment.legend());
}

function changed() {
  if (dirty) return;
  dirty = true;
  requestAnimationFrame(() => {
    dirty = false;
    render();
  });
}

function render() {
  const all = segments.all();
  const live = state === "live" || state === "finishing";
  timeline.show(all, segments.speakers(), { duration, settled, live });
  table.show(all, timeline.selected?.id);
  const speakers = segments.speakers().length;
  $("count").textContent = all.length ? `${all.length} · ${speakers} speaker${speakers === 1 ? "" : "s"}` : "";
  $("clock").textContent = clock(duration);
  const some = all.some((segment) => segment.final);
  $("rttm").disabled = $("json").disabled = !some;
  $("wav").disabled = !recording.length;
}

function choose(segment) {
  if (!segment) return player.stop();
  timeline.select(segment.id);
  if (!player.play(segment.start, segment.end)) say("The sound of this segment is not kept in the page.");
}

function makePlayer() {
  return new Player(recording, (time) => (timeline.played = time));
}

setInterval(() => {
  if (unsaid.length) $("news").textContent = unsaid.splice(0).slice(-3).map(describe).join(". ");
}, 2000);

// Wiring

$("listen").addEventListener("click", () => (state === "idle" ? listen() : stop(null)));
$("open").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  offer($("file").files[0]);
  $("file").value = "";
});
$("analyse").addEventListener("click", analyse);
$("play-live").addEventListener("click", playLive);
$("forget").addEventListener("click", () => {
  $("choice").hidden = true;
  $("open").focus();
});
$("zoom-in").addEventListener("click", () => timeline.zoom(1 / 1.5));
$("zoom-out").addEventListener("click", () => timeline.zoom(1.5));
$("fit").addEventListener("click", () => {
  timeline.follow = false;
  timeline.fit();
});
$("follow").addEventListener("change", () => {
  timeline.follow = $("follow").checked;
  changed();
});
$("scroll").addEventListener("input", () => timeline.scrollTo(Number($("scroll").value)));
timeline.addEventListener("choose", ({ detail }) => choose(detail));
timeline.addEventListener("select", ({ detail }) => {
  if (detail) $("news").textContent = describe(detail);
  changed();
});
timeline.addEventListener("view", ({ detail: { start, span, duration: whole, follow } }) => {
  $("scroll").hidden = whole <= span;
  $("scroll").max = Math.max(0, whole - span);
  $("scroll").value = start;
  $("scroll").ariaValueText = `from ${clock(start)}`;
  $("follow").checked = follow;
});
$("rttm").addEventListener("click", () => save(segments.toRttm(uri), `${uri}.rttm`, "text/plain"));
$("json").addEventListener("click", () => save(segments.toJson(uri, duration), `${uri}.json`, "application/json"));
$("wav").addEventListener("click", () => save(recording.toWav(), `${uri}.wav`));

let dragged = 0;
addEventListener("dragenter", () => ($("drop").hidden = state !== "idle" || ++dragged === 0));
addEventListener("dragleave", () => ($("drop").hidden = --dragged <= 0));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  dragged = 0;
  $("drop").hidden = true;
  offer(event.dataTransfer.files[0]);
});
addEventListener("beforeunload", (event) => state === "live" && event.preventDefault());

function stem(name) {
  return name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}_.+-]+/gu, "_") || "recording";
}

function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

$("server").textContent = location.host;
setLabels(palette.labels);
setState("idle");
/** For tests and the curious: the exports without a click. */
globalThis.sed = {
  json: () => segments.toJson(uri, duration),
  rttm: () => segments.toRttm(uri),
  wav: () => recording.toWav(),
  state: () => state,
};
