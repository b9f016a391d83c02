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
  let moved = 0;
  box.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pointers.set(event.pointerId, event);
    moved = 0;
  });
  box.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return hover(event, box, tip, timeline);
    if (pointers.size === 2) {
      const other = [...pointers.values()].find((p) => p.pointerId !== event.pointerId);
      const distance = Math.max(20, Math.abs(event.clientX - other.clientX));
      const factor = Math.abs(before.clientX - other.clientX) / distance;
      const middle = position(box, { clientX: (event.clientX + other.clientX) / 2, clientY: 0 });
      timeline.zoom(Math.min(2, Math.max(0.5, factor)), timeline.timeAt(middle.x));
      moved = Infinity;
    } else {
      moved += Math.abs(event.clientX - before.clientX);
      if (moved > CLICK_TOLERANCE) {
        box.setPointerCapture(event.pointerId);
        timeline.scrollBy(before.clientX - event.clientX);
      }
    }
    pointers.set(event.pointerId, event);
  });
  const release = (event) => {
    if (!pointers.delete(event.pointerId) || event.type !== "pointerup" || moved > CLICK_TOLERANCE) return;
    const { x, y } = position(box, event);
    const segment = timeline.segmentAt(x, y);
    timeline.select(segment?.id ?? null);
    if (segment) timeline.emit("choose", segment);
  };
  for (const name of ["pointerup", "pointercancel"]) box.addEventListener(name, release);
  box.addEventListener("pointerleave", () => (tip.hidden = true));
}

function hover(event, box, tip, timeline) {
  const { x, y } = position(box, event);
  const segment = timeline.segmentAt(x, y);
  tip.hidden = !segment;
  box.style.cursor = segment ? "pointer" : "grab";
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
  const go = (to) => segments[to] && timeline.select(segments[to].id);
  const play = () => selected && timeline.emit("choose", selected);
  const actions = {
    ArrowRight: () => go(selected ? Math.min(last, at + 1) : at),
    ArrowLeft: () => go(selected ? Math.max(0, at - 1) : at),
    Home: () => go(0),
    End: () => go(last),
    Enter: play,
    " ": play,
    "+": () => timeline.zoom(1 / ZOOM),
    "=": () => timeline.zoom(1 / ZOOM),
    "-": () => timeline.zoom(ZOOM),
    Escape: () => timeline.emit("choose", null),
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
