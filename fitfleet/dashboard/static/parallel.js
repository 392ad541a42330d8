// Parallel coordinates: one line a job through its parameters to the metric; ranges are dragged.
import { ink, shorter } from "./curves.js";

const HEIGHT = 352;
const TOP = 34;
const BOTTOM = 26;
const SIDE = 56;
const NONE = HEIGHT - 8; // where a job crosses an axis it has no value on

export class Parallel {
  constructor(element, onBrush) {
    this.element = element;
    this.onBrush = onBrush;
    this.ranges = {}; // column -> [top, bottom] as parts of the axis, 1 at its top
    new ResizeObserver(() => this.data && this.#paint()).observe(element);
  }

  draw(data, brush) {
    this.data = data;
    this.axes = data.columns.map((column, i) => makeAxis(column, data.values[i]));
    for (const axis of this.axes) {
      const given = brush[axis.name];
      if (given && !this.ranges[axis.name]) this.ranges[axis.name] = axis.rangeOf(given);
    }
    this.#paint();
  }

  clear() {
    this.ranges = {};
    this.#paint();
    this.onBrush({});
  }

  #paint() {
    this.element.replaceChildren();
    if (!this.data.jobs.length || this.axes.length < 2) {
      const note = document.createElement("p");
      note.className = "note";
      note.textContent = this.data.jobs.length ? "All jobs have the same parameters; nothing to plot yet." : "No jobs to plot.";
      this.element.append(note);
      return;
    }
    this.width = Math.max(240, this.element.clientWidth);
    this.#lines();
    this.svg = shape("svg", { viewBox: `0 0 ${this.width} ${HEIGHT}`, role: "group", "aria-label": "Axes" });
    this.axes.forEach((axis, i) => this.#axis(axis, i));
    this.element.append(this.svg);
  }

  #x(i) {
    return SIDE + (i * (this.width - 2 * SIDE)) / (this.axes.length - 1);
  }

  #lines() {
    const canvas = this.canvas ?? (this.canvas = document.createElement("canvas"));
    const ratio = devicePixelRatio || 1;
    Object.assign(canvas, { width: this.width * ratio, height: HEIGHT * ratio, className: "under" });
    Object.assign(canvas.style, { width: `${this.width}px`, height: `${HEIGHT}px` });
    this.element.append(canvas);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const metric = this.axes.at(-1);
    const rows = this.data.jobs.map((_, i) => i);
    const isIn = rows.map((i) => this.#holds(i));
    for (const turn of [false, true]) {
      for (const i of rows) {
        if (isIn[i] !== turn) continue;
        const at = metric.heightOf(metric.values[i]);
        const good = at === null ? 0 : this.data.is_maximized ? at : 1 - at;
        pen.strokeStyle = turn ? `hsl(${210 - 170 * (1 - good)} 70% ${ink("paper").startsWith("#0") ? 62 : 42}%)` : ink("line");
        pen.globalAlpha = turn ? Math.max(0.25, Math.min(0.9, 60 / rows.length)) : 0.35;
        pen.beginPath();
        this.axes.forEach((axis, j) => pen[j ? "lineTo" : "moveTo"](this.#x(j), y(axis.heightOf(axis.values[i]))));
        pen.stroke();
      }
    }
  }

  #holds(i) {
    return this.axes.every((axis) => {
      const range = this.ranges[axis.name];
      if (!range) return true;
      const at = axis.heightOf(axis.values[i]);
      return at !== null && at <= range[0] + 1e-9 && at >= range[1] - 1e-9;
    });
  }

  #axis(axis, i) {
    const x = this.#x(i);
    const group = shape("g", { class: "axis", transform: `translate(${x} 0)` });
    const anchor = i === 0 ? "start" : i === this.axes.length - 1 ? "end" : "middle";
    const shift = i === 0 ? -SIDE + 4 : i === this.axes.length - 1 ? SIDE - 4 : 0;
    const name = shape("text", { x: shift, y: i % 2 && this.axes.length > 4 ? 12 : 26, "text-anchor": anchor });
    name.textContent = axis.title.length > 18 ? `${axis.title.slice(0, 17)}…` : axis.title;
    const title = shape("title", {});
    title.textContent = axis.title;
    name.append(title);
    group.append(name, shape("line", { y1: TOP, y2: HEIGHT - BOTTOM }));
    const isLast = i === this.axes.length - 1;
    for (const [at, text] of axis.ticks) {
      const tick = shape("text", { x: isLast ? -6 : 6, y: y(at) + 4, "text-anchor": isLast ? "end" : "start" });
      tick.textContent = text.length > 10 ? `${text.slice(0, 9)}…` : text;
      group.append(shape("line", { x1: -3, x2: 3, y1: y(at), y2: y(at) }), tick);
    }
    const range = this.ranges[axis.name];
    if (range) group.append(shape("rect", { class: "brush", x: -7, width: 14, y: y(range[0]), height: Math.max(3, y(range[1]) - y(range[0])) }));
    const hit = shape("rect", { class: "hit", x: -14, width: 28, y: TOP, height: HEIGHT - BOTTOM - TOP, tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(100 * (range?.[1] ?? 0)), "aria-valuetext": axis.rangeText(range), "aria-label": `Range of ${axis.title}` });
    hit.addEventListener("pointerdown", (event) => this.#drag(axis, event, hit));
    hit.addEventListener("keydown", (event) => this.#key(axis, event, i));
    group.append(hit);
    this.svg.append(group);
  }

  #drag(axis, event, hit) {
    hit.setPointerCapture(event.pointerId);
    const box = this.svg.getBoundingClientRect();
    const place = (e) => fraction(((e.clientY - box.top) * HEIGHT) / box.height);
    const from = place(event);
    let to = from;
    hit.onpointermove = (e) => (to = place(e));
    hit.onpointerup = () => {
      hit.onpointermove = hit.onpointerup = null;
      const isClick = Math.abs(from - to) < 0.015;
      this.#set(axis, isClick ? null : [Math.max(from, to), Math.min(from, to)]);
    };
  }

  /** Enter begins with the upper half; arrows move it, with Shift they widen and narrow it. */
  #key(axis, event, i) {
    const range = this.ranges[axis.name];
    const step = { ArrowUp: 0.05, ArrowDown: -0.05 }[event.key];
    if (event.key === "Enter" && !range) this.#set(axis, [1, 0.5]);
    else if (event.key === "Escape" && range) this.#set(axis, null);
    else if (step && range) this.#set(axis, event.shiftKey ? [range[0], range[1] - step] : [range[0] + step, range[1] + step]);
    else return;
    event.preventDefault();
    this.svg.querySelectorAll(".hit")[i].focus();
  }

  #set(axis, range) {
    if (range === null) delete this.ranges[axis.name];
    else this.ranges[axis.name] = [Math.min(1, Math.max(0, range[0])), Math.min(1, Math.max(0, range[1]))];
    this.#paint();
    const named = this.axes.filter((one) => this.ranges[one.name]);
    this.onBrush(Object.fromEntries(named.map((one) => [one.name, one.brushOf(this.ranges[one.name])])));
  }
}

function y(at) {
  return at === null ? NONE : TOP + (1 - at) * (HEIGHT - BOTTOM - TOP);
}

function fraction(pixel) {
  const at = 1 - (pixel - TOP) / (HEIGHT - BOTTOM - TOP);
  return at > 0.98 ? 1 : at < 0.02 ? 0 : at; // the ends are meant to be in
}

function shape(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function makeAxis(column, values) {
  const given = values.filter((v) => v !== null);
  const isNumeric = given.length > 0 && given.every((v) => typeof v === "number");
  const axis = isNumeric ? numeric(given) : categorical(given);
  axis.rangeText = (range) => (range ? axis.brushOf(range).map(shorter).join(" to ") : "everything");
  return { ...axis, name: column.name, title: column.title, values };
}

function numeric(given) {
  let [low, high] = [Math.min(...given), Math.max(...given)];
  const isLog = low > 0 && high / low > 50;
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const to = isLog ? Math.log : (v) => v;
  const back = isLog ? Math.exp : (v) => v;
  const span = to(high) - to(low);
  const heightOf = (v) => (v === null ? null : (to(v) - to(low)) / span);
  const valueAt = (at) => back(to(low) + at * span);
  return {
    heightOf,
    ticks: [0, 0.25, 0.5, 0.75, 1].map((at) => [at, String(Number(valueAt(at).toPrecision(3)))]),
    brushOf: ([top, bottom]) => [bottom <= 0 ? low : valueAt(bottom), top >= 1 ? high : valueAt(top)],
    rangeOf: (brush) => (typeof brush[0] === "number" ? [Math.min(1, heightOf(brush[1])), Math.max(0, heightOf(brush[0]))] : [1, 0]),
  };
}

function categorical(given) {
  const names = [...new Set(given.map(String))].sort();
  const heightOf = (v) => (v === null ? null : (names.indexOf(String(v)) + 0.5) / names.length);
  const shown = names.length > 12 ? names.filter((_, i) => i % Math.ceil(names.length / 12) === 0) : names;
  return {
    heightOf,
    ticks: shown.map((name) => [heightOf(name), name]),
    brushOf: ([top, bottom]) => names.filter((name) => heightOf(name) <= top && heightOf(name) >= bottom),
    rangeOf: (brush) => {
      const at = brush.map(heightOf).filter((height) => height !== null);
      return at.length ? [Math.max(...at) + 0.01, Math.min(...at) - 0.01] : [1, 0];
    },
  };
}
