/**
 * Keeps the session in the browser (IndexedDB), so that a closed tab or a crash loses nothing. Every tab keeps its own;
 * a session whose tab is still open belongs to that tab (Web Locks).
 */

import { CHUNK, Recording } from "./recording.js";

const NAME = "sed";
const lockOf = (id) => `sed-session-${id}`;

export class Storage {
  /** Resolves with a Storage; with one that keeps nothing if the browser blocks it. */
  static async open() {
    const opened = globalThis.indexedDB?.open(NAME, 1);
    if (!opened) return new Storage(null);
    opened.onupgradeneeded = () => {
      opened.result.createObjectStore("sessions");
      opened.result.createObjectStore("chunks");
    };
    return new Storage(await done(opened).catch(() => null));
  }

  constructor(database) {
    this._database = database;
    this._id = null;
    this._sizes = new Map(); // number of a chunk -> samples that are kept
    this._saving = Promise.resolve();
  }

  /** Keep the state of `session` (see `Session`). Errors, such as a full disk, are passed on. */
  save({ segments, recording, uri, duration }) {
    if (!this._database) return Promise.resolve();
    this._id ??= this._begin();
    const id = this._id;
    const head = { uri, duration, labels: segments.labels, ...segments.about, from: recording.from * 16000 };
    const meta = { ...head, segments: segments.finals(), saved: Date.now() };
    this._saving = this._saving.catch(() => {}).then(() => this._write(id, meta, recording));
    return this._saving;
  }

  /** The latest kept session that no tab has open: {id, uri, duration, segments, saved, from, ...}, or null. */
  async latest() {
    if (!this._database) return null;
    const store = this._database.transaction("sessions").objectStore("sessions");
    const [ids, metas] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
    const { held = [] } = (await navigator.locks?.query()) ?? {};
    const open = new Set(held.map((lock) => lock.name));
    const found = metas.map((meta, n) => ({ ...meta, id: ids[n] })).filter(({ id }) => !open.has(lockOf(id)));
    return found.sort((a, b) => b.saved - a.saved)[0] ?? null;
  }

  /** The audio of a kept session, as a Recording. */
  async recordingOf({ id, from }) {
    const store = this._database.transaction("chunks").objectStore("chunks");
    return Recording.of(await done(store.getAll(rangeOf(id))), from);
  }

  /** Keep on in the session `id`, which was opened again. */
  adopt(id) {
    this._id = id;
    this._sizes.clear();
    this._hold(id);
  }

  /** Delete the session `id`, by default the current one. */
  async discard(id = this._id) {
    if (id === this._id) this._end();
    if (!this._database || !id) return;
    await this._saving.catch(() => {});
    const transaction = this._database.transaction(["sessions", "chunks"], "readwrite");
    transaction.objectStore("sessions").delete(id);
    transaction.objectStore("chunks").delete(rangeOf(id));
    await finished(transaction);
  }

  _begin() {
    const id = `${Date.now()}-${Math.random().toString(36).slice(2)}`;
    this._hold(id);
    return id;
  }

  _end() {
    this._release?.();
    this._id = null;
    this._sizes.clear();
  }

  /** Hold the lock of a session for as long as the page has it open. */
  _hold(id) {
    navigator.locks?.request(lockOf(id), () => new Promise((resolve) => (this._release = resolve)));
  }

  async _write(id, meta, recording) {
    if (id !== this._id) return; // discarded meanwhile
    const transaction = this._database.transaction(["sessions", "chunks"], "readwrite");
    transaction.objectStore("sessions").put(meta, id);
    const chunks = transaction.objectStore("chunks");
    const first = Math.round(meta.from / CHUNK);
    for (let n = first; n * CHUNK < recording.length; n++) {
      const chunk = recording.chunk(n);
      if (!chunk || this._sizes.get(n) === chunk.length) continue;
      chunks.put(chunk.slice(), [id, n]);
      this._sizes.set(n, chunk.length);
    }
    if (first > 0) chunks.delete(IDBKeyRange.bound([id, 0], [id, first], false, true));
    await finished(transaction);
  }
}

function rangeOf(id) {
  return IDBKeyRange.bound([id, 0], [id, Infinity]);
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
}
