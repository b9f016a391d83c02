/* The list of segments and its filter. Only the rows in view exist, so that 10,000 segments scroll smoothly. */
const SPARE = 8, HIGHEST = 560; // rows beyond those in view; pixels
const search = make("input", { id: "search", type: "search", placeholder: "Search speaker, emotion or time", "aria-label": "Search", oninput: filter });
const bySpeaker = select("All speakers", data.speakers.map((_, n) => speakerName(n)));
const byLabel = select("All emotions", data.labels.map((_, n) => labelName(n)));
const order = make("select", { "aria-label": "Order", onchange: filter },
  make("option", { value: "time" }, "By time"), make("option", { value: "sure" }, "Most certain first"), make("option", { value: "long" }, "Longest first"));
const list = make("ol", { "aria-label": "Segments", onkeydown: moveInList });
const listBox = make("div", { class: "rows", id: "rows", onscroll: () => drawRows() }, list);
const found = make("span", { class: "quiet", role: "status", id: "found" });
const drawn = new Map(); // number of a segment -> its row
let kept = [], printing = false;

function select(all, options) {
  return make("select", { "aria-label": all, onchange: filter }, make("option", { value: "" }, all),
    ...options.map((text, n) => make("option", { value: n }, text)));
}
function shown(s) {
  if (bySpeaker.value !== "" && s.speaker !== Number(bySpeaker.value)) return false;
  if (byLabel.value !== "" && s.label !== Number(byLabel.value)) return false;
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return true;
  const text = `${speakerName(s.speaker)} ${labelName(s.label)} ${clock(s.start, 1)} ${clock(s.end, 1)}`.toLowerCase();
  return words.every((word) => text.includes(word));
}
function listRow(s) {
  const chip = make("span", { class: "chip", background: data.colours[s.label], ink: data.inks[s.label] }, labelName(s.label));
  const button = make("button", { type: "button", "data-number": s.number, onclick: () => choose(s) },
    make("span", {}, clock(s.start, 1), make("span", { class: "until quiet" }, ` – ${clock(s.end, 1)}`)),
    make("span", { class: "who" }, speakerName(s.speaker)), chip,
    s.probabilities ? bar(s.probabilities, false) : make("span", { class: "bar", hidden: true }),
    make("span", { class: "sure" }, s.confidence === null ? "" : `${Math.round(100 * s.confidence)} %`));
  return make("li", {}, button);
}
const rowHeight = () => list.querySelector("li:not(.empty)")?.offsetHeight || 41;

/** Create the rows in view, and remove the others; one of them is a tab stop. */
function drawRows() {
  const height = rowHeight(), room = Math.max(HIGHEST, listBox.clientHeight);
  const first = printing ? 0 : Math.max(0, Math.min(kept.length, Math.floor(listBox.scrollTop / height)) - SPARE);
  const last = printing ? kept.length : Math.min(kept.length, first + Math.ceil(room / height) + 2 * SPARE);
  const view = kept.slice(first, last), numbers = new Set(view.map((s) => s.number));
  for (const [number, row] of drawn) if (!numbers.has(number)) { row.remove(); drawn.delete(number); }
  const stop = [Number(document.activeElement?.dataset?.number), chosen?.number, view[0]?.number].find((n) => numbers.has(n));
  view.forEach((s, n) => {
    if (!drawn.has(s.number)) drawn.set(s.number, listRow(s));
    const row = drawn.get(s.number), button = row.firstChild;
    row.setAttribute("aria-posinset", first + n + 1);
    row.setAttribute("aria-setsize", kept.length);
    button.tabIndex = s.number === stop ? 0 : -1;
    button.classList.toggle("on", s === chosen);
    if (list.children[n] !== row) list.insertBefore(row, list.children[n] ?? null);
  });
  list.style.paddingTop = `${first * height}px`;
  list.style.paddingBottom = `${(kept.length - last) * height}px`;
}
/** Scroll the list, not the page, until the row at `place` is in view; `middle`: in the middle of it. */
function reveal(place, middle = false) {
  const height = rowHeight(), room = listBox.clientHeight - height, top = place * height;
  listBox.scrollTop = middle ? top - room / 2 : Math.max(top - room, Math.min(top, listBox.scrollTop));
  drawRows();
}
function moveInList(event) {
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity }[event.key];
  const at = kept.findIndex((s) => s.number === Number(event.target.dataset.number));
  if (!step || at < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  const to = Math.max(0, Math.min(kept.length - 1, at + step));
  reveal(to);
  drawn.get(kept[to].number).firstChild.focus({ preventScroll: true });
  drawRows();
}
function filter() {
  kept = segments.filter(shown);
  if (order.value === "sure") kept.sort((a, b) => (b.confidence ?? 0) - (a.confidence ?? 0));
  if (order.value === "long") kept.sort((a, b) => b.end - b.start - (a.end - a.start));
  listBox.scrollTop = 0;
  list.replaceChildren();
  drawn.clear();
  drawRows();
  if (!kept.length) list.append(make("li", { class: "empty" }, segments.length ? "No segment matches." : "No speech in this recording."));
  const seconds = kept.reduce((sum, s) => sum + s.end - s.start, 0);
  found.textContent = `${plural(kept.length, "segment")}, ${clock(seconds)}`;
  drawTimeline();
}
for (const [event, all] of [["beforeprint", true], ["afterprint", false]]) addEventListener(event, () => { printing = all; drawRows(); });

