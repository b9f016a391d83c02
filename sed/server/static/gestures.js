/** Mouse, touch and keyboard control of the timeline: drag, pinch, wheel, click, hover and equivalent keys. */

import { describe } from "./segments.js";

const CLICK_TOLERANCE = 5; // pixels that the pointer may move during a click
const ZOOM = 1.5; // factor per key press

/** Control `timeline` by events in `box`, which contains the tooltip (.tip) for the segment under the mouse. */
export function addControls(box, timeline) {
  addPointerControls(box, timeline);
  box.addEventListener("wheel", (event) => wheel(event, box, timeline), { passive: false });
  box.addEventListener("keydown", (event) => key(event, timeline));
}

function addPointerControls(box, timeline) {
  const tip = box.querySelector(".tip");
  const pointers = new Map(); // id -> its latest event
  let drag = null; // what the first pointer does: {kind, moved, from}, and the edge of a boundary
  box.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pointers.set(event.pointerId, event);
    drag = { ...kindOf(position(box, event), timeline), moved: 0 };
  });
  box.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return hover(event, box, tip, timeline);
    if (pointers.size === 2) {
      const other = [...pointers.values()].find((p) => p.pointerId !== event.pointerId);
      pinch(before, event, other, box, timeline);
      drag.moved = Infinity;
    } else {
      drag.moved += Math.abs(event.clientX - before.clientX);
      if (drag.moved > CLICK_TOLERANCE) {
        box.setPointerCapture(event.pointerId);
        moveTo(event, before, drag, box, timeline);
      }
    }
    pointers.set(event.pointerId, event);
  });
  const release = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (drag.kind === "edge") timeline.dropEdge();
    if (event.type === "pointerup" && drag.moved <= CLICK_TOLERANCE) click(position(box, event), timeline);
  };
  for (const name of ["pointerup", "pointercancel"]) box.addEventListener(name, release);
  box.addEventListener("pointerleave", () => (tip.hidden = true));
}

/** What dragging from a position does: move a boundary, select a part of the time, or scroll. */
function kindOf({ x, y }, timeline) {
  const edge = timeline.edgeAt(x, y);
  if (edge) return { kind: "edge", edge };
  return timeline.isInLane(y) ? { kind: "scroll" } : { kind: "part", from: timeline.timeAt(x) };
}

function moveTo(event, before, { kind, edge, from }, box, timeline) {
  const time = Math.max(0, timeline.timeAt(position(box, event).x));
  if (kind === "edge") timeline.dragEdge(edge, time);
  else if (kind === "part") timeline.part = { start: Math.max(0, Math.min(from, time)), end: Math.max(from, time) };
  else timeline.scrollBy(before.clientX - event.clientX);
}

function pinch(before, event, other, box, timeline) {
  const distance = Math.max(20, Math.abs(event.clientX - other.clientX));
  const factor = Math.abs(before.clientX - other.clientX) / distance;
  const middle = position(box, { clientX: (event.clientX + other.clientX) / 2, clientY: 0 });
  timeline.zoom(Math.min(2, Math.max(0.5, factor)), timeline.timeAt(middle.x));
}

function click({ x, y }, timeline) {
  if (!timeline.isInLane(y)) return timeline.emit("seek", Math.max(0, timeline.timeAt(x)));
  const segment = timeline.segmentAt(x, y);
  timeline.select(segment?.id ?? null);
  if (segment) timeline.emit("choose", segment);
  else timeline.emit("seek", Math.max(0, timeline.timeAt(x)));
}

function hover(event, box, tip, timeline) {
  const { x, y } = position(box, event);
  const segment = timeline.segmentAt(x, y);
  tip.hidden = !segment;
  const cursor = timeline.edgeAt(x, y) ? "ew-resize" : timeline.isInLane(y) ? "grab" : "text";
  box.style.cursor = segment && cursor === "grab" ? "pointer" : cursor;
  if (!segment) return;
  tip.textContent = describe(segment);
  tip.style.left = `${Math.max(0, Math.min(x + 12, box.clientWidth - tip.offsetWidth - 4))}px`;
  tip.style.top = `${y + 16}px`;
}

function wheel(event, box, timeline) {
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    timeline.zoom(Math.exp(event.deltaY / 200), timeline.timeAt(position(box, event).x));
  } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
    event.preventDefault();
    timeline.scrollBy(event.deltaX || event.deltaY);
  }
}

function key(event, timeline) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { segments, selected } = timeline;
  const at = segments.indexOf(selected ?? timeline.first);
  const last = segments.length - 1;
  const goTo = (segment) => segment && timeline.select(segment.id);
  const go = (to) => goTo(segments[to]);
  const actions = {
    ArrowRight: () => go(selected ? Math.min(last, at + 1) : at),
    ArrowLeft: () => go(selected ? Math.max(0, at - 1) : at),
    ArrowDown: () => goTo(timeline.across(1)),
    ArrowUp: () => goTo(timeline.across(-1)),
    Home: () => go(0),
    End: () => go(last),
    "+": () => timeline.zoom(1 / ZOOM),
    "=": () => timeline.zoom(1 / ZOOM),
    "-": () => timeline.zoom(ZOOM),
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
}

/** Position of an event in pixels from the left and the top of the box. */
function position(box, { clientX, clientY }) {
  const { left, top } = box.getBoundingClientRect();
  return { x: clientX - left, y: clientY - top };
}
