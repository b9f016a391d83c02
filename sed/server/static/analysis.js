/** What the server reports while it analyses a whole file, shown in a session: progress, and what was found so far. */

import { clock } from "./segments.js";
import { waiting } from "./words.js";

/**
 * Callbacks for `diarizeFile` that keep `session` up to date; none does anything unless `isCurrent()`. `emit(name, detail)`
 * emits the session's events: `work`, `change`, and `found` with the first segment.
 */
export function shownIn(session, emit, isCurrent) {
  const ifCurrent = (action) => (...values) => isCurrent() && action(...values);
  return {
    onProgress: ifCurrent(({ time, duration: whole, ahead }) => {
      if (ahead) return emit("work", { text: waiting(ahead) });
      session.duration = whole || time;
      const of = whole ? ` of ${clock(whole)}` : "";
      emit("work", { text: `Analysed ${clock(time)}${of}`, share: whole ? time / whole : undefined });
    }),
    onSegment: ifCurrent((message) => {
      const isFirst = !session.segments.all().length;
      session.segments.apply(message);
      emit("change");
      if (isFirst) emit("found", message.segment);
    }),
  };
}
