/** The page's status: state, input level, progress, problems, screen reader announcements, and the token dialog. */

import { describe } from "./segments.js";

const STATUS = { connecting: "Connecting", live: "Recording", finishing: "Finishing", analysing: "Analysing" };
const MIN_LEVEL = -60; // decibels at the left end of the meter
const ANNOUNCE_INTERVAL = 2000; // milliseconds between announcements of segments to screen readers
const LATEST = 3; // maximum number of segments per announcement

const $ = (id) => document.getElementById(id);

export class Panel {
  constructor() {
    this._pending = []; // final segments that are not announced yet
    setInterval(() => this._announcePending(), ANNOUNCE_INTERVAL);
  }

  /** `state` as in `Session`; `hasSegments`: whether segments are shown; `away`: whether the server is away. */
  setState(state, hasSegments, away) {
    const text = STATUS[state] ?? (hasSegments ? "Done" : "Ready");
    $("status").textContent = away && state !== "idle" ? `${text} · server away` : text;
    $("status").parentElement.dataset.state = state;
    this.setDelay(0);
    const busy = state !== "idle";
    $("record").setAttribute("aria-pressed", String(busy));
    $("record-text").textContent = busy ? (state === "finishing" ? "Give up" : "Stop") : "Record";
    $("record").disabled = state === "finishing" && !away;
    for (const id of ["open", "example", "latency", "refine", "analyse", "play-live"]) $(id).disabled = busy;
    $("example").hidden = hasSegments;
    $("empty").hidden = busy || hasSegments;
  }

  setDelay(seconds) {
    $("delay").textContent = seconds ? ` · ${seconds.toFixed(0)} s delayed` : "";
  }

  /** Show an error message, or hide it with null. */
  setProblem(text) {
    $("problem").textContent = text ?? "";
    $("problem").hidden = !text;
  }

  setLevel(decibels) {
    const shown = Math.max(MIN_LEVEL, Math.min(0, decibels));
    $("level").firstElementChild.style.width = `${100 * (1 - shown / MIN_LEVEL)}%`;
    $("level").ariaValueNow = Math.round(shown);
  }

  /** Show the progress {text, share} of a long task, with `share` undefined if unknown; null hides it. */
  setWork(work) {
    $("work").hidden = work === null;
    if (work === null) return;
    $("work-text").textContent = work.text;
    if (work.share === undefined) $("work-bar").removeAttribute("value");
    else $("work-bar").value = work.share;
  }

  /** Announce `text` to screen readers immediately. */
  announceNow(text) {
    $("announcement").textContent = text;
  }

  /** Announce a final segment to screen readers within `ANNOUNCE_INTERVAL`. */
  announce(segment) {
    this._pending.push(segment);
  }

  /** Discard pending announcements. */
  clearAnnouncements() {
    this._pending.length = 0;
  }

  /** Ask for the server's secret; `refused`: the last one was wrong. Resolves with the secret or undefined. */
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

  _announcePending() {
    if (this._pending.length) this.announceNow(this._pending.splice(0).slice(-LATEST).map(describe).join(". "));
  }
}
