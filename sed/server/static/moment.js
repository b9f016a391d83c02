/** The running moment: the likeliest emotion as a word, who speaks, and a bar for each emotion's probability. */

import { swatch } from "./table.js";

export class Moment {
  /** `list` gets the bars, `word` the likeliest emotion, `who` the speakers. */
  constructor(list, word, who, palette) {
    this._list = list;
    this._word = word;
    this._who = who;
    this._palette = palette;
    this._bars = new Map();
  }

  /** The emotions, in the order of the bars. */
  setLabels(labels) {
    this._bars.clear();
    for (const label of labels) {
      const item = document.createElement("li");
      const name = Object.assign(document.createElement("span"), { textContent: label });
      const track = Object.assign(document.createElement("span"), { className: "track" });
      const fill = Object.assign(document.createElement("span"), { className: "fill" });
      fill.style.background = this._colour(label);
      track.append(fill);
      const value = Object.assign(document.createElement("span"), { className: "value", textContent: "–" });
      item.append(name, track, value);
      this._bars.set(label, { fill, value });
    }
    this._list.replaceChildren(...[...this._bars.values()].map(({ fill }) => fill.closest("li")));
  }

  /** Legend entries for the labels. */
  legend() {
    return [...this._bars.keys()].map((label) => {
      const item = document.createElement("li");
      item.append(swatch(this._palette, label), label);
      return item;
    });
  }

  /** Name those who speak; null: nobody listens. */
  setSpeakers(names) {
    this._who.textContent = names === null ? "not listening" : names.join(" and ") || "nobody speaks";
  }

  /** Show `probabilities` by label; null, or silence, shows nothing. */
  show(probabilities, audible) {
    let best = null;
    for (const [label, { fill, value }] of this._bars) {
      const p = probabilities && audible ? probabilities[label] : null;
      fill.style.width = `${100 * (p ?? 0)}%`;
      value.textContent = p === null ? "–" : `${Math.round(100 * p)} %`;
      if (p !== null && (best === null || p > probabilities[best])) best = label;
    }
    this._word.textContent = best ?? "–";
    this._word.parentElement.style.borderColor = best ? this._colour(best) : "";
  }

  _colour(label) {
    return (this._palette.emotions[label] ?? this._palette.other).colour;
  }
}
