// Learning curves in one uPlot: hover names the run, log axis, smoothing, mean and 95 % band.

const LIGHT = ["#2a78d6", "#c2410c", "#178a5b", "#9333a8", "#b08900", "#0e7490", "#be185d", "#4d7c0f", "#6b4eff", "#7c5a3a"];
const DARK = ["#6aaef5", "#f59e6c", "#4fcf95", "#d48be6", "#e6c14a", "#4cc7de", "#f27fb2", "#a3d05a", "#a594ff", "#cfa883"];
const HEIGHT = 352;
// Distances between marks on an axis of epochs: there is no half of one.
const EPOCHS = [1, 2, 5].flatMap((n) => [0, 1, 2, 3, 4, 5, 6].map((power) => n * 10 ** power)).sort((a, b) => a - b);
const GRID = 500; // points of an axis in seconds
// Student's t at 97.5 % by degrees of freedom; 1.96 beyond.
const T975 = [NaN, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042];

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

export function colour(i, count) {
  if (count <= LIGHT.length) return (isDark() ? DARK : LIGHT)[i % LIGHT.length];
  return `hsl(${(i * 137.5) % 360} 60% ${isDark() ? 65 : 42}% / ${count > 200 ? 0.35 : 0.75})`;
}

export function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Each of `lines`: {id, label, group, points: {epochs, values, secondsEach}}. */
export class CurveChart {
  constructor(element, onClick = () => {}) {
    this.element = element;
    this.onClick = onClick;
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    this.tip.hidden = true;
    new ResizeObserver(() => this.plot?.setSize({ width: this.#width(), height: HEIGHT })).observe(element);
  }

  #width() {
    return Math.max(240, this.element.clientWidth);
  }

  draw(lines, options) {
    const began = performance.now();
    const shown = lines.filter((line) => line.points?.epochs.length);
    if (!shown.length) return this.#say(options.empty ?? "No epoch has ended yet.");
    const { x, columns } = aligned(shown, options);
    const series = options.hasBand ? banded(shown, columns) : { lines: shown, columns, bands: [] };
    const values = options.isLog ? series.columns.map((column) => column.map((v) => (v > 0 ? v : null))) : series.columns;
    const key = JSON.stringify([series.lines.map((one) => one.id), options, isDark()]);
    if (this.plot && key === this.key) this.plot.setData([x, ...values]);
    else this.#make(series, [x, ...values], options);
    this.key = key;
    performance.measure("fitfleet:draw", { start: began, end: performance.now() });
  }

  #say(text) {
    this.plot?.destroy();
    this.plot = null;
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = text;
    this.element.replaceChildren(note);
  }

  #make(series, data, options) {
    this.plot?.destroy();
    this.element.replaceChildren();
    this.series = series;
    const count = series.lines.filter((line) => !line.isEdge).length;
    const axis = { stroke: ink("dim"), grid: { stroke: ink("line"), width: 1 }, ticks: { stroke: ink("line"), width: 1 } };
    let drawn = -1;
    const made = series.lines.map((line) => {
      if (!line.isEdge) drawn++;
      return {
        label: line.label,
        stroke: line.isEdge ? "transparent" : colour(drawn, count),
        width: count > 200 ? 1 : 1.5,
        points: { show: line.isEdge ? false : data[0].length === 1 },
        spanGaps: true,
      };
    });
    const bands = series.bands.map(([high, low, of]) => ({ series: [high, low], fill: colour(of, count).replace(/^#(.*)$/, "#$12e") }));
    this.plot = new uPlot(
      {
        width: this.#width(),
        height: HEIGHT,
        legend: { show: false },
        cursor: { focus: { prox: 24 }, drag: { x: true, y: true, uni: 20 }, points: { show: count <= 10 } },
        focus: { alpha: count > 1 ? 0.25 : 1 },
        scales: { x: { time: false }, y: { distr: options.isLog ? 3 : 1 } },
        axes: [
          { ...axis, ...(options.x === "seconds" ? {} : { incrs: EPOCHS }), label: options.x === "seconds" ? "seconds (by the mean of an epoch)" : "epoch", labelSize: 18, size: 40 },
          { ...axis, size: 62, values: (_, ticks) => ticks.map((v) => (v === null ? "" : shorter(v))) },
        ],
        series: [{}, ...made],
        bands,
        hooks: { setSeries: [(plot, i) => this.#point(plot, i)], setCursor: [(plot) => this.#move(plot)] },
      },
      data,
      this.element,
    );
    this.plot.over.addEventListener("click", () => this.at && this.onClick(this.at.id));
    this.plot.over.append(this.tip);
    this.tip.hidden = true;
    this.#legend(made, count);
  }

  /** Few curves are named below, for those who do not hover. */
  #legend(made, count) {
    if (count > 12) return;
    const list = document.createElement("ul");
    list.className = "names";
    this.series.lines.forEach((line, i) => {
      if (line.isEdge) return;
      const item = document.createElement("li");
      const mark = document.createElement("span");
      mark.className = "mark";
      mark.style.background = made[i].stroke;
      item.append(mark, line.label);
      list.append(item);
    });
    this.element.append(list);
  }

  #point(_, i) {
    const line = i ? this.series.lines[i - 1] : null;
    this.at = line && !line.isEdge ? { ...line, column: i } : null;
  }

  #move(plot) {
    const { left, top, idx } = plot.cursor;
    const value = this.at && idx !== null ? plot.data[this.at.column][idx] : null;
    this.tip.hidden = value === null || value === undefined || left < 0;
    if (this.tip.hidden) return;
    this.tip.textContent = `${this.at.label}: ${shorter(value)} at ${shorter(plot.data[0][idx])}`;
    const isRight = left > plot.over.clientWidth / 2;
    Object.assign(this.tip.style, { left: isRight ? "" : `${left + 12}px`, right: isRight ? `${plot.over.clientWidth - left + 12}px` : "", top: `${Math.max(0, top - 8)}px` });
  }
}

export function shorter(value) {
  return typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value);
}

/** One x for all: epochs, or a grid of seconds. */
function aligned(lines, options) {
  const smooth = lines.map(({ points }) => smoothed(points.values, options.smoothing ?? 0));
  if (options.x === "seconds") return onSeconds(lines, smooth);
  const epochs = [...new Set(lines.flatMap(({ points }) => points.epochs))].sort((a, b) => a - b);
  const at = new Map(epochs.map((epoch, i) => [epoch, i]));
  const columns = lines.map(({ points }, i) => {
    const column = new Array(epochs.length).fill(undefined);
    points.epochs.forEach((epoch, j) => (column[at.get(epoch)] = smooth[i][j]));
    return column;
  });
  return { x: epochs, columns };
}

function onSeconds(lines, smooth) {
  const ends = lines.map(({ points }) => points.epochs.at(-1) * points.secondsEach);
  const most = Math.max(...ends) || 1;
  const x = Array.from({ length: GRID }, (_, i) => ((i + 1) * most) / GRID);
  const columns = lines.map(({ points }, i) => {
    let j = -1;
    return x.map((seconds) => {
      while (j + 1 < points.epochs.length && points.epochs[j + 1] * points.secondsEach <= seconds + 1e-9) j++;
      return j < 0 || seconds > ends[i] + most / GRID ? undefined : smooth[i][j];
    });
  });
  return { x, columns };
}

/** Exponential moving average, corrected at its start. */
function smoothed(values, weight) {
  if (!weight) return values;
  let last = 0;
  let part = 1;
  return values.map((value) => {
    if (value === null) return null;
    last = last * weight + (1 - weight) * value;
    part *= weight;
    return last / (1 - part);
  });
}

/** The mean of each configuration over its repeats, and the 95 % t interval of it. */
function banded(lines, columns) {
  const groups = new Map();
  lines.forEach((line, i) => groups.set(line.group, [...(groups.get(line.group) ?? []), i]));
  const found = { lines: [], columns: [], bands: [] };
  for (const members of groups.values()) {
    const first = lines[members[0]];
    const label = members.length > 1 ? [first.configuration, `mean of ${members.length}`].filter(Boolean).join(", ") : first.label;
    const [mean, low, high] = [[], [], []];
    for (let j = 0; j < columns[0].length; j++) {
      const values = members.map((i) => columns[i][j]).filter((v) => v !== null && v !== undefined);
      const n = values.length;
      const middle = n ? values.reduce((a, b) => a + b) / n : null;
      const squares = values.reduce((sum, v) => sum + (v - middle) ** 2, 0);
      const half = n > 1 ? ((T975[n - 1] ?? 1.96) * Math.sqrt(squares / (n - 1))) / Math.sqrt(n) : 0;
      mean.push(middle);
      low.push(n > 1 ? middle - half : null);
      high.push(n > 1 ? middle + half : null);
    }
    const of = found.bands.length;
    found.lines.push({ ...first, label });
    found.columns.push(mean);
    found.lines.push({ id: `${first.id} high`, label: "", isEdge: true }, { id: `${first.id} low`, label: "", isEdge: true });
    found.columns.push(high, low);
    found.bands.push([found.lines.length - 1, found.lines.length, of]);
  }
  return found;
}
