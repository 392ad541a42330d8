// Which pictures are on this page, and when they are drawn anew.
import { CurveChart } from "./curves.js";
import { Parallel } from "./parallel.js";
import { Scatter } from "./scatter.js";
import { Values } from "./values.js";

const BEST_MS = 2000; // so often the best jobs are looked for again

/** Whether news are of one of these jobs. "job-0": of more jobs than are named. */
const concern = (names, ids) => ["hello", "job-0", "experiment-0"].some((name) => names.includes(name)) || ids.some((id) => names.includes(`job-${id}`));

export function startCharts(root) {
  startExperiment(root);
  startJob(root);
  startCompare(root);
}

function startExperiment(root) {
  const form = document.getElementById("state");
  if (!form) return;
  const open = (job) => location.assign(`${root}/job/${job}`);
  const values = new Values(root);
  const curves = new CurveChart(document.getElementById("curves"), open);
  const scatter = new Scatter(document.getElementById("scatter"), open);
  const parallel = new Parallel(document.getElementById("parallel"), (brush) => document.dispatchEvent(new CustomEvent("fitfleet:brush", { detail: brush })));
  let jobs = [];
  let askedAt = 0;
  let soon = null;
  const query = () => new URLSearchParams(new FormData(form));
  const options = () => ({
    x: form.elements.x.value,
    isLog: form.elements.log.checked,
    hasBand: form.elements.band.checked,
    smoothing: Number(form.elements.smooth.value),
    empty: jobs.length ? "No epoch has ended yet." : "No jobs to plot yet.",
  });
  const lines = () => jobs.map((job) => ({ ...job, points: values.jobs.get(String(job.id)) }));
  const paint = () => curves.draw(lines(), options());

  async function choose() {
    askedAt = performance.now();
    const answer = await fetch(`${root}/data/chosen?${query()}`);
    if (!answer.ok) return;
    const found = await answer.json();
    jobs = found.jobs;
    nameMetrics(found.values, found.metric);
  }

  /** A page that was opened before the first epoch learns then which metrics there are. */
  function nameMetrics(names, usual) {
    const select = form.elements.metric;
    const known = new Set([...select.options].map((option) => option.value));
    for (const name of names.filter((one) => !known.has(one))) select.add(new Option(name, name, false, !known.size && name === usual));
  }

  async function drawCurves() {
    await choose();
    paint();
    await values.read(form.elements.metric.value, jobs.map((job) => job.id), paint);
  }

  async function points() {
    askedAt = performance.now();
    const answer = await fetch(`${root}/data/points?${query()}`);
    return answer.ok ? answer.json() : null;
  }

  const drawers = {
    curves: drawCurves,
    parallel: async () => {
      const data = await points();
      if (data) parallel.draw(data, JSON.parse(form.elements.brush.value || "{}"));
    },
    scatter: async () => {
      const data = await points();
      if (data) scatter.draw(data);
    },
    groups: async () => {
      askedAt = performance.now();
      htmx.trigger("#groups", "fitfleet:rank");
    },
  };
  const draw = () => drawers[form.elements.panel.value]().catch(() => {}); // the stream tells what is away

  /** Which jobs are best is asked for every few seconds. */
  function drawSoon() {
    if (soon) return;
    soon = setTimeout(() => {
      soon = null;
      draw();
    }, Math.max(0, BEST_MS - (performance.now() - askedAt)));
  }

  document.addEventListener("fitfleet:draw", draw);
  document.addEventListener("fitfleet:theme", draw);
  form.querySelector("[data-unbrush]").addEventListener("click", () => parallel.clear());
  document.addEventListener("fitfleet:news", (event) => {
    const { names } = event.detail;
    if (names.includes("hello")) return draw();
    if (!names.includes("experiment-0") && !names.includes(`experiment-${form.dataset.experiment}`)) return;
    drawSoon();
    const ids = jobs.map((job) => job.id);
    if (form.elements.panel.value === "curves" && concern(names, ids)) values.read(form.elements.metric.value, ids, paint).catch(() => {});
  });
  draw();
}

/** All curves of one job: training and validation of each metric. */
function startJob(root) {
  const element = document.getElementById("job-curves");
  if (!element) return;
  const { job } = element.dataset;
  const names = element.dataset.metrics.split(",").filter((name) => name && name !== "learning_rate");
  const known = names.length ? names : ["loss", "val_loss"];
  const chart = new CurveChart(element);
  const stores = known.map((name) => ({ name, values: new Values(root) }));
  const paint = () => chart.draw(stores.map(({ name, values }) => ({ id: name, label: name, group: name, points: values.jobs.get(job) })), { x: "epoch" });
  const read = () => Promise.all(stores.map(({ name, values }) => values.read(name, [job], paint))).catch(() => {});
  document.addEventListener("fitfleet:news", (event) => {
    if (concern(event.detail.names, [job])) read();
  });
  document.addEventListener("fitfleet:theme", paint);
  paint();
  read();
}

function startCompare(root) {
  const element = document.getElementById("compare-curves");
  if (!element) return;
  const metric = document.getElementById("compare-metric");
  const labels = new Map([...element.querySelectorAll("[data-label]")].map((one) => [one.dataset.label, one.textContent]));
  const ids = element.dataset.jobs.split(",");
  const values = new Values(root);
  const chart = new CurveChart(element, (job) => location.assign(`${root}/job/${job}`));
  const paint = () => chart.draw(ids.map((id) => ({ id, label: `job ${id}: ${labels.get(id)}`, group: id, points: values.jobs.get(id) })), { x: "epoch" });
  const read = () => values.read(metric.value, ids, paint).catch(() => {});
  metric.addEventListener("change", read);
  document.addEventListener("fitfleet:theme", paint);
  document.addEventListener("fitfleet:news", (event) => {
    if (concern(event.detail.names, ids)) read();
  });
  paint();
  read();
}
