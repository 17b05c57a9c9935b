// The page's sections: each draws its charts from its controls, and again when one of them changes.

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
  const pairs = data.comparisons[dataset].runs.length > 1;
  await draw(byId("differences"),
    `Which settings differ on ${dataset}; the leaderboard's column “to the best” has the first row's.`,
    pairs ? differencesSpec(dataset) : "One setting alone: there is nothing to compare it with.",
    (pair) => pair.rival && openProvenance({ source: "difference", ...pair }));
  const ranks = data.shake_up[dataset].moves;
  const halves = ranks.map((move) => {
    const row = rowOf(dataset, move.run);
    return { ...move, dataset, who: whoIs(row), public: 100 * scoreOf(row, "public_top1").mean,
      private: 100 * scoreOf(row, "private_top1").mean };
  });
  await draw(byId("shake-up"), `Private against public scores on ${dataset}; the table beside it has the numbers.`,
    halves.length ? shakeUpSpec(halves) : "No trained setting has been scored here.", openScore("private_top1"));
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

// --- budget, probes, neighbours ----------------------------------------------------------------------

section(["budget-dataset", "budget-score"], async () => {
  const [dataset, key] = [chosen("budget-dataset"), chosen("budget-score")];
  const points = rowsOf(dataset).map((row) => asPoint(row, key)).filter(Boolean);
  for (const [id, cost, title] of [["budget-hours", "hours", "device-hours"], ["budget-images", "images", "images seen"]]) {
    const known = points.filter((point) => point[cost] !== null);
    known.title = scoreTitle(key);
    await draw(byId(id), `${heading(key)} on ${dataset} against ${title} of ${known.length} settings.`,
      known.length ? budgetSpec(known, cost, title) : "No setting has this score and cost.", openScore(key));
  }
});

section(["probe-dataset", "probe-run"], async () => {
  const dataset = chosen("probe-dataset");
  const grids = data.grids[dataset] ?? {};
  fill(byId("probe-run"), Object.keys(grids).map((run) => [run, run]), chosen("probe-run"));
  byId("grid").replaceChildren(...gridTables(grids[chosen("probe-run")] ?? []));
  const values = rowsOf(dataset).flatMap((row) => Object.keys(row.scores)
    .map((key) => [key, Number(key.match(/^knn_(\d+)_top1$/)?.[1])])
    .filter(([, k]) => k)
    .map(([key, k]) => ({ dataset, run: row.run, who: whoIs(row), key, k, score: 100 * scoreOf(row, key).mean })));
  await draw(byId("neighbours"), `k-NN on ${dataset} over the number of neighbours; the leaderboard has them as columns.`,
    values.length ? neighboursSpec(values) : "k-NN was scored with one number of neighbours only.",
    (point) => point.run && openProvenance({ source: "score", ...point }));
});

/** A heat map for each optimizer: rows are weight decays, columns learning rates. */
function gridTables(cells) {
  if (!cells.length) return [make("p", { className: "empty" }, "No probe grid of this run.")];
  const distinct = (place) => [...new Set(cells.map((cell) => cell[place]))].sort((a, b) => a - b);
  const scores = cells.map((cell) => cell[3]);
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  return [...new Set(cells.map(([optimizer]) => optimizer))].map((optimizer) => {
    const at = (lr, decay) => cells.find((c) => c[0] === optimizer && c[1] === lr && c[2] === decay)?.[3];
    return make("div", { className: "box" }, make("table", { className: "heat" },
      make("caption", {}, `${optimizer}: weight decay by learning rate`),
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "wd \\ lr"),
        distinct(1).map((lr) => make("th", { scope: "col" }, String(lr))))),
      make("tbody", {}, distinct(2).map((decay) => make("tr", {}, make("th", { scope: "row" }, String(decay)),
        distinct(1).map((lr) => {
          const value = at(lr, decay);
          const cell = make("td", { className: value === high ? "n best" : "n" },
            value === undefined ? DASH : percent(value));
          cell.style.setProperty("--heat", `${high > low ? (100 * (value - low)) / (high - low) : 50}%`);
          return cell;
        }))))));
  });
}

// --- feature maps ------------------------------------------------------------------------------------

function classesOfMap(map) {
  const count = new Map();
  for (const label of map.label) count.set(label, (count.get(label) ?? 0) + 1);
  return [...count.keys()].sort((a, b) => count.get(b) - count.get(a) || a - b);
}

const className = (map, label) => map.classes[label] ?? `class ${label}`;

section(["map-dataset", "map-class"], async () => {
  const map = data.maps[chosen("map-dataset")];
  const place = byId("maps");
  if (!map) {
    place.replaceChildren(make("p", { className: "empty" }, "No run has a map of this data set."));
    return;
  }
  const labels = classesOfMap(map);
  const options = [...labels].sort((a, b) => a - b).map((label) => [String(label), className(map, label)]);
  fill(byId("map-class"), [["", labels.length > COLOURS.length ? "the most frequent" : "all"], ...options], chosen("map-class"));
  const wanted = chosen("map-class");
  const named = wanted === "" ? labels.slice(0, COLOURS.length) : [Number(wanted)];
  const shown = [...named.map((label) => className(map, label)), ...(named.length < labels.length ? ["others"] : [])];
  const runs = Object.keys(map.runs);
  place.replaceChildren(...runs.map(() => make("div", { className: "chart" })));
  for (const [i, run] of runs.entries()) {
    const values = map.label.map((label, j) => ({
      x: map.runs[run].x[j], y: map.runs[run].y[j], row: map.row[j], name: className(map, label),
      shown: named.includes(label) ? className(map, label) : "others", level: named.includes(label) ? 1 : 0,
    })).sort((a, b) => a.level - b.level); // others below
    await draw(place.children[i], `Map of ${values.length} test images by the features of ${run}.`,
      mapSpec(run, values, shown), () => openProvenance({ source: "answers", run, dataset: chosen("map-dataset") }));
  }
});

// --- studies -----------------------------------------------------------------------------------------

for (const place of all("[data-study].panels"))
  later(async () => {
    const study = data.studies[place.dataset.study];
    place.replaceChildren(...study.datasets.map(() => make("div", { className: "chart" })));
    for (const [i, dataset] of study.datasets.entries())
      await draw(place.children[i], `${study.title} on ${dataset}; the table below has the numbers.`,
        studySpec(study, dataset), (point) => point.study && openProvenance({ source: "study", ...point }));
  });

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
