/** Choosing files with the button or by dropping them on the page, and what to do with them. */

import { lengthOf, megabytes } from "./words.js";

const $ = (id) => document.getElementById(id);

const RESULT = /\.(json|jsonl|rttm|seglst|csv|lab|txt|audacity|textgrid|vtt|eaf|emotionml)$/i;

/**
 * Let the user choose a recording, or a saved result with or without its recording. `limits` are those of the server;
 * `isIdle()` returns whether a file is accepted now; `onAnalyse(file)` and `onStream(file)` are called with a
 * recording, `onResult(file, audio)` with a result, `onProblem(text)` with what is wrong. Returns a function that
 * hides the choice.
 */
export function chooser({ limits, isIdle, onAnalyse, onStream, onResult, onProblem }) {
  let file = null;
  const hide = () => ($("choice").hidden = true);
  const offer = (files) => {
    if (!files.length || !isIdle()) return;
    onProblem(null);
    const result = [...files].find(({ name }) => RESULT.test(name));
    const audio = [...files].find((other) => other !== result);
    if (result) return onResult(result, audio);
    file = audio;
    showChoice(file, limits);
  };
  $("open").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    offer([...$("file").files]);
    $("file").value = ""; // so that the same file can be chosen again
  });
  $("analyse").addEventListener("click", () => onAnalyse(file));
  $("play-live").addEventListener("click", () => onStream(file));
  $("forget").addEventListener("click", () => {
    hide();
    $("open").focus();
  });
  $("choice-limits").textContent = `This server takes files of up to ${megabytes(limits.max_upload)} and ${lengthOf(maxSeconds(limits))}.`;
  acceptDrops(isIdle, offer);
  return hide;
}

/** Ask what to do with a recording; one that the server would refuse can only be streamed. */
function showChoice(file, limits) {
  const tooLarge = file.size > limits.max_upload;
  $("choice-name").textContent = file.name;
  $("choice-detail").textContent = megabytes(file.size) + (tooLarge ? ": too large to be analysed as a whole here." : "");
  $("choice").hidden = false;
  $("analyse").disabled = tooLarge;
  $(tooLarge ? "play-live" : "analyse").focus();
}

function maxSeconds({ max_upload_seconds: upload, max_seconds: all }) {
  return Math.min(upload, all);
}

function acceptDrops(isIdle, offer) {
  let inside = 0; // number of nested elements that a dragged file has entered
  const show = () => ($("drop").hidden = inside <= 0 || !isIdle());
  addEventListener("dragenter", () => {
    inside += 1;
    show();
  });
  addEventListener("dragleave", () => {
    inside -= 1;
    show();
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    show();
    offer([...event.dataTransfer.files]);
  });
}
