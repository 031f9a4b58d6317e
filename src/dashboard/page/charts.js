// @ts-check
/** A curve of one or two values over time, as SVG. Read by eye, or with the arrow keys. */

/** @import { DashboardPoint } from "../state.ts" */

/** @typedef {{ readonly name: keyof DashboardPoint, readonly label: string }} Series */

const WIDTH = 600;
const HEIGHT = 100;
const SVG = "http://www.w3.org/2000/svg";

export class Chart {
  /** @type {readonly DashboardPoint[]} */
  #points = [];
  /** @type {number | undefined} */
  #selected;
  #series;
  #format;
  #ceiling;
  #caption = document.createElement("small");
  #svg = document.createElementNS(SVG, "svg");
  #cursor = document.createElementNS(SVG, "line");
  /** @type {readonly SVGPathElement[]} */
  #paths;
  #title;

  /**
   * @param {HTMLElement} parent
   * @param {{ title: string, series: readonly Series[], format: (value: number) => string, ceiling?: number }} options
   */
  constructor(parent, { title, series, format, ceiling = 0 }) {
    this.#title = title;
    this.#series = series;
    this.#format = format;
    this.#ceiling = ceiling;
    const figure = document.createElement("figure");
    const figcaption = document.createElement("figcaption");
    const name = document.createElement("span");
    name.textContent = title;
    figcaption.append(name, this.#caption);
    this.#svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.#svg.setAttribute("preserveAspectRatio", "none");
    this.#svg.setAttribute("role", "img");
    this.#svg.setAttribute("tabindex", "0");
    this.#paths = series.map((_one, at) => {
      const path = document.createElementNS(SVG, "path");
      if (at > 0) path.setAttribute("class", "second");
      return path;
    });
    this.#cursor.setAttribute("y1", "0");
    this.#cursor.setAttribute("y2", String(HEIGHT));
    this.#cursor.setAttribute("visibility", "hidden");
    this.#svg.append(...this.#paths, this.#cursor);
    figure.append(figcaption, this.#svg);
    parent.append(figure);
    this.#svg.addEventListener("keydown", (event) => this.#onKey(event));
    this.#svg.addEventListener("blur", () => this.#select(undefined));
    this.#svg.addEventListener("pointermove", (event) => {
      const { left, width } = this.#svg.getBoundingClientRect();
      const at = Math.round(((event.clientX - left) / width) * (this.#points.length - 1));
      this.#select(at);
    });
    this.#svg.addEventListener("pointerleave", () => this.#select(undefined));
  }

  /** @param {readonly DashboardPoint[]} points */
  draw(points) {
    this.#points = points;
    const values = this.#series.flatMap(({ name }) => points.map((point) => point[name] ?? 0));
    const top = Math.max(this.#ceiling, ...values) * 1.05 || 1;
    for (const [at, { name }] of this.#series.entries()) {
      this.#paths[at]?.setAttribute("d", line(points, name, top));
    }
    this.#describe();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const last = this.#points.length - 1;
    const at = this.#selected ?? last;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      this.#select(to);
    } else if (event.key === "Escape") this.#select(undefined);
  }

  /** @param {number | undefined} at */
  #select(at) {
    const last = this.#points.length - 1;
    this.#selected = at === undefined || last < 0 ? undefined : Math.min(last, Math.max(0, at));
    this.#describe();
  }

  #describe() {
    const at = this.#selected ?? this.#points.length - 1;
    const point = this.#points[at];
    if (point === undefined) return;
    const values = this.#series
      .map(({ name, label }) => {
        const value = point[name];
        return `${label}${value === undefined ? "unknown" : this.#format(value)}`;
      })
      .join(", ");
    const when = this.#selected === undefined ? "now" : new Date(point.atMs).toLocaleTimeString();
    const text = this.#selected === undefined ? values : `${when}: ${values}`;
    this.#caption.textContent = text;
    this.#svg.setAttribute("aria-label", `${this.#title}, ${when}: ${values}`);
    if (this.#selected === undefined) this.#cursor.setAttribute("visibility", "hidden");
    else {
      const x = String(xOf(at, this.#points.length));
      this.#cursor.setAttribute("x1", x);
      this.#cursor.setAttribute("x2", x);
      this.#cursor.setAttribute("visibility", "visible");
    }
  }
}

/**
 * @param {number} at
 * @param {number} count
 */
function xOf(at, count) {
  return count < 2 ? WIDTH : (at / (count - 1)) * WIDTH;
}

/**
 * Values that are not known for more than five seconds leave a gap.
 *
 * @param {readonly DashboardPoint[]} points
 * @param {keyof DashboardPoint} name
 * @param {number} top
 */
function line(points, name, top) {
  let path = "";
  let gap = Infinity;
  for (const [at, point] of points.entries()) {
    const value = point[name];
    if (value === undefined) {
      gap++;
      continue;
    }
    const x = xOf(at, points.length).toFixed(1);
    const y = (HEIGHT - (value / top) * HEIGHT).toFixed(1);
    path += `${gap > 5 ? "M" : "L"}${x} ${y}`;
    gap = 0;
  }
  return path;
}
