// The page's two charts, drawn from their controls and again when one of these changes; and its theme.

makeNumbersButtons(openProvenance);

const byId = (id) => document.getElementById(id);
const chosen = (id) => byId(id).value;
const openScore = (key) => ({ dataset, run, kind }) =>
  kind !== "chance" && openProvenance({ source: "score", dataset, run, key });

// The tables are seen first.
let drawn = new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
/** One drawing after another, so that the last choice is the one that is seen. */
const later = (drawIt) => {
  // One chart that fails must not keep the others from being drawn.
  drawn = drawn.then(drawIt).catch((error) => console.error(error));
};

/** Draw now and on every change of the controls. Nothing where the page has no such controls. */
function section(controls, drawIt) {
  if (!controls.every(byId)) return;
  later(drawIt);
  for (const id of controls) byId(id).addEventListener("change", () => later(drawIt));
}

section(["sure-dataset", "sure-score"], async () => {
  const [dataset, key] = [chosen("sure-dataset"), chosen("sure-score")];
  const points = rowsOf(dataset).map((row) => asPoint(row, key)).filter(Boolean);
  points.title = scoreTitle(key);
  await draw(byId("intervals"),
    `${heading(key)} on ${dataset} with intervals of ${points.length} rows; the leaderboard has the numbers.`,
    points.length ? intervalsSpec(points) : "No row has this score.", openScore(key));
});

// --- curves --------------------------------------------------------------------------------------

const picks = () => all("#curve-table input:checked").map((box) => box.value);
const datasetsOfCurves = [...new Set(Object.values(data.curves).flatMap(Object.keys)
  .filter((key) => key.startsWith("knn_")).map((key) => key.slice("knn_".length)))];

/** A box for each run in the table above the curves, with the look of its line. */
function makePicks() {
  const few = trainedRuns.length <= 8 ? trainedRuns : bestOfEachMethod();
  for (const row of all("#curve-table tbody tr")) {
    const { run } = row.dataset;
    const box = make("input", { type: "checkbox", value: run, checked: few.includes(run) });
    box.setAttribute("aria-label", `Show ${run}`);
    const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    swatch.setAttribute("class", "swatch");
    swatch.setAttribute("aria-hidden", "true");
    swatch.append(document.createElementNS("http://www.w3.org/2000/svg", "path"));
    row.cells[0].prepend(box, swatch);
    row.addEventListener("pointerenter", () => focusRun(run));
    row.addEventListener("pointerleave", () => focusRun(null));
  }
  for (const button of all("[data-select]"))
    button.addEventListener("click", () => {
      const wanted = { all: trainedRuns, none: [], best: bestOfEachMethod() }[button.dataset.select];
      for (const box of all("#curve-table input")) box.checked = wanted.includes(box.value);
      later(drawCurves);
    });
}

/** By the validation score of their probe on the first data set, else the first of each method. */
function bestOfEachMethod() {
  const score = (run) => {
    const row = data.rows.find((each) => each.runs.includes(run));
    return scoreOf(row, "probe_val_top1")?.values[row.runs.indexOf(run)] ?? 0;
  };
  return valuesOf("method").map((method) =>
    trainedRuns.filter((run) => data.runs[run].report.method === method)
      .reduce((best, run) => (score(run) > score(best) ? run : best)));
}

/** Let one run stand out in all panels. */
function focusRun(run) {
  for (const panel of all("#curve-panels .chart")) VIEWS.get(panel)?.signal("focus", run).runAsync();
}

async function drawCurves() {
  const colour = chosen("curve-colour");
  const runs = picks();
  choose(runs);
  for (const row of all("#curve-table tbody tr")) {
    const value = colour === "run" ? row.dataset.run : data.runs[row.dataset.run].report[colour];
    const path = find(".swatch path", row);
    path.setAttribute("d", "M0 6h26");
    path.setAttribute("stroke", runs.includes(row.dataset.run) ? colourOf(colour, value) : "none");
    path.setAttribute("stroke-dasharray", dashOf(colour, value).join(" "));
  }
  const panels = [
    ...datasetsOfCurves.flatMap((dataset) => [
      { key: `knn_${dataset}`, title: `${dataset}: k-NN`, unit: "validation top-1, %", runs },
      { key: `probe_${dataset}`, title: `${dataset}: linear probe`, unit: "validation top-1, %", runs },
    ]),
    ...[...new Set(runs.map((run) => data.runs[run].report.method))].map((method) => ({
      key: "loss", title: `${method}: loss`, unit: "training loss",
      runs: runs.filter((run) => data.runs[run].report.method === method),
    })),
  ];
  const place = byId("curve-panels");
  while (place.children.length > panels.length) place.lastChild.remove();
  while (place.children.length < panels.length) place.append(make("div", { className: "chart" }));
  for (const [i, panel] of panels.entries()) await drawCurve(place.children[i], panel, colour);
}

async function drawCurve(element, { key, title, unit, runs }, colour) {
  const factor = key === "loss" ? 1 : 100;
  const about = (run) => ({ run, key, ...Object.fromEntries(
    ["method", "backbone", "corpus"].map((field) => [field, data.runs[run].report[field]])) });
  const lines = runs.flatMap((run) => measured(data.curves[run], key)
    .map(([epoch, value]) => ({ ...about(run), epoch, value: factor * value })));
  const restarts = runs.flatMap((run) => (data.curves[run].resumed ?? []).map((epoch) => ({
    ...about(run), epoch, value: factor * between(measured(data.curves[run], key), epoch) })))
    .filter((mark) => Number.isFinite(mark.value));
  const levels = Object.keys(data.curves).filter((run) => !trainedRuns.includes(run))
    .flatMap((run) => measured(data.curves[run], key).slice(-1).map(([, value]) => ({ run, value: factor * value })));
  const empty = `${title}: ${runs.length ? "it was not measured" : "no run is chosen"}.`;
  await draw(element, `${title} over epochs of ${runs.length} runs; the table above has the last values.`,
    lines.length ? curvesSpec({ title, lines, levels, restarts, unit, colour }) : empty,
    (point) => point.run in data.curves && openProvenance({ source: "history", run: point.run, key }));
}

/** A curve's value at an epoch at which it need not have been measured; beyond its ends, theirs. */
function between(points, epoch) {
  const after = points.findIndex(([at]) => at >= epoch);
  if (after < 0) return points.at(-1)?.[1];
  if (after === 0) return points[0][1];
  const [[a, low], [b, high]] = [points[after - 1], points[after]];
  return low + ((high - low) * (epoch - a)) / (b - a);
}

if (byId("curve-table")) makePicks();
section(["curve-colour", "curve-table"], drawCurves);

// --- the page --------------------------------------------------------------------------------------------

function makeThemeButton() {
  const button = byId("theme");
  const themes = ["auto", "light", "dark"];
  const remembered = () => {
    try {
      return localStorage.getItem("theme"); // some browsers refuse it to files
    } catch {
      return null;
    }
  };
  const apply = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
    button.onclick = () => {
      const next = themes[(themes.indexOf(theme) + 1) % themes.length];
      apply(next);
      try {
        localStorage.setItem("theme", next);
      } catch { /* it then lasts as long as the page */ }
    };
  };
  apply(themes.includes(remembered()) ? remembered() : "auto");
}

/** In print nothing can be opened, so all is. */
function openInPrint() {
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open]):not(.columns)");
    for (const details of closed) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of closed) details.open = false;
  });
}

makeThemeButton();
openInPrint();
for (const table of all("main table")) if (table.id) makeSortable(table);
if (byId("leaderboard")) makeFilters();
later(() => {
  document.documentElement.dataset.ready = "yes";
});
