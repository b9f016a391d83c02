/** The selected segment of a finished result: its probabilities, and everything that can be corrected in it. */

import { clock } from "./segments.js";
import { swatch } from "./table.js";

const $ = (id) => document.getElementById(id);

export class Inspector {
  /**
   * `actions` are called by the controls: emotion(name), speaker(name), times(start, end), split(), join(), remove(),
   * confirm().
   */
  constructor(palette, actions) {
    this._palette = palette;
    this._actions = actions;
    for (const name of ["split", "join", "remove", "confirm"]) $(name).addEventListener("click", () => actions[name]());
    const move = () => actions.times(Number($("start").value), Number($("end").value));
    for (const id of ["start", "end"]) $(id).addEventListener("change", move);
    $("speaker").addEventListener("change", () => actions.speaker($("speaker").value.trim()));
    $("choices").addEventListener("keydown", (event) => this._key(event));
  }

  /** Show `segment`, or nothing with null. */
  show(segment, labels, speakers) {
    $("inspector").hidden = !segment;
    $("now").hidden = Boolean(segment);
    if (!segment || (segment === this._segment && labels === this._labels)) return;
    Object.assign(this, { _segment: segment, _labels: labels });
    $("inspected").textContent = `${clock(segment.start, 1)} – ${clock(segment.end, 1)}`;
    $("start").value = segment.start.toFixed(2);
    $("end").value = segment.end.toFixed(2);
    $("speaker").value = segment.speaker ?? "";
    $("known-speakers").replaceChildren(...speakers.map((name) => new Option(name, name)));
    $("confirm").disabled = Boolean(segment.checked);
    $("confirm").textContent = segment.checked ? "Checked" : "Correct as it is";
    this._showChoices(segment, labels);
  }

  _showChoices(segment, labels) {
    const focused = $("choices").contains(document.activeElement);
    const names = labels.includes(segment.emotion) || !segment.emotion ? labels : [...labels, segment.emotion];
    $("choices").replaceChildren(...names.map((label, n) => this._choice(segment, label, n)));
    const chosen = $("choices").querySelector("[aria-checked=true]") ?? $("choices").firstElementChild;
    if (chosen) chosen.tabIndex = 0;
    if (focused) chosen?.focus();
  }

  _choice({ emotion, probabilities }, label, number) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "choicebutton" });
    button.setAttribute("role", "radio");
    button.setAttribute("aria-checked", String(label === emotion));
    button.tabIndex = -1;
    const key = Object.assign(document.createElement("kbd"), { textContent: number + 1, ariaHidden: "true" });
    const p = probabilities?.[label];
    const value = p === undefined ? "" : `${Math.round(100 * p)} %`;
    const percent = Object.assign(document.createElement("span"), { className: "value", textContent: value });
    button.append(swatch(this._palette, label), label, percent, key);
    button.addEventListener("click", () => this._actions.emotion(label));
    return button;
  }

  /** Arrow keys choose among the emotions, as among radio buttons. */
  _key(event) {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const buttons = [...$("choices").children];
    const at = buttons.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    buttons[(at + step + buttons.length) % buttons.length].click();
  }
}
