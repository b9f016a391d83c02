/** Messages in plain words. */

const PROBLEMS = {
  too_many: "The server has no free place at the moment.",
  overload: "The server is too busy at the moment.",
  bad_audio: "This file cannot be read as audio or video.",
  too_slow: "The upload was too slow, so the server ended it.",
  internal: "The server failed on this recording; its log states why.",
};
const ADDS_DETAIL = new Set(["bad_audio"]); // codes of which the server's own message follows

/** A sentence for an error with the `code`, `message` and `retryAfter` of the server. */
export function problemOf({ code, message, retryAfter }) {
  const text = PROBLEMS[code];
  if (!text) return sentence(message);
  const detail = ADDS_DETAIL.has(code) ? ` (${message})` : "";
  return `${text}${retryAfter ? ` Try again in ${Math.ceil(retryAfter)} s.` : ""}${detail}`;
}

export function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?)]$/.test(first) ? first : `${first}.`;
}

/** A message for a file that waits for `ahead` others. */
export function waiting(ahead) {
  return ahead === 1 ? "Waiting in the queue: 1 file before yours" : `Waiting in the queue: ${ahead} files before yours`;
}

/** "1 segment", "2 segments". */
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Bytes as megabytes. */
export function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** Seconds in words: "45 s", "20 min", "1 h". */
export function lengthOf(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Number((seconds / 3600).toFixed(1))} h`;
}

/** The name of a recording from a file name. */
export function stem(name) {
  return name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}_.+-]+/gu, "_") || "recording";
}
