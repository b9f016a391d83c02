/** A file, chosen by the button or dropped on the page, and what is to be done with it. */

const $ = (id) => document.getElementById(id);

/**
 * Let a person choose a file. `free()` tells whether one is wanted now; `onAnalyse(file)` and `onStream(file)` are
 * called with it. Returns a function that takes the question back.
 */
export function chooser({ free, onAnalyse, onStream }) {
  let file = null;
  const hide = () => ($("choice").hidden = true);
  const offer = (chosen) => {
    if (!chosen || !free()) return;
    file = chosen;
    $("choice-name").textContent = file.name;
    $("choice-detail").textContent = `${(file.size / 1e6).toFixed(1)} MB`;
    $("choice").hidden = false;
    $("analyse").focus();
  };
  $("open").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    offer($("file").files[0]);
    $("file").value = ""; // so that the same file can be chosen again
  });
  $("analyse").addEventListener("click", () => onAnalyse(file));
  $("play-live").addEventListener("click", () => onStream(file));
  $("forget").addEventListener("click", () => {
    hide();
    $("open").focus();
  });
  acceptDrops(free, offer);
  return hide;
}

function acceptDrops(free, offer) {
  let inside = 0; // elements that the mouse has entered with a file and not left
  const show = () => ($("drop").hidden = inside <= 0 || !free());
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
    offer(event.dataTransfer.files[0]);
  });
}
