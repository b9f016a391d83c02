/** Choosing a file with the button or by dropping it on the page, and what to do with it. */

const $ = (id) => document.getElementById(id);

/**
 * Let the user choose a file. `isIdle()` returns whether a file is accepted now; `onAnalyse(file)` and
 * `onStream(file)` are called with the file. Returns a function that hides the choice.
 */
export function chooser({ isIdle, onAnalyse, onStream }) {
  let file = null;
  const hide = () => ($("choice").hidden = true);
  const offer = (chosen) => {
    if (!chosen || !isIdle()) return;
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
  acceptDrops(isIdle, offer);
  return hide;
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
    offer(event.dataTransfer.files[0]);
  });
}
