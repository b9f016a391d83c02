/** What the page says of itself: the state, the level, the work, problems, news, and the question for the secret. */

import { describe } from "./segments.js";

const WORDS = { connecting: "Connecting", live: "Listening", finishing: "Finishing", analysing: "Analysing" };
const QUIETEST = -60; // decibels at the left end of the meter
const NEWS = 2000; // milliseconds between two things that a screen reader is told
const LATEST = 3; // segments that it is told at once

const $ = (id) => document.getElementById(id);

export class Panel {
  constructor() {
    this._unsaid = []; // final segments that a screen reader has not been told yet
    setInterval(() => this._tell(), NEWS);
  }

  /** `state` as in `Session`; `some`: there are segments to be seen. */
  setState(state, some) {
    $("status").textContent = WORDS[state] ?? (some ? "Done" : "Ready");
    $("status").parentElement.dataset.state = state;
    this.setBehind(0);
    const busy = state !== "idle";
    $("listen").setAttribute("aria-pressed", String(busy));
    $("listen-text").textContent = busy ? "Stop" : "Listen";
    $("listen").disabled = state === "finishing";
    for (const id of ["open", "latency", "analyse", "play-live"]) $(id).disabled = busy;
    $("empty").hidden = busy || some;
  }

  setBehind(seconds) {
    $("behind").textContent = seconds ? ` · ${seconds.toFixed(0)} s behind` : "";
  }

  /** A sentence about what went wrong, or null. */
  setProblem(text) {
    $("problem").textContent = text ?? "";
    $("problem").hidden = !text;
  }

  setLevel(decibels) {
    const shown = Math.max(QUIETEST, Math.min(0, decibels));
    $("level").firstElementChild.style.width = `${100 * (1 - shown / QUIETEST)}%`;
    $("level").ariaValueNow = Math.round(shown);
  }

  /** {text, share} of a long piece of work, `share` undefined while nobody knows; null: it is done. */
  setWork(work) {
    $("work").hidden = work === null;
    if (work === null) return;
    $("work-text").textContent = work.text;
    if (work.share === undefined) $("work-bar").removeAttribute("value");
    else $("work-bar").value = work.share;
  }

  /** Tell a screen reader at once. */
  say(text) {
    $("news").textContent = text;
  }

  /** Tell a screen reader of a final segment, soon. */
  announce(segment) {
    this._unsaid.push(segment);
  }

  /** Nothing of what was to be told matters any more. */
  forget() {
    this._unsaid.length = 0;
  }

  /** Ask for the server's secret, again if one was `refused`; resolves with it, or with undefined. */
  askToken(refused) {
    const dialog = $("secret");
    $("secret-wrong").hidden = !refused;
    $("token").value = "";
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.onclose = () => resolve((dialog.returnValue === "ok" && $("token").value) || undefined);
    });
  }

  _tell() {
    if (this._unsaid.length) this.say(this._unsaid.splice(0).slice(-LATEST).map(describe).join(". "));
  }
}
