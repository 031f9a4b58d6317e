// @ts-check
/** Shows what comes over /events. Text goes into the page as text only, never as markup. */
/** @import { DashboardEvent, DashboardPoint, DashboardState, PartitionState, StepState } from "../state.ts" */
import { Chart } from "./charts.js";

const MAX_POINTS = 600;
const MAX_EVENTS = 100;

/** @param {string} id */
function element(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`The page has no ${id}.`);
  return found;
}

/** @param {number} value */
function count(value) {
  return Math.round(value).toLocaleString("en-US");
}

/** @param {number} value */
function duration(value) {
  if (value < 1_000) return `${Math.round(value)} ms`;
  if (value < 60_000) return `${(value / 1_000).toFixed(1)} s`;
  return `${Math.floor(value / 60_000)} min ${Math.floor((value / 1_000) % 60)} s`;
}

/** @param {number} value */
function percent(value) {
  return `${Math.round(value * 100)} %`;
}

/**
 * @param {string} name
 * @param {string} [text]
 */
function make(name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return made;
}

const curves = element("curves");
const charts = [
  new Chart(curves, {
    title: "Messages a second",
    series: [{ name: "messagesPerSecond", label: "" }],
    format: count,
  }),
  new Chart(curves, {
    title: "Latency, message to commit",
    series: [{ name: "latencyMs", label: "" }],
    format: duration,
  }),
  new Chart(curves, { title: "Lag", series: [{ name: "lag", label: "" }], format: count }),
  new Chart(curves, {
    title: "Share of each second",
    series: [
      { name: "processing", label: "processing " },
      { name: "backpressure", label: "back-pressure " },
    ],
    format: percent,
    ceiling: 1,
  }),
  new Chart(curves, {
    title: "CPU, of a core",
    series: [
      { name: "mainCpu", label: "main thread " },
      { name: "otherCpu", label: "I/O thread and others " },
    ],
    format: percent,
    ceiling: 1,
  }),
];

/** @type {readonly DashboardPoint[]} */
let points = [];
/** @type {readonly DashboardEvent[]} */
let events = [];

/** @param {DashboardState} state */
function showState(state) {
  document.title = `${state.title}: ${state.state}`;
  element("title").textContent = state.title;
  const shown = element("state");
  // A screen reader should hear of a change, not of every second.
  if (shown.textContent !== state.state) shown.textContent = state.state;
  shown.dataset["state"] = state.state;
  const since = duration(state.atMs - state.startedAtMs);
  element("member").textContent = state.memberId === "" ? "" : `for ${since}, as ${state.memberId}`;
  const error = element("error");
  error.hidden = state.error === undefined;
  if (error.textContent !== (state.error ?? "")) error.textContent = state.error ?? "";
  element("total-messages").textContent = count(state.totals.messages);
  element("total-rebalances").textContent = count(state.totals.rebalances);
  element("total-invalid").textContent = count(state.totals.invalid);
  element("total-dead-letters").textContent = count(state.totals.deadLetters);
  showChain(state.chain);
  showPartitions(state.partitions);
  showHealth(state.health);
}

/** @param {readonly StepState[]} chain */
function showChain(chain) {
  const list = element("chain");
  if (chain.length === 0) {
    list.replaceChildren(make("li", "There is none now."));
    return;
  }
  // The last one that rejects is the one that is too slow: those before it only pass that on.
  const slow = chain.findLastIndex(({ rejecting }) => rejecting);
  list.replaceChildren(
    ...chain.map((step, at) => {
      const item = make("li");
      item.dataset["rejecting"] = String(at === slow);
      const isLast = at === chain.length - 1;
      item.append(
        make("strong", step.name),
        make("span", `${count(step.inFlight)} ${isLast ? "not committed yet" : "in flight"}`),
        make("span", `${count(step.perSecond)}/s`),
      );
      if (at === slow) {
        const rejecting = make("span", `pushes back, ${count(step.rejectedPerSecond)}/s`);
        rejecting.className = "rejecting";
        item.append(rejecting);
      } else if (step.rejecting) item.append(make("span", "held up by a later one"));
      return item;
    }),
  );
}

/** @param {readonly PartitionState[]} partitions */
function showPartitions(partitions) {
  const known = partitions.flatMap(({ lag }) => lag ?? []);
  const lag = known.reduce((sum, one) => sum + one, 0);
  element("total-lag").textContent = known.length === 0 ? "unknown" : count(lag);
  const rows = partitions.map((partition) => {
    const row = make("tr");
    row.append(
      make("td", `${partition.topic}:${partition.index}`),
      make("td", count(partition.position)),
      make("td", partition.committed === undefined ? "" : count(partition.committed)),
      make("td", partition.lag === undefined ? "unknown" : count(partition.lag)),
    );
    return row;
  });
  element("partitions").replaceChildren(...rows);
}

/** @param {DashboardState["health"]} checks */
function showHealth(checks) {
  element("health-section").hidden = checks.length === 0;
  element("health").replaceChildren(
    ...checks.map((check) => {
      const item = make(
        "li",
        `${check.name} (${check.probe}): ${check.ok ? "healthy" : "not healthy"}, ${check.why}`,
      );
      item.dataset["healthy"] = String(check.ok);
      return item;
    }),
  );
}

function showEvents() {
  element("events").replaceChildren(
    ...events
      .slice(-MAX_EVENTS)
      .toReversed()
      .map((event) => {
        const item = make("li");
        item.dataset["kind"] = event.kind;
        const time = make("time", new Date(event.atMs).toLocaleTimeString());
        time.setAttribute("datetime", new Date(event.atMs).toISOString());
        item.append(time, make("span", event.text));
        return item;
      }),
  );
}

function drawCharts() {
  for (const chart of charts) chart.draw(points);
}

const source = new EventSource("/events");

source.addEventListener("open", () => {
  element("connection").hidden = true;
});

source.addEventListener("error", () => {
  element("connection").hidden = false;
});

// Comes first after every connect, so what was missed meanwhile is there again.
source.addEventListener("history", ({ data }) => {
  const history = /** @type {{ points: DashboardPoint[], events: DashboardEvent[] }} */ (
    JSON.parse(String(data))
  );
  ({ points, events } = history);
  showEvents();
  drawCharts();
});

source.addEventListener("tick", ({ data }) => {
  const tick = /** @type {{ point: DashboardPoint, state: DashboardState, events: DashboardEvent[] }} */ (
    JSON.parse(String(data))
  );
  if (points.at(-1)?.atMs !== tick.point.atMs) points = [...points, tick.point].slice(-MAX_POINTS);
  const last = events.at(-1)?.id ?? 0;
  const added = tick.events.filter(({ id }) => id > last);
  if (added.length > 0) {
    events = [...events, ...added].slice(-MAX_EVENTS);
    showEvents();
  }
  showState(tick.state);
  drawCharts();
});
