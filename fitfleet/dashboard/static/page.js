// What every page does: colours, the stream and its state, ages, messages; then what is on it.
import { Stream } from "./stream.js";
import { startTable } from "./table.js";
import { startCharts } from "./charts.js";
import { startLog } from "./log.js";

const root = document.body.dataset.root;
const THEMES = { auto: "◐", light: "☀", dark: "☾" };

htmx.createEventSource = (url) => {
  const stream = new Stream(url);
  stream.addEventListener("state", (event) => showState(event.detail));
  return stream;
};

function showState(state) {
  const shown = document.getElementById("stream");
  if (!shown) return;
  shown.dataset.state = state;
  shown.textContent = state === "live" ? "live" : "interrupted, trying again";
}

/** A sentence above the page while something is away; `since` in seconds since 1970. */
function showAway(since) {
  const banner = document.getElementById("banner");
  banner.hidden = since === null;
  if (since === null) return;
  const at = new Date(since * 1000).toLocaleTimeString();
  banner.textContent = `The database has been away since ${at}. What is shown is from before; it comes back by itself.`;
}

document.addEventListener("fitfleet:news", (event) => {
  if (!event.detail.names.includes("database")) return;
  showAway(event.detail.away_since);
  if (event.detail.away_since !== null) return;
  if (document.querySelector("[data-away]")) location.reload();
  htmx.trigger(document.body, "fitfleet:changed");
});

// A part of the page that cannot be read keeps what it shows; why is said below.
document.body.addEventListener("htmx:responseError", (event) => {
  const { status, responseText } = event.detail.xhr;
  if (status === 503) return; // the stream tells since when
  const isHtml = responseText.startsWith("<p");
  say(isHtml ? responseText : "", isHtml ? "" : `The server answered ${status}.`);
});

let saying;
export function say(html, text = "") {
  const said = document.getElementById("said");
  if (html) said.innerHTML = html; // made and escaped by our own server
  else {
    const line = document.createElement("p");
    line.textContent = text;
    said.replaceChildren(line);
  }
  forget(said);
}
function forget(said) {
  clearTimeout(saying);
  saying = setTimeout(() => said.replaceChildren(), 8000);
}
document.body.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id === "said") forget(event.detail.target);
  showAges(event.detail.target);
});

// Moments, as how long ago they were.
function age(seconds) {
  if (seconds < 5) return "now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}
function showAges(inside = document) {
  const now = Date.now() / 1000;
  for (const element of inside.querySelectorAll("time[data-at]")) {
    const at = Number(element.dataset.at);
    const text = age(now - at);
    if (element.textContent !== text) element.textContent = text;
    if (!element.title) element.title = new Date(at * 1000).toLocaleString();
  }
}
setInterval(() => document.visibilityState === "visible" && showAges(), 1000);
showAges();

const theme = document.getElementById("theme");
function showTheme() {
  const chosen = document.documentElement.dataset.theme ?? "auto";
  theme.textContent = THEMES[chosen];
  theme.setAttribute("aria-label", `Colours: ${chosen === "auto" ? "as the system" : chosen}`);
}
theme.addEventListener("click", () => {
  const names = Object.keys(THEMES);
  const chosen = document.documentElement.dataset.theme ?? "auto";
  const next = names[(names.indexOf(chosen) + 1) % names.length];
  if (next === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  localStorage.setItem("fitfleet-theme", next);
  showTheme();
  document.dispatchEvent(new CustomEvent("fitfleet:theme"));
});
showTheme();

startTable(root, say);
startCharts(root);
startLog(root);
