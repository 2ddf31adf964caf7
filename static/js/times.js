// Moments: how long ago or exactly, in UTC or in the reader's time zone; both are remembered. Without this file: UTC.
const root = document.documentElement;
const REFRESH_MS = 5000;

function isOn(name) {
  try { return localStorage.getItem(`times-${name}`) === "on"; } catch { return chosen[name]; }
}

const chosen = { exact: false, local: false };
for (const name of Object.keys(chosen)) chosen[name] = isOn(name);

// As the server says it: `5 min ago`, `in 2 h`.
function relative(ms) {
  const s = Math.round(Math.abs(ms) / 1000);
  const [n, unit] = s < 60 ? [s, "s"] : s < 3600 ? [s / 60, "min"] : s < 86400 ? [s / 3600, "h"] : [s / 86400, "d"];
  const amount = `${Math.floor(n)} ${unit}`;
  return ms < 0 ? `in ${amount}` : `${amount} ago`;
}

function zoneOf(moment) {
  if (!chosen.local) return "UTC";
  const minutes = -moment.getTimezoneOffset();
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60].map((part) => String(part).padStart(2, "0"));
  return `${minutes < 0 ? "-" : "+"}${hours}:${rest}`;
}

function exact(moment) {
  const shifted = chosen.local ? new Date(moment - moment.getTimezoneOffset() * 60_000) : moment;
  return shifted.toISOString().slice(0, 19).replace("T", " ");
}

// The time of day; of another day, with its date.
function timeOfDay(moment) {
  const [day, time] = exact(moment).split(" ");
  const isToday = day === exact(new Date()).slice(0, 10);
  return `${isToday ? "" : `${dayOf(moment)}, `}${time.slice(0, 5)}${chosen.local ? "" : " UTC"}`;
}

function dayOf(moment, parts = { day: "numeric", month: "short" }) {
  const day = exact(moment).slice(0, 10);
  return new Date(`${day}T00:00:00Z`).toLocaleDateString("en-GB", { ...parts, timeZone: "UTC" });
}

function textOf(time, moment) {
  if (time.dataset.tick === "hour") return exact(moment).slice(11, 16);
  if (time.dataset.tick === "day") return dayOf(moment);
  if (time.dataset.tick === "weekday") return dayOf(moment, { weekday: "short" });
  if ("clock" in time.dataset) return timeOfDay(moment);
  if ("minute" in time.dataset) return `${exact(moment).slice(0, 16)} ${zoneOf(moment)}`;
  if ("exact" in time.dataset) return `${exact(moment)} ${zoneOf(moment)}`;
  if (!("relative" in time.dataset)) return time.textContent;
  if (chosen.exact) return exact(moment);
  const ms = Date.now() - moment;
  return "due" in time.dataset && ms >= 0 ? "now" : relative(ms);
}

function refreshTimes() {
  if (document.hidden) return;
  for (const time of document.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const text = textOf(time, moment);
    if (time.textContent !== text) time.textContent = text;
    if (time.title) time.title = `${"relative" in time.dataset ? "" : "since "}${exact(moment)} ${zoneOf(moment)}`;
  }
}

// Where times without a zone stand, which zone that is.
function nameZones() {
  const zone = zoneOf(new Date());
  for (const place of document.querySelectorAll("[data-zone]")) {
    const name = chosen.local && place.dataset.zone !== "short" ? `in your time zone, ${zone}` : zone;
    if (place.textContent !== name) place.textContent = name;
  }
}

// Fields for a moment hold what they show; the server is sent UTC, so that an address means the same to everybody.
function inZone(text, from, to) {
  const moment = new Date(from === "local" ? text : `${text}Z`);
  if (!text || from === to || Number.isNaN(moment.getTime())) return text;
  const shifted = to === "local" ? new Date(moment - moment.getTimezoneOffset() * 60_000) : moment;
  return shifted.toISOString().slice(0, text.length);
}

function moveFields() {
  const to = chosen.local ? "local" : "utc";
  for (const field of document.querySelectorAll("[data-in-zone]")) {
    field.value = inZone(field.value, field.dataset.inZone || "utc", to);
    field.dataset.inZone = to;
  }
}

function refresh() {
  refreshTimes();
  nameZones();
  moveFields();
}

function show() {
  root.toggleAttribute("data-exact-times", chosen.exact);
  for (const button of document.querySelectorAll("[data-times]")) button.setAttribute("aria-pressed", chosen[button.dataset.times]);
  refresh();
}

function toggle(name) {
  chosen[name] = !chosen[name];
  try { localStorage.setItem(`times-${name}`, chosen[name] ? "on" : "off"); } catch { /* kept for this page only */ }
  show();
}

for (const line of document.querySelectorAll(".times")) line.hidden = false;
document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-times]");
  if (button) toggle(button.dataset.times);
  // Where there is no pointer to hover with, a press on a moment says exactly when it was.
  else if (target.closest?.("time[data-relative]") && !target.closest("a, summary, button")) toggle("exact");
});
for (const name of ["htmx:after:swap", "visibilitychange", "avra:times"]) document.addEventListener(name, refresh);
document.addEventListener("formdata", ({ target, formData }) => {
  for (const field of target.querySelectorAll("[data-in-zone='local']")) {
    if (formData.get(field.name) === field.value) formData.set(field.name, inZone(field.value, "local", "utc"));
  }
});
setInterval(refreshTimes, REFRESH_MS);
show();
