/** Nothing is lost: asks before results are discarded, and keeps the session in the browser. */

import { clock } from "./segments.js";
import { Storage } from "./storage.js";
import { count } from "./words.js";

const INTERVAL = 2000; // milliseconds between two savings

const $ = (id) => document.getElementById(id);

export class Keeping {
  /** `onProblem(text)` is called if the browser cannot keep the session. */
  static async open(session, onProblem) {
    const keeping = new Keeping(session, await Storage.open(), onProblem);
    await keeping._offer();
    return keeping;
  }

  constructor(session, storage, onProblem) {
    Object.assign(this, { _session: session, _storage: storage, _onProblem: onProblem, _timer: 0 });
    this.isUnsaved = false; // whether there are results that are nowhere but here
    $("kept-open").addEventListener("click", () => this._restore());
    $("kept-delete").addEventListener("click", () => this._deleteKept());
  }

  /** Something that cannot be made again has changed: keep it soon. */
  changed() {
    this.isUnsaved = true;
    this._timer ||= setTimeout(() => this.save(), INTERVAL);
  }

  /** Keep the session now. */
  async save() {
    clearTimeout(this._timer);
    this._timer = 0;
    try {
      await this._storage.save(this._session);
    } catch (error) {
      if (!this._failed) this._onProblem(`This browser cannot keep the session: ${error.message}`);
      this._failed = true;
    }
  }

  /** The user has downloaded the results. */
  saved() {
    this.isUnsaved = false;
  }

  /** Call `action` at once if no unsaved results would be lost by it, or else after the user has agreed. */
  unlessLost(action) {
    const { uri, segments } = this._session;
    if (!this.isUnsaved || !segments.all().length) return void action();
    const text = `${count(segments.all().length, "segment")} of ${uri} were not downloaded and would be lost.`;
    ask("Discard this recording?", text, "Discard").then((agreed) => agreed && action());
  }

  /** A new recording begins: forget the one before. */
  async reset() {
    clearTimeout(this._timer);
    this._timer = 0;
    this.isUnsaved = false;
    $("kept").hidden = true;
    await this._storage.discard().catch(() => {});
  }

  async _offer() {
    this._kept = await this._storage.latest().catch(() => null);
    if (!this._kept) return;
    const { uri, duration, segments, saved } = this._kept;
    const when = new Date(saved).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    $("kept-detail").textContent = `${uri}, ${clock(duration)}, ${count(segments.length, "segment")}, ${when}`;
    $("kept").hidden = false;
  }

  async _restore() {
    const { segments, ...result } = this._kept;
    const recording = await this._storage.recordingOf(this._kept);
    this._session.restore({ result, segments, recording });
    this._storage.adopt(this._kept.id);
    this.changed();
  }

  async _deleteKept() {
    const sure = await ask("Delete the kept session?", "Its audio and its segments will be lost.", "Delete");
    if (!sure) return;
    await this._storage.discard(this._kept.id);
    $("kept").hidden = true;
    await this._offer();
  }
}

/** Ask a question; resolves with whether the answer is `ok`. */
export function ask(title, text, ok) {
  const dialog = $("ask");
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  $("ask-ok").textContent = ok;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "ok");
  });
}
