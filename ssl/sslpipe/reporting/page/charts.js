// Charts: Vega-Lite specifications from the page's data. Colours are CSS variables, so that a chart
// follows the theme, and print, without being drawn again.

const COLOURS = Array.from({ length: 8 }, (_, i) => `var(--c${i})`);
const DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]];
const SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"];
const GREY = "var(--grey)";
const FONT = "system-ui, sans-serif";
const CONFIG = {
  aria: false, // a chart is one picture with a description, not thousands of marks
  background: "transparent",
  font: FONT,
  view: { stroke: null },
  axis: {
    labelColor: "var(--muted)", titleColor: "var(--muted)", gridColor: "var(--line)",
    domainColor: "var(--edge)", tickColor: "var(--edge)", labelFontSize: 11, titleFontSize: 11,
    titleFontWeight: "normal", labelLimit: 170,
  },
  legend: {
    labelColor: "var(--ink)", titleColor: "var(--muted)", labelFontSize: 11, titleFontSize: 11,
    titleFontWeight: "normal", orient: "bottom", columns: narrow() ? 2 : 3, labelLimit: narrow() ? 110 : 130,
    layout: { bottom: { direction: "vertical", anchor: "start" } }, symbolStrokeWidth: 2, symbolOpacity: 1,
    symbolBaseFillColor: "var(--ink)", symbolBaseStrokeColor: "var(--ink)",
  },
  title: { color: "var(--ink)", fontSize: 12, fontWeight: 600, anchor: "start", limit: 260 },
};
const VIEWS = new Map(); // element → its Vega view

/** Draw a specification into an element, or say why there is nothing to draw. */
async function draw(element, description, spec, clicked) {
  VIEWS.get(element)?.finalize();
  VIEWS.delete(element);
  element.removeAttribute("data-drawn");
  if (typeof spec === "string") {
    element.replaceChildren(make("p", { className: "empty" }, spec));
  } else {
    const layer = spec.layer?.filter((each) => each.data?.values.length !== 0);
    const whole = {
      width: "container",
      autosize: { type: "fit-x", contains: "padding" },
      config: CONFIG,
      ...spec,
      ...(layer && { layer }), // Vega warns of a layer without data
    };
    const options = {
      mode: "vega-lite", renderer: "svg", actions: false, patch: tipsOfNearest,
      tooltip: { disableDefaultStyle: true, sanitize: escaped },
    };
    const { view } = await vegaEmbed(element, whole, options);
    VIEWS.set(element, view);
    if (clicked)
      view.addEventListener("click", (_, item) => {
        const datum = item?.datum?.datum ?? item?.datum; // of the cells around near points
        if (datum) clicked(datum);
      });
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", description);
  }
  element.dataset.drawn = "yes";
}

/** The tooltip of the cell around a point is about the point: Vega-Lite (up to 6.4) says so of fields
 * with a format only. */
function tipsOfNearest(spec) {
  for (const { name, encode } of spec.marks)
    if (name?.endsWith("voronoi")) {
      const { tooltip } = encode.update;
      tooltip.signal = tooltip.signal.replaceAll(/\bdatum(\.datum)?\[/g, "datum.datum[");
    }
  return spec;
}

const escaped = (value) => String(value).replaceAll("&", "&amp;").replaceAll("<", "&lt;");

// --- what runs look like ---------------------------------------------------------------------

const trainedRuns = Object.keys(data.runs).filter((run) =>
  data.rows.some((row) => row.kind === "trained" && row.runs.includes(run)) || data.curves[run]?.loss);

/** The values of a field over the trained runs, in the order of params.yaml: their place is their colour. */
const valuesOf = (field) => [...new Set(trainedRuns.map((run) => data.runs[run].report[field]))];

const placeOf = (field, value) =>
  field === "run" ? CHOSEN.get(value) ?? -1 : valuesOf(field).indexOf(value);

/** Chosen runs → their place in the colours, which they keep as long as they are chosen. */
const CHOSEN = new Map();
function choose(runs) {
  for (const run of [...CHOSEN.keys()]) if (!runs.includes(run)) CHOSEN.delete(run);
  for (const run of runs) {
    const taken = new Set(CHOSEN.values());
    if (!CHOSEN.has(run)) CHOSEN.set(run, [...runs.keys()].find((place) => !taken.has(place)));
  }
}

const colourOf = (field, value) => COLOURS[placeOf(field, value) % COLOURS.length] ?? GREY;
const dashOf = (field, value) =>
  DASHES[Math.floor(Math.max(0, placeOf(field, value)) / COLOURS.length) % DASHES.length];

const whoIs = (row) => ({
  trained: row.method,
  baseline: row.backbone === "pixels" ? "raw pixels" : "untrained",
  chance: "chance",
})[row.kind];

/** Colour and shape by who a row is, for those in the chart. */
function byWho(values) {
  const present = [...new Set(values.map((value) => value.who))];
  const methods = valuesOf("method").filter((method) => present.includes(method));
  const others = present.filter((who) => !methods.includes(who));
  const domain = [...methods, ...others];
  const methodShape = (method) => SHAPES[valuesOf("method").indexOf(method) % SHAPES.length];
  return {
    color: {
      field: "who", type: "nominal", title: null,
      scale: {
        domain,
        range: [...methods.map((method) => colourOf("method", method)), ...others.map(() => GREY)],
      },
    },
    shape: {
      field: "who", type: "nominal", title: null,
      scale: {
        domain,
        range: [...methods.map(methodShape), ...others.map((_, i) => ["triangle-down", "cross", "triangle-right"][i % 3])],
      },
    },
  };
}

/** A row with one of its scores, as charts take it; in percent where it is an accuracy. */
function asPoint(row, key) {
  const score = scoreOf(row, key);
  const factor = percentKind(key) ? 100 : 1;
  return score && {
    dataset: row.dataset, run: row.run, who: whoIs(row), kind: row.kind, backbone: row.backbone ?? DASH,
    corpus: row.corpus ?? DASH, score: factor * score.mean,
    low: score.low === null ? null : factor * score.low,
    high: score.high === null ? null : factor * score.high,
    values: score.values.map((value) => factor * value),
    interval: score.low === null ? DASH : `${(factor * score.low).toFixed(1)} to ${(factor * score.high).toFixed(1)}`,
  };
}

const scoreTitle = (key) => heading(key) + (percentKind(key) ? ", %" : "");
const tip = (field, title, format) => ({ field, title: title ?? field, ...(format && { format }) });
const POINT_TIPS = [tip("run"), tip("score", "score", ".2f"), tip("interval"), tip("who", "method"),
  tip("backbone"), tip("corpus")];

// --- specifications ---------------------------------------------------------------------------

/** Each setting's score and interval, one below another. */
function intervalsSpec(points) {
  const seeds = points.flatMap((point) =>
    point.values.length > 1 ? point.values.map((value) => ({ ...point, value })) : []);
  const y = {
    field: "run", type: "nominal", sort: points.map((point) => point.run), title: null,
    axis: { grid: true, domain: false, ticks: false, labelLimit: narrow() ? 120 : 220 },
  };
  const x = (field) => ({ field, type: "quantitative", scale: { zero: false }, axis: { grid: false } });
  const { color, shape } = byWho(points);
  return {
    height: 18 * points.length,
    data: { values: points },
    encoding: { y },
    layer: [
      { transform: [{ filter: "datum.low !== null" }], mark: { type: "rule", strokeWidth: 2 },
        encoding: { x: x("low"), x2: { field: "high" }, color } },
      { data: { values: seeds }, mark: { type: "tick", size: 9, thickness: 1.5 },
        encoding: { x: x("value"), color: { value: "var(--ink)" } } },
      { mark: { type: "point", filled: true, size: 60, opacity: 1, cursor: "pointer" },
        encoding: { x: { ...x("score"), title: points.title }, color, shape, tooltip: POINT_TIPS } },
    ],
  };
}

/** Lines over epochs, diamonds at restarts, grey levels of encoders without training. */
function curvesSpec({ title, lines, levels, restarts, unit, colour }) {
  const present = [...new Set(lines.map((point) => point[colour]))];
  const look = (range) => ({
    field: colour, type: "nominal", legend: null,
    scale: { domain: present, range: present.map((value) => range(colour, value)) },
  });
  const x = { field: "epoch", type: "quantitative", title: "epoch",
    axis: { tickMinStep: 1, format: "d", grid: false }, scale: { nice: false } };
  const y = { field: "value", type: "quantitative", title: unit, scale: { zero: false } };
  const clear = { condition: { test: {
    and: [{ param: "near" }, "focus === null || datum.run === focus"] }, value: 1 }, value: 0.13 };
  const tooltip = [tip("run"), tip("epoch"), tip("value", unit, ".4~g")];
  const many = lines.length > 40 * new Set(lines.map((point) => point.run)).size;
  // Of many points only those of the line under the pointer.
  const dots = many ? { condition: { param: "near", empty: false, value: 1 }, value: 0 } : clear;
  return {
    title, height: 210,
    params: [{ name: "focus", value: null }],
    layer: [
      { data: { values: levels }, mark: { type: "rule", stroke: GREY, strokeDash: [3, 3] },
        encoding: { y, tooltip: [tip("run"), tip("value", unit, ".4~g")] } },
      { data: { values: lines }, mark: { type: "line", strokeWidth: 1.8 },
        encoding: { x, y, detail: { field: "run" }, color: look(colourOf), strokeDash: look(dashOf), opacity: clear } },
      { data: { values: lines },
        params: [{ name: "near", select: {
          type: "point", fields: ["run"], on: "pointerover", nearest: true, clear: "pointerout" } }],
        mark: { type: "point", filled: true, size: many ? 14 : 30, cursor: "pointer" },
        encoding: { x, y, color: look(colourOf), opacity: dots, tooltip } },
      { data: { values: restarts },
        mark: { type: "point", shape: "diamond", size: 90, filled: true, fill: "var(--surface)", strokeWidth: 2 },
        encoding: { x, y, stroke: look(colourOf), tooltip: [tip("run"), tip("epoch", "resumed after epoch")] } },
    ],
  };
}
