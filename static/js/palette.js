// The palette: a field on Ctrl-K or ⌘K that leads anywhere. Without this file its link leads to a page that does the same.
const palette = document.getElementById("palette");

function open() {
  const field = palette.querySelector("input");
  palette.showModal();
  field.select();
  ask(field, 5);
}

// Results are there a moment later; where the request for them was lost, there is another.
function ask(field, tries) {
  field.dispatchEvent(new Event("input", { bubbles: true }));
  setTimeout(() => {
    const isEmpty = !document.getElementById("palette-results").firstElementChild;
    if (palette.open && isEmpty && tries > 1) ask(field, tries - 1);
  }, 2000);
}

// The field and the results, one behind the other.
function stops() {
  return [palette.querySelector("input"), ...palette.querySelectorAll(".found a")];
}

function move(step) {
  const all = stops();
  const at = all.indexOf(document.activeElement);
  all[(at + step + all.length) % all.length].focus();
}

if (palette) {
  for (const key of document.querySelectorAll("[data-palette-key]")) {
    key.hidden = false;
    if (navigator.platform.startsWith("Mac")) key.textContent = "⌘K";
  }
  document.addEventListener("click", (event) => {
    if (event.target === palette) palette.close(); // the backdrop
    const link = event.target.closest?.("[data-palette]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    document.querySelector("#nav:popover-open")?.hidePopover();
    open();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) {
      event.preventDefault();
      if (palette.open) palette.close();
      else open();
    }
    if (!palette.open || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return;
    event.preventDefault();
    move(event.key === "ArrowDown" ? 1 : -1);
  });
  // Enter in the field takes the first result, once the results are those of what was typed.
  palette.addEventListener("submit", (event) => {
    const first = palette.querySelector(".found a");
    const isFresh = palette.querySelector("[data-found-for]")?.dataset.foundFor === palette.querySelector("input").value.trim();
    if (!first || !isFresh) return;
    event.preventDefault();
    first.click();
  });
}
