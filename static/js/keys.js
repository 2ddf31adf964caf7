// Keyboard shortcuts: single keys, so they are off while something is typed, and can be turned off (WCAG 2.1.4).
const sheet = document.getElementById("keys");
const $ = (selector, within = document) => within.querySelector(selector);
const SECOND_KEY_MS = 1200;
let goUntil = 0;

function isOff() {
  try { return localStorage.getItem("keys") === "off"; } catch { return false; }
}

function setEnabled(on) {
  try { localStorage.setItem("keys", on ? "on" : "off"); } catch { /* storage is off: the shortcuts stay on */ }
}

function isTyping(target) {
  return target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
}

// ---- The log: rows by keys ------------------------------------------------------------------------------------------
function currentRow() {
  return document.activeElement?.closest("tbody[id^=dlv_]");
}

function moveRow(step) {
  const rows = [...document.querySelectorAll("tbody[id^=dlv_]")];
  if (!rows.length) return false;
  const at = rows.indexOf(currentRow());
  const next = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1)];
  $(".expander", next).focus();
  next.scrollIntoView({ block: "nearest" });
  return true;
}

function press(selector) {
  const found = currentRow() && $(selector, currentRow());
  found?.click();
  return Boolean(found);
}

const ACTIONS = {
  "?": () => { openSheet(); return true; },
  "/": () => {
    const search = $("main input[type=search]");
    search?.focus();
    search?.select();
    return Boolean(search);
  },
  t: () => { const button = $("[data-times=exact]"); button?.click(); return Boolean(button); },
  g: () => { goUntil = Date.now() + SECOND_KEY_MS; return true; },
  n: () => { const link = $("main [data-key=n]"); link?.click(); return Boolean(link); },
  j: () => moveRow(1),
  k: () => moveRow(-1),
  x: () => press(".c-pick input"),
  r: () => press("[id$=-act], [id$=-send]"),
};

function openSheet() {
  $("[data-keys-switch]", sheet).checked = !isOff();
  sheet.showModal();
}

function go(key) {
  goUntil = 0;
  const link = $(`#nav [data-go="${CSS.escape(key)}"]`);
  link?.click();
  return Boolean(link);
}

if (sheet) {
  for (const button of document.querySelectorAll("[data-keys]")) button.hidden = false;
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-keys]")) openSheet();
    if (event.target === sheet) sheet.close(); // the backdrop
  });
  $("[data-keys-switch]", sheet).addEventListener("change", (event) => setEnabled(event.target.checked));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(event.target)) return;
    if (sheet.open || isOff()) return;
    const isDone = Date.now() < goUntil ? go(event.key) : ACTIONS[event.key]?.();
    if (isDone) event.preventDefault();
  });
}
