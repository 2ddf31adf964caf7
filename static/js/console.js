// Every page works without this file. Listeners are on the document, so swapped-in HTML needs no set-up.
const root = document.documentElement;
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

// ---- Theme: the system's preference until the user chooses one ----------------------------------------------
function toggleTheme() {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* kept for this page only */ }
}

// ---- Toasts: {"toast": "text"} or {"toast": {"text": …, "variant": "danger"}} in an HX-Trigger header -------------
function icon(name) {
  const sprite = document.querySelector("svg.icon use")?.getAttribute("href").split("#")[0];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${sprite}#${name}`);
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

function toast(detail) {
  const { text = detail?.value ?? String(detail), variant = "success" } = typeof detail === "object" ? detail : {};
  const box = document.createElement("div");
  const message = document.createElement("p");
  const close = document.createElement("button");
  box.className = "toast";
  box.dataset.variant = variant;
  message.textContent = text;
  close.type = "button";
  close.className = "button ghost small icon-only";
  close.setAttribute("aria-label", "Dismiss");
  close.dataset.dismiss = "";
  close.append(icon("close"));
  box.append(icon(variant === "danger" ? "alert" : "check"), message, close);
  document.getElementById("toasts")?.append(box);
  expire(box);
}

// A failure stays until it is dismissed; any other toast is removed after 6 s, but not while the pointer or the focus is on it.
function expire(box) {
  if (box.dataset.variant === "danger") return;
  setTimeout(() => (box.matches(":hover, :focus-within") ? expire(box) : box.remove()), 6000);
}

// ---- Copy buttons: data-copy="#id of the element whose text is copied" ---------------------------------------------
async function copy(button) {
  const { copyUrl } = button.dataset;
  const source = document.querySelector(button.dataset.copy);
  const text = source ? (source.value ?? source.textContent) : new URL(copyUrl, location.href).href;
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied");
  } catch {
    if (!source) return toast({ text: `The browser refused to copy ${text}`, variant: "danger" });
    getSelection().selectAllChildren(source);
    toast({ text: "The browser refused to copy. The text is selected: press Ctrl+C or ⌘C.", variant: "danger" });
  }
}

// ---- Event checklist: search, select a group, count -----------------------------------------------------------------
function updateChecklist(list) {
  const boxes = $$(".event input", list);
  const count = list.querySelector("[data-checklist-count]");
  if (count) count.textContent = `${boxes.filter((box) => box.checked).length} of ${boxes.length} chosen`;
  for (const all of $$("[data-checklist-all]", list)) {
    const group = $$(".event input", all.closest("fieldset"));
    all.checked = group.every((box) => box.checked);
    all.indeterminate = !all.checked && group.some((box) => box.checked);
  }
}

function filterChecklist(list, query) {
  for (const row of $$(".event", list)) row.hidden = !row.textContent.toLowerCase().includes(query.trim().toLowerCase());
  for (const group of $$("fieldset", list)) group.hidden = !group.querySelector(".event:not([hidden])");
  list.querySelector(".checklist-none").hidden = Boolean(list.querySelector("fieldset:not([hidden])"));
}

// ---- The log's selection: select all, and the count ------------------------------------------------------------------
function updateSelection() {
  const boxes = $$("#log tbody .c-pick input");
  const picked = boxes.filter((box) => box.checked).length;
  const all = document.querySelector("[data-pick-all]");
  if (!all) return;
  all.checked = picked > 0 && picked === boxes.length;
  all.indeterminate = picked > 0 && picked < boxes.length;
  document.querySelector("[data-picked]").textContent = `Replay ${picked} selected`;
}

// ---- A search that goes on by itself, until it is told to stop -----------------------------------------------------------
let isSearching = true;

function showSearch() {
  for (const button of $$("[data-search-stop]")) button.hidden = !isSearching;
  for (const link of $$("[data-search-link]")) link.hidden = isSearching;
}

// ---- The rows that are open stand in the address, so that Back and a reload find them open -------------------------------
const MOST_OPEN = 10;

function noteOpenRows() {
  if (!document.getElementById("log")) return;
  const url = new URL(location.href);
  const open = $$("#log input[name=open]").map((input) => input.value).slice(0, MOST_OPEN);
  if (url.searchParams.getAll("open").join() === open.join()) return;
  url.searchParams.delete("open");
  for (const id of open) url.searchParams.append("open", id);
  history.replaceState(history.state, "", url);
}

// ---- Following the log: what is new is shown as it comes, but not while a row is open, selected or has the focus ---------
let isFollowing = false;

function follow() {
  const isInUse = document.querySelector("#log .row-preview, #log .c-pick :checked, #log tbody :focus-visible");
  if (isFollowing && !isInUse) document.querySelector("#new-rows .new-rows")?.click();
}

function toggleFollowing(button) {
  isFollowing = !isFollowing;
  button.textContent = isFollowing ? "Pause" : "Follow live";
  const newest = document.querySelector("#log-newest");
  if (isFollowing && newest) newest.click();
  else follow();
}

// ---- Forms that warn before what was typed is lost -----------------------------------------------------------------------
const stateOf = (form) => new URLSearchParams(new FormData(form)).toString();
const saved = new WeakMap();

function isUnsaved(form) {
  return saved.has(form) && (form.dataset.guard === "refused" || saved.get(form) !== stateOf(form));
}

function showUnsaved(form) {
  for (const note of $$("[data-unsaved]", form)) note.hidden = !isUnsaved(form);
}

// ---- Swaps: if the focused element is gone afterwards, data-refocus names the next one -------------------------------
let refocus = null;
const FAILURES = {
  400: "That did not get through: the page was open for too long. Reload it and try again.",
  403: "Only admins of this workspace can do that.",
  404: "It is no longer there. Reload the page.",
  503: "The database does not answer. Nothing was changed; try again in a moment.",
};

function restoreFocus() {
  if (refocus && (document.activeElement ?? document.body) === document.body) document.querySelector(refocus)?.focus({ preventScroll: true });
  refocus = null;
}

// A poll that fails tries again by itself; a failed action must be announced.
function announceFailure(ctx, text) {
  if (!ctx || ctx.sourceElement?.closest("[data-poll]") === ctx.sourceElement) return;
  toast({ text, variant: "danger" });
}

// ---- Set-up of a page or of a swapped-in part ------------------------------------------------------------------------
// What does nothing without this script, and so is hidden until it runs.
const NEEDS_SCRIPT = `[data-theme-toggle], [data-copy], [data-copy-url], [data-follow], [data-pick-all],
  [data-checklist-search], .checklist .all`;

function prepare() {
  for (const element of $$(NEEDS_SCRIPT)) element.hidden = false;
  $$("[data-checklist]").forEach(updateChecklist);
  updateSelection();
  showSearch();
  for (const form of $$("form[data-guard]")) {
    if (!saved.has(form)) saved.set(form, stateOf(form));
    showUnsaved(form);
  }
  $$(".toast:not([data-seen])").forEach((box) => { box.dataset.seen = ""; expire(box); });
}

document.addEventListener("click", (event) => {
  const on = (selector) => event.target.closest?.(selector);
  if (on("[data-theme-toggle]")) toggleTheme();
  if (on("[data-copy], [data-copy-url]")) copy(on("[data-copy], [data-copy-url]"));
  if (on("[data-dismiss]")) on(".toast")?.remove();
  if (on("[data-follow]")) toggleFollowing(on("[data-follow]"));
  if (on("[data-search-stop]")) { isSearching = false; showSearch(); document.getElementById("further")?.focus(); }
  if (on("#nav a") && document.querySelector("#nav:popover-open")) document.getElementById("nav").hidePopover();
});
// Enter in a search field submits its form. The change that goes before it would ask for the same once more.
document.addEventListener("change", (event) => {
  if (event.target.matches(".filters [type=search]")) event.stopPropagation();
}, true);
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-pick-all]")) for (const box of $$("#log tbody .c-pick input")) box.checked = event.target.checked;
  if (event.target.matches(".c-pick input")) updateSelection();
  const list = event.target.closest("[data-checklist]");
  if (!list) return;
  if (event.target.matches("[data-checklist-all]"))
    for (const box of $$(".event:not([hidden]) input", event.target.closest("fieldset"))) box.checked = event.target.checked;
  updateChecklist(list);
});
addEventListener("beforeunload", (event) => {
  if ($$("form[data-guard]").some(isUnsaved)) event.preventDefault();
});
document.addEventListener("submit", (event) => saved.delete(event.target));
for (const kind of ["input", "change", "reset"])
  document.addEventListener(kind, ({ target }) => {
    const form = target.closest?.("form[data-guard]");
    if (form) setTimeout(() => showUnsaved(form));
  });
document.addEventListener("input", (event) => {
  if (event.target.matches("[data-checklist-search]")) filterChecklist(event.target.closest("[data-checklist]"), event.target.value);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("[data-checklist-search]")) event.preventDefault();
});
document.addEventListener("reset", () => setTimeout(updateSelection));
document.addEventListener("toast", (event) => toast(event.detail));
document.addEventListener("htmx:config:request", (event) => {
  if (document.hidden && event.target.matches?.("[data-poll]")) event.preventDefault();
  if (event.target.id === "search-on" && !isSearching) event.preventDefault();
});
document.addEventListener("htmx:before:swap", () => { refocus = document.activeElement?.closest("[data-refocus]")?.dataset.refocus; });
document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
  const { status } = ctx.response;
  const isRefusedForm = status === 422 || (status === 400 && ctx.request.method === "GET");
  if (!isRefusedForm) announceFailure(ctx, FAILURES[status] ?? "Something broke on our side. It was logged; try again.");
});
document.addEventListener("htmx:error", ({ detail: { ctx } }) => announceFailure(ctx, "The server cannot be reached. Check your connection and try again."));
document.addEventListener("htmx:after:swap", (event) => {
  if (event.target.id === "log") isSearching = true;
  prepare();
  noteOpenRows();
  restoreFocus();
  follow();
  if (event.detail?.ctx?.response?.status === 422) document.querySelector("[aria-invalid='true']")?.focus();
});
prepare();
