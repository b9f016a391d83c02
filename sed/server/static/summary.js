/** Who spoke how long, with which emotions: numbers from segments, for the whole recording or a part of it. */

const PAUSE = 1; // seconds; a longer pause of a speaker ends the turn
const OVERLAP = 0.2; // seconds; a turn that starts this long before another one ends, and outlasts it, interrupts it

/**
 * One entry per speaker, in the order of `speakers`: {speaker, talk, share, turns, interruptions, emotions}. `talk` is
 * in seconds, `share` of all talk; `emotions` lists {emotion, seconds, share}, longest first. `part` is {start, end}
 * in seconds or null.
 */
export function summarise(segments, speakers, part = null) {
  const inside = part ? segments.map((s) => clip(s, part)).filter((s) => s.end > s.start) : segments;
  const bySpeaker = new Map(speakers.map((speaker) => [speaker, []]));
  for (const segment of inside) bySpeaker.get(segment.speaker ?? "?")?.push(segment);
  const turns = [...bySpeaker].flatMap(([speaker, own]) => turnsOf(speaker, own)).sort((a, b) => a.start - b.start);
  const interruptions = countInterruptions(turns);
  const rows = [...bySpeaker].map(([speaker, own]) => {
    const emotions = emotionsOf(own);
    const talk = emotions.reduce((sum, { seconds }) => sum + seconds, 0);
    for (const entry of emotions) entry.share = talk ? entry.seconds / talk : 0;
    const count = turns.filter((turn) => turn.speaker === speaker).length;
    return { speaker, talk, turns: count, interruptions: interruptions.get(speaker) ?? 0, emotions };
  });
  const total = rows.reduce((sum, { talk }) => sum + talk, 0);
  return rows.map((row) => ({ ...row, share: total ? row.talk / total : 0 }));
}

/** All speech of the whole recording or of `part`: {talk, emotions}, as in `summarise`. */
export function total(segments, part = null) {
  const emotions = emotionsOf(part ? segments.map((s) => clip(s, part)).filter((s) => s.end > s.start) : segments);
  const talk = emotions.reduce((sum, { seconds }) => sum + seconds, 0);
  return { talk, emotions: emotions.map((entry) => ({ ...entry, share: talk ? entry.seconds / talk : 0 })) };
}

function clip(segment, { start, end }) {
  return { ...segment, start: Math.max(segment.start, start), end: Math.min(segment.end, end) };
}

function emotionsOf(segments) {
  const seconds = new Map();
  for (const { emotion, start, end } of segments) {
    const name = emotion ?? "unknown";
    seconds.set(name, (seconds.get(name) ?? 0) + end - start);
  }
  return [...seconds].map(([emotion, length]) => ({ emotion, seconds: length })).sort((a, b) => b.seconds - a.seconds);
}

/** The turns of a speaker: segments with pauses of at most `PAUSE` between them. */
function turnsOf(speaker, segments) {
  const turns = [];
  for (const { start, end } of segments) {
    const last = turns.at(-1);
    if (last && start - last.end <= PAUSE) last.end = Math.max(last.end, end);
    else turns.push({ speaker, start, end });
  }
  return turns;
}

/** By speaker, how many turns (sorted by start) began during another one's and outlasted it. */
function countInterruptions(turns) {
  const counts = new Map();
  let open = []; // earlier turns that may still go on
  for (const turn of turns) {
    open = open.filter((other) => other.end > turn.start);
    const interrupts = open.some(
      (other) => other.speaker !== turn.speaker && other.end - turn.start >= OVERLAP && turn.end > other.end,
    );
    if (interrupts) counts.set(turn.speaker, (counts.get(turn.speaker) ?? 0) + 1);
    open.push(turn);
  }
  return counts;
}
