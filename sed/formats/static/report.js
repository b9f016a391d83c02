const SHOWN = 200;
const sum = (time) => time.reduce((a, b) => a + b, 0);
const neutral = data.labels.indexOf(data.neutral);
const moving = (time) => sum(time.filter((_, label) => label !== neutral && data.labels[label] !== null));
const percent = (part, whole) => (whole ? `${Math.round((100 * part) / whole)} %` : "–");

function tile(value, text) {
  return make("div", { class: "tile" }, make("b", {}, value), make("span", {}, text));
}

function tiles() {
  const total = data.labels.map((_, label) => sum(data.days.map(([, , time]) => time[label])));
  return make("div", { class: "tiles" },
    tile(data.recordings.toLocaleString("en"), data.recordings === 1 ? "recording" : "recordings"),
    tile(clock(data.duration), "recorded"), tile(clock(sum(total)), "of speech"),
    tile(percent(moving(total), sum(total)), "of speech not neutral"));
}

function groupRow([name, recordings, time], empty) {
  return make("tr", {}, make("td", { class: "name" }, name ?? empty),
    make("td", { class: "n", "data-name": "recordings" }, recordings.toLocaleString("en")),
    make("td", { class: "n", "data-name": "speech" }, clock(sum(time))),
    make("td", { class: "wide" }, bar(time, true), parts(time)));
}

/** A table of sums; the largest come first unless they are `sorted`. Those left out are counted. */
function groups(title, what, rows, { sorted = false, note = null, empty = "unknown" } = {}) {
  const order = sorted ? rows : [...rows].sort((a, b) => sum(b[2]) - sum(a[2]));
  const left = sorted ? [] : order.slice(SHOWN);
  const head = make("tr", {}, make("th", { scope: "col" }, what), make("th", { class: "n", scope: "col" }, "Recordings"),
    make("th", { class: "n", scope: "col" }, "Speech"), make("th", { class: "wide", scope: "col" }, "Emotions"));
  return make("section", { class: "card", "aria-label": title },
    make("div", { class: "head" }, make("h2", {}, title), note && make("span", { class: "quiet" }, note)),
    make("table", { class: "summary groups" }, head, ...order.slice(0, order.length - left.length).map((row) => groupRow(row, empty))),
    left.length ? make("p", { class: "quiet" }, `${left.length.toLocaleString("en")} more with ${clock(sum(left.map((row) => sum(row[2]))))} of speech are in the table of --csv.`) : null);
}

function momentRow(m) {
  const chip = make("span", { class: "chip", background: data.colours[m.label], ink: data.inks[m.label] }, labelName(m.label));
  const time = `${clock(m.start, 1)} – ${clock(m.end, 1)}`;
  return make("tr", {}, make("td", {}, chip), make("td", { class: "n" }, `${Math.round(100 * m.probability)} %`),
    make("td", { class: "name" }, m.recording), make("td", { class: "time" }, m.link === null ? time : make("a", { href: m.link }, time)),
    make("td", {}, m.speaker ?? "speaker unknown"), make("td", { class: "quiet" }, m.day));
}

function moments() {
  const linked = data.moments.some((m) => m.link !== null);
  const heads = ["Emotion", "Probability", "Recording", "Time", "Speaker", "Day"];
  const head = make("tr", {}, ...heads.map((name, n) => make("th", { scope: "col", class: n === 1 ? "n" : null }, name)));
  return make("section", { class: "card", "aria-label": "Most intense moments", hidden: !data.moments.length },
    make("div", { class: "head" }, make("h2", {}, "Most intense moments"), make("span", { class: "quiet" },
      linked ? "A time opens the page of its recording." : "Pages to open from here: sed-run -o parquet,html")),
    make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table of moments" }, make("table", { class: "moments" }, head, ...data.moments.map(momentRow))));
}

const dated = data.days.map(([day]) => day).filter((day) => day !== "undated");
const facts = dated.length ? [dated.length > 1 ? `${dated[0]} to ${dated.at(-1)}` : dated[0], plural(dated.length, "day")] : ["no dates in names"];
document.getElementById("page").append(
  make("h1", {}, data.title),
  make("p", { class: "facts" }, ["Expressed emotion in an archive of recordings", ...facts].join(" · ")),
  data.failures ? make("p", { class: "card" }, `${plural(data.failures, "file")} could not be read and ${data.failures === 1 ? "is" : "are"} not in these sums.`) : "",
  tiles(),
  groups("Days", "Day", data.days, { sorted: true }),
  groups("Folders", "Folder", data.folders),
  moments(),
  groups("Speakers", "Speaker", data.speakers, { note: "Equal names in two recordings are one speaker only if they were given (--enrol) or are channels." }),
  make("footer", {}, "Estimates of expressed emotion by a model, which misses much and errs often: no measure of what a person feels. ",
    "They are reasonable as aggregates over many recordings, such as callers’ moods per topic and week, not per agent. ",
    "Inferring emotions of employees, applicants, pupils or students is prohibited in the European Union (AI Act, art. 5(1)(f)), ",
    "and no decision about an individual may rest on them. Time in which speakers overlap counts for each."));
