/** The summary per speaker as a table; names can be changed, and two speakers merged by giving both one name. */

import { clock } from "./segments.js";
import { summarise } from "./summary.js";
import { bar, swatch } from "./table.js";
import { count } from "./words.js";

const $ = (id) => document.getElementById(id);

export class Speakers {
  /** `onRename(from, to)` is called when the user changes a name, `onClear` when the whole is to be shown. */
  constructor(palette, { onRename, onClear }) {
    this._palette = palette;
    this.labels = []; // of the model, in order
    this._onRename = onRename;
    $("part-clear").addEventListener("click", onClear);
  }

  /** Show the speakers of the whole or of `part`; `editable`: whether names can be changed. */
  show(segments, speakers, part, editable) {
    $("speakers").hidden = !segments.length;
    $("part-clear").hidden = !part;
    $("rename-help").hidden = !editable;
    $("part-text").textContent = part ? `${clock(part.start, 1)} – ${clock(part.end, 1)}` : "whole recording";
    if (!segments.length || $("summary").contains(document.activeElement)) return; // not while a name is typed
    const key = `${speakers} ${editable} ${part?.start} ${part?.end}`;
    if (this._segments === segments && this._key === key) return;
    Object.assign(this, { _segments: segments, _key: key });
    const rows = summarise(segments, speakers, part).map((row) => this._row(row, editable));
    $("summary").replaceChildren(...rows);
  }

  _row({ speaker, talk, share, turns, interruptions, emotions: found }, editable) {
    const emotions = this._inOrder(found);
    const row = document.createElement("tr");
    const head = Object.assign(document.createElement("th"), { scope: "row" });
    head.append(this._name(speaker, editable));
    const mix = document.createElement("td");
    mix.className = "mix";
    const shares = emotions.map(({ emotion, share: part }) => [emotion, part]);
    mix.append(bar(this._palette, shares), this._shares(emotions));
    const counts = [cell(turns), cell(interruptions)];
    ["turns", "interrupts"].forEach((name, n) => (counts[n].dataset.name = name)); // shown where there is no header
    row.append(head, cell(`${clock(talk)}`, `${Math.round(100 * share)} %`), mix, ...counts);
    row.setAttribute("role", "row"); // a grid on narrow screens
    head.setAttribute("role", "rowheader");
    for (const other of row.querySelectorAll("td")) other.setAttribute("role", "cell");
    return row;
  }

  /** In the order of the model's labels, so that rows can be compared. */
  _inOrder(emotions) {
    const place = ({ emotion }) => (this.labels.indexOf(emotion) + 1 || Infinity);
    return [...emotions].sort((a, b) => place(a) - place(b));
  }

  _name(speaker, editable) {
    const input = Object.assign(document.createElement("input"), { value: speaker, type: "text", readOnly: !editable });
    input.className = "name";
    input.setAttribute("aria-label", `Name of ${speaker}`);
    input.maxLength = 60;
    input.spellcheck = false;
    const take = () => {
      const name = input.value.trim().replace(/\s+/g, " ");
      if (name && name !== speaker) this._onRename(speaker, name);
      else input.value = speaker;
    };
    input.addEventListener("change", () => {
      input.blur();
      take();
    });
    input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") input.value = speaker;
      if (event.key === "Enter" || event.key === "Escape") input.blur();
    });
    return input;
  }

  _shares(emotions) {
    const list = Object.assign(document.createElement("ul"), { className: "shares" });
    for (const { emotion, seconds, share } of emotions) {
      const item = document.createElement("li");
      item.append(swatch(this._palette, emotion), `${emotion} ${Math.round(100 * share)} % · ${clock(seconds)}`);
      list.append(item);
    }
    return list;
  }
}

/** What a screen reader reads for the rows of the timeline: one text per speaker. */
export function lanesInWords(segments, speakers) {
  return summarise(segments, speakers).map(({ speaker, talk, turns, emotions }) => {
    const mix = emotions.map(({ emotion, share }) => `${emotion} ${Math.round(100 * share)} %`).join(", ");
    return `${speaker}: ${count(turns, "turn")}, speaks ${clock(talk)}; ${mix}`;
  });
}

function cell(text, note = "") {
  const element = document.createElement("td");
  element.append(String(text));
  if (note) element.append(Object.assign(document.createElement("span"), { className: "quiet", textContent: ` ${note}` }));
  return element;
}
