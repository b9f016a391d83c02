"use strict";
const data = JSON.parse(document.getElementById("data").textContent);

/** An HTML element with attributes, and children that are elements or plain text (never markup). */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "background") element.style.setProperty("--paint", value);
    else if (name === "ink") element.style.setProperty("--ink", value);
    else if (name === "width") element.style.width = value;
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function clock(seconds, decimals = 0) {
  const units = Math.round(seconds * 10 ** decimals), whole = Math.floor(units / 10 ** decimals);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  const text = hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
  return decimals ? `${text}.${units % 10 ** decimals}` : text;
}

const labelName = (label) => data.labels[label] ?? "no emotion named";
const speakerName = (speaker) => data.speakers[speaker] ?? "speaker unknown";
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const dot = (label) => make("span", { class: "dot", background: data.colours[label] });

/** A bar of `parts`, one per label, with percentages if it is `named`. */
function bar(parts, named) {
  const total = parts.reduce((a, b) => a + b, 0) || 1;
  return make("div", { class: "bar", "aria-hidden": "true" }, ...parts.map((part, label) => part <= 0 ? null :
    make("i", { background: data.colours[label], ink: data.inks[label], width: `${(100 * part) / total}%` },
      named && part / total > 0.13 ? `${Math.round((100 * part) / total)} %` : "")));
}
/** The time and share of each label in text. */
function parts(time) {
  const total = time.reduce((a, b) => a + b, 0);
  return make("div", { class: "parts" }, ...time.map((seconds, label) => seconds <= 0 ? null : make("span", {}, dot(label),
    `${labelName(label)} ${clock(seconds)} (${Math.round((100 * seconds) / total)} %)`)));
}
