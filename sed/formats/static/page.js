const LANE = 34, CURVE = 64, AXIS = 24, GAP = 8, BIN = 6;
const STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
const duration = Math.max(data.duration, 0.001);
const segments = unpack(data.segments);
const audio = new Audio();
let zoom = 1, chosen = null, playable = Boolean(data.audio);

/** The segments of columns (`html.py` has their units). */
function unpack({ start, length, speaker, label, confidence, probabilities }) {
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", wide = start.length && probabilities.length / start.length;
  let time = 0;
  return start.map((later, number) => {
    time += later;
    const own = [...probabilities.slice(number * wide, (number + 1) * wide)].map((digit) => digits.indexOf(digit) / 63);
    return { start: time / 1000, end: (time + length[number]) / 1000, speaker: speaker[number], label: label[number], number,
      confidence: confidence[number] === null ? null : confidence[number] / 1000, probabilities: own.length && own[0] >= 0 ? own : null };
  });
}

function draw(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}


/* Player */
const playIcon = draw("path", {});
const playButton = make("button", { id: "play", type: "button", onclick: toggle });
const icon = draw("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" });
icon.append(playIcon);
playButton.append(icon);
const clockText = make("span", { id: "clock" });
const speed = make("select", { id: "speed", "aria-label": "Speed", onchange: () => (audio.playbackRate = Number(speed.value)) },
  ...[0.5, 0.75, 1, 1.25, 1.5, 2].map((x) => make("option", { value: x, selected: x === 1 }, `${x}×`)));
const chooser = make("input", { type: "file", accept: "audio/*,video/*", id: "file", onchange: () => {
  if (chooser.files[0]) { playable = true; audio.src = URL.createObjectURL(chooser.files[0]); refresh(); }
} });
const fileLabel = make("label", { class: "file" }, "Choose the recording…", chooser);
const note = make("span", { class: "quiet", role: "status", id: "note" });

function toggle() {
  if (!playable) return;
  if (audio.paused) play(); else audio.pause();
}
function play() {
  audio.play().catch((error) => { if (error.name !== "AbortError") missing(); });
}
function missing() {
  if (!playable && !data.audio) return;
  playable = false;
  note.textContent = "The recording was not found beside this page.";
  refresh();
}
function seek(seconds, start = true) {
  if (playable) { audio.currentTime = seconds; if (start) play(); }
  moveHead(seconds);
}
function choose(segment) {
  mark(segment);
  seek(segment.start);
}
function mark(segment) {
  chosen = segment;
  drawRows();
  drawView();
}
function refresh() {
  playButton.disabled = !playable;
  playButton.setAttribute("aria-label", audio.paused ? "Play" : "Pause");
  playIcon.setAttribute("d", audio.paused ? "M3 1l12 7-12 7z" : "M2 1h4v14H2zM10 1h4v14h-4z");
  fileLabel.hidden = playable;
  speed.hidden = !playable;
  if (playable) note.textContent = "";
  clockText.textContent = `${clock(audio.currentTime, 1)} / ${clock(duration)}`;
}
for (const event of ["play", "pause", "ended", "loadedmetadata"]) audio.addEventListener(event, refresh);
audio.addEventListener("error", missing);
audio.addEventListener("timeupdate", () => { refresh(); moveHead(audio.currentTime); });
(function animate() {
  if (!audio.paused) moveHead(audio.currentTime);
  requestAnimationFrame(animate);
})();

/* Timeline */
const scroller = make("div", { class: "scroller", tabindex: "0", role: "group", "aria-label": "Timeline; a click plays from there" });
const names = make("div", { class: "names", "aria-hidden": "true" });
const headLine = draw("line", { class: "head-line", y1: 0 });
let scale = 1, svg = null, view = null, curveHeight = 0;

function moveHead(seconds) {
  const x = seconds * scale;
  headLine.setAttribute("x1", x);
  headLine.setAttribute("x2", x);
  if (!audio.paused && (x < scroller.scrollLeft || x > scroller.scrollLeft + scroller.clientWidth - 20))
    scroller.scrollLeft = x - 60;
}

function area(label, width) {
  const points = data.curve, step = width / (points.length - 1), floor = CURVE;
  const below = points.map((row) => row.slice(0, label).reduce((a, b) => a + b, 0));
  const at = (height) => (floor - (height * CURVE) / 100).toFixed(1);
  const upper = points.map((row, n) => `${(n * step).toFixed(1)},${at(below[n] + row[label])}`);
  const lower = points.map((row, n) => `${(n * step).toFixed(1)},${at(below[n])}`).reverse();
  return draw("path", { class: "area", d: `M${upper.join("L")}L${lower.join("L")}Z`, fill: data.colours[label] });
}

function drawSegment(s, top) {
  const x = s.start * scale, wide = Math.max(1.2, (s.end - s.start) * scale - 0.6), y = top + s.speaker * LANE + 3;
  const rect = draw("rect", { class: "seg", x: x.toFixed(2), y, width: wide.toFixed(2), height: LANE - 6,
    rx: Math.min(4, wide / 3), fill: data.colours[s.label], "data-number": s.number });
  rect.append(draw("title", {}, `${clock(s.start, 1)} to ${clock(s.end, 1)}, ${speakerName(s.speaker)}: ${labelName(s.label)}`));
  if (chosen === s) rect.classList.add("on");
  if (!shown(s)) rect.classList.add("dim");
  view.append(rect);
  if (wide > 7 * labelName(s.label).length + 8 && shown(s))
    view.append(draw("text", { class: "in", x: x + wide / 2, y: y + 18, fill: data.inks[s.label] }, labelName(s.label)));
}

/** Too many segments to be distinguished: columns of 6 px, as high as the share of their time that the speaker talks. */
function drawBins(own, from, to) {
  const first = Math.floor(from / BIN), count = Math.ceil(to / BIN) - first, seconds = BIN / scale;
  const bins = data.speakers.map(() => Array.from({ length: count }, () => data.labels.map(() => 0)));
  for (const s of own)
    for (let n = Math.max(0, Math.floor(s.start / seconds) - first); n < count && (n + first) * seconds < s.end; n += 1)
      bins[s.speaker][n][s.label] += Math.min(s.end, (n + first + 1) * seconds) - Math.max(s.start, (n + first) * seconds);
  bins.forEach((columns, speaker) => columns.forEach((time, n) => {
    let y = curveHeight + (speaker + 1) * LANE - 3;
    const fit = (LANE - 6) / Math.max(seconds, time.reduce((a, b) => a + b, 0));
    time.forEach((part, label) => {
      if (part <= 0) return;
      y -= part * fit;
      view.append(draw("rect", { class: "bin", x: (n + first) * BIN, y: y.toFixed(1), width: BIN - 1, height: (part * fit).toFixed(1), fill: data.colours[label] }));
    });
  }));
}

function drawTicks(from, to, width, height) {
  const step = STEPS.find((s) => s * scale >= 74) ?? 86400;
  for (let n = Math.max(0, Math.floor(from / scale / step)); n * step <= Math.min(duration, to / scale); n += 1) {
    const time = n * step, x = Math.min(Math.max(time * scale, 0.5), width - 0.5);
    view.append(draw("line", { class: "grid", x1: x, x2: x, y1: height - AXIS, y2: height - AXIS + 5 }));
    const shift = time === 0 ? 14 : Math.min(0, width - 26 - time * scale);
    view.append(draw("text", { class: "tick", x: x + shift, y: height - 5 }, clock(time, step < 1 ? 1 : 0)));
  }
}

/** Draw what is in view, and as much on both sides. */
function drawView() {
  const width = Number(svg.getAttribute("width")), height = Number(svg.getAttribute("height"));
  const from = Math.max(0, scroller.scrollLeft - scroller.clientWidth), to = Math.min(width, scroller.scrollLeft + 2 * scroller.clientWidth);
  view.replaceChildren();
  drawTicks(from, to, width, height);
  const near = segments.filter((s) => s.start * scale < to && s.end * scale > from);
  if (segments.length > width / 7) drawBins(near.filter(shown), from, to);
  else for (const s of near) drawSegment(s, curveHeight);
}

function drawTimeline() {
  const width = Math.max(200, scroller.clientWidth) * zoom;
  curveHeight = data.curve.length > 1 ? CURVE + GAP : 0;
  const height = curveHeight + data.speakers.length * LANE + AXIS;
  scale = width / duration;
  svg = draw("svg", { width, height, role: "img", "aria-label": "Emotions of each speaker over time; the list has the same" });
  view = draw("g", {});
  if (curveHeight) {
    svg.append(draw("rect", { class: "back", width, height: CURVE, rx: 4 }));
    data.labels.forEach((_, label) => svg.append(area(label, width)));
  }
  data.speakers.forEach((_, row) =>
    svg.append(draw("rect", { class: "back", width, y: curveHeight + row * LANE + 3, height: LANE - 6, rx: 4 })));
  headLine.setAttribute("y2", height - AXIS);
  svg.append(view, headLine);
  svg.addEventListener("click", (event) => {
    const number = event.target.dataset?.number, x = event.clientX - svg.getBoundingClientRect().left;
    if (number !== undefined) mark(segments[number]);
    seek(x / scale);
  });
  scroller.replaceChildren(svg);
  names.replaceChildren(...(curveHeight ? [row("all", CURVE, GAP, true)] : []),
    ...data.speakers.map((_, n) => row(speakerName(n), LANE, 0, false)));
  drawView();
  moveHead(playable ? audio.currentTime : chosen?.start ?? 0);
}
scroller.addEventListener("scroll", () => drawView());

function row(text, height, gap, soft) {
  const element = make("div", { class: soft ? "quiet" : null, title: text }, make("span", {}, text));
  element.style.height = `${height}px`;
  element.style.marginBottom = `${gap}px`;
  return element;
}

function setZoom(factor, anchor = 0.5) {
  const middle = (scroller.scrollLeft + scroller.clientWidth * anchor) / (scroller.clientWidth * zoom);
  zoom = Math.min(Math.max(1, zoom * factor), Math.max(1, duration / 5));
  drawTimeline();
  scroller.scrollLeft = middle * scroller.clientWidth * zoom - scroller.clientWidth * anchor;
}
scroller.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  setZoom(event.deltaY < 0 ? 1.25 : 0.8, (event.clientX - scroller.getBoundingClientRect().left) / scroller.clientWidth);
}, { passive: false });

/* Summary */
function shares(own) {
  const time = data.labels.map(() => 0);
  for (const s of own) time[s.label] += s.end - s.start;
  return time;
}
function summaryRow(name, own) {
  const time = shares(own), total = time.reduce((a, b) => a + b, 0);
  let turns = 0, last = -Infinity;
  for (const s of own) { if (s.start - last > 0.5) turns += 1; last = Math.max(last, s.end); }
  return make("tr", {}, make("td", { class: "name" }, name),
    make("td", { class: "n", "data-name": "talks" }, clock(total)),
    make("td", { class: "n", "data-name": "turns" }, String(turns)),
    make("td", { class: "wide" }, bar(time, true), parts(time)));
}
function summary() {
  const rows = data.speakers.map((_, n) => summaryRow(speakerName(n), segments.filter((s) => s.speaker === n)));
  const head = make("tr", {}, make("th", {}, "Speaker"), make("th", { class: "n" }, "Talk time"),
    make("th", { class: "n", title: "Runs of speech with pauses of at most half a second" }, "Turns"), make("th", { class: "wide" }, "Emotions"));
  return make("table", { class: "summary" }, head, ...rows);
}

/* Page */
const named = data.speakers.filter((name) => name !== null).length;
const facts = [clock(duration), ...(named ? [plural(named, "speaker")] : []), plural(segments.length, "segment")];
for (const [name, value] of Object.entries(data.settings))
  facts.push(`${name} ${typeof value === "object" ? Object.entries(value).map((pair) => pair.join(" ")).join(", ") : value}`);
document.getElementById("page").append(
  make("h1", {}, data.uri), make("p", { class: "facts" }, facts.join(" · ")),
  make("section", { class: "card", "aria-label": "Timeline" },
    make("div", { class: "head controls" }, playButton, clockText, speed, fileLabel, note, make("span", { class: "spring" }),
      make("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
        make("button", { type: "button", id: "out", "aria-label": "Zoom out", onclick: () => setZoom(0.5) }, "−"),
        make("button", { type: "button", id: "in", "aria-label": "Zoom in", onclick: () => setZoom(2) }, "+"))),
    make("div", { class: "timeline" }, names, scroller),
    make("ul", { class: "legend" }, ...data.labels.map((_, label) => make("li", {}, dot(label), labelName(label))))),
  make("section", { class: "card", "aria-label": "Speakers", hidden: !segments.length },
    make("div", { class: "head" }, make("h2", {}, "Speakers")), summary()),
  make("section", { class: "card", "aria-label": "Segments" },
    make("div", { class: "head filters" }, make("h2", {}, "Segments"), found, search, bySpeaker, byLabel, order), listBox),
  make("footer", {}, "Estimates of expressed emotion by a model, which misses much and errs often. ",
    "The band “all” shows the probability of each emotion, smoothed; its height is the share of time with speech."));
if (data.audio) { audio.preload = "metadata"; audio.src = data.audio; }
refresh();
filter();
new ResizeObserver(() => { drawTimeline(); drawRows(); }).observe(document.body);
document.addEventListener("keydown", (event) => {
  if (event.key === " " && (event.target === document.body || event.target === scroller)) { event.preventDefault(); toggle(); }
});

/** `#t=12.5` in the address chooses what is said at that time, in seconds, without playing it. */
function follow(address) {
  const found = /^#t=(\d+(?:\.\d+)?)$/.exec(address);
  if (!found) return;
  const seconds = Number(found[1]), segment = segments.find((s) => s.start <= seconds + 0.002 && seconds < s.end);
  seek(Math.min(seconds, duration), false);
  if (!segment) return;
  mark(segment);
  const place = kept.indexOf(segment);
  if (place >= 0) reveal(place, true);
}
addEventListener("hashchange", () => follow(location.hash));
follow(location.hash);
