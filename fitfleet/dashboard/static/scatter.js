// A scatter of any two columns; hover names the job, a click opens it.
import { colour, ink, shorter } from "./curves.js";

const HEIGHT = 352;
const NEAR = 16; // pixels

export class Scatter {
  constructor(element, onClick) {
    this.element = element;
    this.onClick = onClick;
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    new ResizeObserver(() => this.plot?.setSize({ width: this.#width(), height: HEIGHT })).observe(element);
  }

  #width() {
    return Math.max(240, this.element.clientWidth);
  }

  draw({ columns, jobs, values }) {
    this.plot?.destroy();
    this.plot = null;
    this.element.replaceChildren();
    const across = scaled(values[0]);
    const up = scaled(values[1]);
    const rows = jobs.map((job, i) => [across.at[i], up.at[i], job]).filter(([a, b]) => a !== null && b !== null);
    if (!rows.length) {
      const note = document.createElement("p");
      note.className = "note";
      note.textContent = "No job has a value of both columns yet.";
      this.element.append(note);
      return;
    }
    rows.sort((a, b) => a[0] - b[0]);
    this.jobs = rows.map((row) => row[2]);
    const axis = (column, scale) => ({
      label: column.title,
      labelSize: 18,
      stroke: ink("dim"),
      grid: { stroke: ink("line"), width: 1 },
      ticks: { stroke: ink("line"), width: 1 },
      ...(scale.names ? { splits: scale.names.map((_, i) => i), values: (_, ticks) => ticks.map((i) => scale.names[i] ?? "") } : { values: (_, ticks) => ticks.map((v) => (v === null ? "" : shorter(v))) }),
    });
    const range = (scale) => (_, low, high) => {
      if (scale.isLog) return [low / 1.2, high * 1.2];
      const room = (high - low) * 0.06 || 0.5;
      return [low - room, high + room];
    };
    this.plot = new uPlot(
      {
        width: this.#width(),
        height: HEIGHT,
        legend: { show: false },
        cursor: { points: { show: false }, drag: { x: true, y: true, uni: 20 } },
        scales: { x: { time: false, distr: across.isLog ? 3 : 1, range: range(across) }, y: { distr: up.isLog ? 3 : 1, range: range(up) } },
        axes: [{ ...axis(columns[0], across), size: 40 }, { ...axis(columns[1], up), size: 62 }],
        series: [{}, { paths: () => null, stroke: colour(0, 1), points: { show: true, size: 7, width: 1, fill: colour(0, 1), filter: (_, __, isShown) => (isShown ? rows.map((_, i) => i) : null) } }],
        hooks: { setCursor: [(plot) => this.#move(plot)] },
      },
      [rows.map((row) => row[0]), rows.map((row) => row[1])],
      this.element,
    );
    this.scales = [across, up];
    this.titles = columns.map((column) => column.title);
    this.tip.hidden = true;
    this.plot.over.append(this.tip);
    this.plot.over.addEventListener("click", () => this.at !== null && this.at !== undefined && this.onClick(this.jobs[this.at]));
  }

  #move(plot) {
    const { left, top } = plot.cursor;
    let near = NEAR ** 2;
    this.at = null;
    plot.data[0].forEach((value, i) => {
      const away = (plot.valToPos(value, "x") - left) ** 2 + (plot.valToPos(plot.data[1][i], "y") - top) ** 2;
      if (away < near) [near, this.at] = [away, i];
    });
    this.tip.hidden = this.at === null;
    if (this.at === null) return;
    const said = [0, 1].map((i) => `${this.titles[i]} ${this.scales[i].text(plot.data[i][this.at])}`);
    this.tip.textContent = `job ${this.jobs[this.at]}: ${said.join(", ")}`;
    const isRight = left > plot.over.clientWidth / 2;
    Object.assign(this.tip.style, { left: isRight ? "" : `${left + 12}px`, right: isRight ? `${plot.over.clientWidth - left + 12}px` : "", top: `${Math.max(0, top - 8)}px` });
  }
}

/** Numbers as they are, with a log axis where they spread widely; all else by its name. */
function scaled(values) {
  const given = values.filter((v) => v !== null);
  if (given.every((v) => typeof v === "number")) {
    const isLog = given.length > 0 && Math.min(...given) > 0 && Math.max(...given) / Math.min(...given) > 50;
    return { at: values, isLog, text: shorter };
  }
  const names = [...new Set(given.map(String))].sort();
  return { at: values.map((v) => (v === null ? null : names.indexOf(String(v)))), names, isLog: false, text: (i) => names[i] };
}
