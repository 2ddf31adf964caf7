// Bars: one stop of the Tab key, arrows between them; what the chosen one holds stands beneath, as links into the log.
// Without this file each bar is a link of its own, and the table has all figures.
const legends = new WeakMap();
let isTouch = false;
let chosen = ""; // when the bar begins that is being read

const columnsOf = (chart) => [...chart.querySelectorAll("a.column")];

function link(href, text, count, css) {
  const a = document.createElement("a");
  a.setAttribute("href", href);
  if (css) a.insertAdjacentHTML("beforeend", `<svg width="8" height="8" aria-hidden="true"><rect class="${css}" width="8" height="8"></rect></svg>`);
  const number = document.createElement("b");
  number.textContent = Number(count).toLocaleString("en-US");
  a.append(`${text} `, number);
  return a;
}

function item(...content) {
  const li = document.createElement("li");
  li.append(...content);
  return li;
}

function timeOf(moment, kind) {
  const time = document.createElement("time");
  time.dateTime = moment;
  time.dataset[kind] = "hour";
  return time;
}

// Instead of the legend: the time of one bar and its parts.
function show(chart, column) {
  const legend = chart.querySelector("[data-legend]");
  if (!legends.has(legend)) legends.set(legend, [...legend.children]);
  const group = column.parentElement;
  chosen = legend.dataset.shown = group.dataset.from;
  for (const each of chart.querySelectorAll("g.chosen")) if (each !== group) each.classList.remove("chosen");
  group.classList.add("chosen");
  const parts = [...group.querySelectorAll("a:not(.column)")].reverse().map((part) => {
    const [, label, count] = /^(.*): (\d+)$/.exec(part.querySelector("title").textContent.trim());
    return item(link(part.getAttribute("href"), label, count, part.querySelector("path").getAttribute("class")));
  });
  const span = item(timeOf(group.dataset.from, "clock"), " to ", timeOf(group.dataset.until, "clock"));
  legend.replaceChildren(span, ...parts);
  document.dispatchEvent(new Event("avra:times"));
}

function restore(chart) {
  const legend = chart.querySelector("[data-legend]");
  if (legends.has(legend)) legend.replaceChildren(...legends.get(legend));
  delete legend.dataset.shown;
  chosen = "";
  for (const each of chart.querySelectorAll("g.chosen")) each.classList.remove("chosen");
}

// Of all bars the Tab key stops at one.
function rove(chart, chosen) {
  for (const column of columnsOf(chart)) column.setAttribute("tabindex", column === chosen ? "0" : "-1");
}

function prepare() {
  for (const chart of document.querySelectorAll("[data-chart]")) {
    const columns = columnsOf(chart);
    if (columns.length && !columns.some((each) => each.getAttribute("tabindex") === "0")) rove(chart, columns.at(-1));
  }
}

function columnAt(target) {
  return target.closest?.("[data-chart] g[data-from]")?.querySelector("a.column");
}

document.addEventListener("pointerdown", (event) => { isTouch = event.pointerType === "touch"; }, true);
document.addEventListener("click", (event) => {
  const column = isTouch && columnAt(event.target);
  if (!column) return;
  // A finger cannot hover: the first press reads the bar, its parts beneath are the links.
  event.preventDefault();
  event.stopPropagation();
  show(column.closest("[data-chart]"), column);
}, true);
document.addEventListener("pointerover", ({ target, pointerType }) => {
  const column = pointerType === "mouse" && columnAt(target);
  if (column) show(column.closest("[data-chart]"), column);
});
document.addEventListener("focusin", ({ target }) => {
  if (!target.matches?.("a.column")) return;
  const chart = target.closest("[data-chart]");
  rove(chart, target);
  show(chart, target);
});
document.addEventListener("keydown", (event) => {
  const chart = event.target.closest?.("[data-chart]");
  if (!chart) return;
  if (event.key === "Escape") return restore(chart);
  const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
  if (!(event.key in steps) || !event.target.matches("a.column")) return;
  const columns = columnsOf(chart);
  const next = Math.min(Math.max(columns.indexOf(event.target) + steps[event.key], 0), columns.length - 1);
  event.preventDefault();
  columns[next].focus();
  show(chart, columns[next]);
});
// A poll that drew a chart anew has taken the marks away: what was being read is read on, with its new figures.
function resume() {
  prepare();
  for (const chart of document.querySelectorAll("[data-chart]")) {
    const legend = chart.querySelector("[data-legend]");
    if (legend.dataset.shown || !chosen) continue;
    legends.delete(legend);
    const column = chart.querySelector(`g[data-from="${chosen}"] a.column`);
    if (column) show(chart, column);
  }
}

document.addEventListener("pointerout", ({ target, relatedTarget, pointerType }) => {
  const chart = pointerType === "mouse" && target.closest?.("[data-chart]");
  if (chart && !chart.contains(relatedTarget) && !chart.contains(document.activeElement)) restore(chart);
});
document.addEventListener("htmx:after:swap", resume);
prepare();
