/** Search and filter of the list of segments. */

const $ = (id) => document.getElementById(id);

/** The controls above the list; `onChange` is called when the user changes them. */
export class Filter {
  constructor(onChange) {
    for (const id of ["search", "by-speaker", "by-emotion"]) $(id).addEventListener("input", onChange);
    $("search").addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !$("search").value) return;
      $("search").value = "";
      onChange();
    });
  }

  clear() {
    for (const id of ["search", "by-speaker", "by-emotion"]) $(id).value = "";
  }

  /** Offer these speakers and emotions. */
  offer(speakers, emotions) {
    fill($("by-speaker"), "All speakers", speakers);
    fill($("by-emotion"), "All emotions", emotions);
  }

  /** The segments that match: every word of the search is in speaker, emotion or state, or a time is within. */
  apply(segments) {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [speaker, emotion] = [$("by-speaker").value, $("by-emotion").value];
    if (!words.length && !speaker && !emotion) return segments;
    return segments.filter(
      (s) =>
        (!speaker || (s.speaker ?? "?") === speaker) &&
        (!emotion || (s.emotion ?? "unknown") === emotion) &&
        words.every((word) => matches(s, word)),
    );
  }
}

function matches({ speaker, emotion, start, end, checked }, word) {
  const time = secondsOf(word);
  if (time !== null) return start <= time && time < end;
  return `${speaker ?? ""} ${emotion ?? ""} ${checked ? "checked" : ""}`.toLowerCase().includes(word);
}

/** The time m:ss or h:mm:ss in seconds, or null. */
function secondsOf(word) {
  if (!/^\d+(:\d{1,2}){1,2}(\.\d+)?$/.test(word)) return null;
  return word.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}

function fill(select, all, names) {
  const wanted = ["", ...names];
  if (wanted.length === select.options.length && wanted.every((name, n) => select.options[n].value === name)) return;
  const chosen = select.value;
  select.replaceChildren(...wanted.map((name) => new Option(name || all, name)));
  select.value = names.includes(chosen) ? chosen : "";
}
