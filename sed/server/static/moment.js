/**
 * The current moment: the most probable emotion, the active speakers, and a bar for each emotion's probability. When
 * nothing is recorded, the sums of the result instead.
 */

import { clock } from "./segments.js";
import { total } from "./summary.js";
import { swatch } from "./table.js";

export class Moment {
  /** `list` contains the bars, `word` the most probable emotion, `who` the speakers. */
  constructor(list, word, who, palette) {
    this._list = list;
    this._word = word;
    this._who = who;
    this._palette = palette;
    this._bars = new Map();
  }

  /** Set the emotions, in the order of the bars. */
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

  /** Show the active speakers; null: not recording. */
  setSpeakers(names) {
    this._who.textContent = names === null ? "" : names.join(" and ") || "no speech";
  }

  /** Show `probabilities` by label, or nothing if they are null or the input is silent. */
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

  /** Show the share of each emotion in all `segments`, or in `part` of the time, {start, end}. */
  sumUp(segments, part) {
    const { talk, emotions } = total(segments, part);
    const shares = Object.fromEntries(emotions.map(({ emotion, share }) => [emotion, share]));
    for (const label of this._bars.keys()) shares[label] ??= 0;
    this.show(shares, true);
    this._word.textContent = clock(talk);
    this._word.parentElement.style.borderColor = "";
    this._who.textContent = part ? `of speech, ${clock(part.start, 1)} – ${clock(part.end, 1)}` : "of speech in all";
  }

  _colour(label) {
    return (this._palette.emotions[label] ?? this._palette.other).colour;
  }
}
