// The dialog behind every number: its value, the files it comes from, and all that made it.

const dialog = find("#dialog");

function openProvenance(from) {
  const [title, ...parts] = PROVENANCE[from.source](from);
  find("#dialog-h").textContent = title;
  find("#dialog-body").replaceChildren(...parts.filter(Boolean));
  dialog.showModal();
  dialog.scrollTop = 0;
}

// Each returns the dialog's title and its parts.
const PROVENANCE = {
  score({ dataset, run, key }) {
    const row = rowOf(dataset, run) ?? settingOf(dataset, run);
    const score = scoreOf(row, key);
    const meaning = data.legend[key].meaning;
    if (!score) return [`${heading(key)}: no score`];
    const tuned = key.startsWith("finetune_");
    const names = (one) => ({ dataset, run: one });
    const unit = (value) => (percentKind(key) ? `${value} (${percent(value)} %)` : `${value}`);
    const runs = score.values.length === row.runs.length ? row.runs : [];
    return [
      `${heading(key)} of ${row.run} on ${dataset}`,
      make("p", {}, `${meaning[0].toUpperCase()}${meaning.slice(1)}.`),
      terms([
        [score.values.length > 1 ? "mean" : "value", unit(score.mean)],
        score.values.length > 1 && ["standard deviation", `${deviation(score.values)}`],
        score.low !== null && [
          `${level()} interval`,
          `${score.low} to ${score.high} (${data.report.resamples} resamples, seed ${data.report.seed})`,
        ],
        ["key", make("code", {}, key)],
      ]),
      runs.length > 0 &&
        grid(
          ["run", "seed", key],
          runs.map((one, i) => [one, row.seeds[i], score.values[i]]),
        ),
      sources([
        ...row.runs.map((one) => file(tuned ? "finetune" : "metrics", names(one))),
        ...(score.low === null ? [] : row.runs.map((one) =>
          file(tuned ? "finetune_predictions" : "predictions", names(one)))),
        data.files.leaderboard,
        ...training(row.runs),
      ]),
      aboutDataset(dataset),
      ...aboutRuns(row.runs),
      aboutEvaluation(),
    ];
  },

  place({ dataset, run }) {
    const [, ...parts] = PROVENANCE.score({ dataset, run, key: "public_top1" });
    const { moves } = data.shake_up[dataset];
    const its = moves.find((move) => move.run === run);
    const places = terms([
      ["by public top-1", `${its.public_rank} of ${moves.length} trained settings`],
      ["by private top-1", `${its.private_rank} of ${moves.length}`],
    ]);
    return [`Place of ${run} on ${dataset}`, places, ...parts];
  },

  difference({ dataset, run, rival }) {
    const found = differenceOf(dataset, run, rival);
    const one = rowOf(dataset, run);
    const other = rowOf(dataset, rival);
    if (!found)
      return [
        `${run} on ${dataset}`,
        make("p", {}, "It is the first of its data set, from which the others are measured."),
        ...aboutRuns(one.runs),
      ];
    return [
      `${run} minus ${rival} on ${dataset}`,
      make("p", {}, `Difference in ${heading("probe_top1")} top-1 on the same test images.`),
      terms([
        ["difference", `${points(found.difference, 4)} points`],
        [`${level()} interval`, `${points(found.low, 4)} to ${points(found.high, 4)} points`],
        ["p", `${pValue(found.p)}, adjusted for all pairs of the data set (Holm)`],
        [run, `${percent(scoreOf(one, "probe_top1").mean)} %`],
        [rival, `${percent(scoreOf(other, "probe_top1").mean)} %`],
      ]),
      sources([
        ...[...one.runs, ...other.runs].map((each) => file("predictions", { dataset, run: each })),
        data.files.leaderboard,
        ...training([...one.runs, ...other.runs]),
      ]),
      aboutDataset(dataset),
      ...aboutRuns([...one.runs, ...other.runs]),
      aboutEvaluation(),
    ];
  },

  pair: ({ dataset, run, key }) => PROVENANCE.difference({ dataset, run, rival: key }),

  study({ study, dataset, run, key }) {
    const row = data.studies[study].rows.find((each) => each.run === run);
    const differs = key.endsWith("_difference");
    const name = key.replace("_difference", "");
    const score = row.scores[dataset][name];
    const runs = [...row.runs, ...(differs ? [row.compared_with] : [])];
    return [
      `${heading(name)} of ${run} on ${dataset}`,
      make("p", {}, `In the study ${data.studies[study].title}: ${data.studies[study].x_label} = ${row.x_label}.`),
      terms(differs
        ? [
            [`minus ${row.compared_with}`, `${points(score.difference, 4)} points`],
            [`${level()} interval`,
              `${points(score.difference_low, 4)} to ${points(score.difference_high, 4)} points`],
            ["p", `${pValue(score.p)}, adjusted for all comparisons of the study (Holm)`],
          ]
        : [
            [score.values.length > 1 ? "mean" : "value", `${score.mean} (${percent(score.mean)} %)`],
            score.std !== null && ["standard deviation", `${score.std}`],
            [`${level()} interval`, `${score.low} to ${score.high}`],
          ]),
      grid(["run", "seed", name], row.runs.map((one, i) => [one, row.seeds[i], score.values[i]])),
      sources([
        ...runs.flatMap((one) => [
          file("metrics", { dataset, run: one }), file("predictions", { dataset, run: one })]),
        ...training(runs),
      ]),
      aboutDataset(dataset),
      ...aboutRuns(runs),
      aboutEvaluation(),
    ];
  },

  training({ dataset, run, key }) {
    const runs = (dataset && rowOf(dataset, run)?.runs) || [run];
    const values = runs.map((one) => data.runs[one].report[key]);
    return [
      `${heading(key)} of ${run}`,
      make("p", {}, data.legend[key]?.meaning ?? `${key}, as the training measured it`),
      terms([[runs.length > 1 ? "mean" : "value", `${average(values)}`]]),
      grid(
        ["run", key],
        runs.map((one, i) => [one, values[i]]),
      ),
      sources(training(runs)),
      ...aboutRuns(runs),
    ];
  },

  history({ run, key }) {
    const curve = data.curves[run];
    const [epoch, value] = measured(curve, key).at(-1);
    return [
      `${key} of ${run}`,
      terms([
        ["value", `${value}`],
        ["epoch", `${epoch} of ${curve.epoch.at(-1)}`],
        ["measurements", `${measured(curve, key).length}`],
      ]),
      sources([file("history", { run }), ...training([run])]),
      ...aboutRuns([run]),
    ];
  },

  facts({ dataset }) {
    return [
      `Data set ${dataset}`,
      terms(Object.entries(data.datasets[dataset]).map(([key, value]) => [key, plain(value)])),
      sources([file("facts", { dataset })]),
    ];
  },

  answers({ dataset, run }) {
    const { runs } = rowOf(dataset, run);
    return [
      `Answers of ${run} on ${dataset}`,
      make("p", {}, "Counted over the linear probe's answers to all test images."),
      sources([
        ...runs.flatMap((one) => [
          file("predictions", { dataset, run: one }), file("features", { dataset, run: one })]),
        ...training(runs),
      ]),
      aboutDataset(dataset),
      ...aboutRuns(runs),
      aboutEvaluation(),
    ];
  },

  run({ run }) {
    const runs = data.rows.find((row) => row.run === run)?.runs ?? [run];
    return [
      runs.length > 1 ? `${run}, ${runs.length} runs` : `Run ${run}`,
      sources([
        ...training(runs),
        ...runs.map((one) => data.curves[one] && file("history", { run: one })),
      ]),
      ...aboutRuns(runs),
    ];
  },
};

// --- parts --------------------------------------------------------------------------------

const terms = (pairs) =>
  make("dl", { className: "terms" }, pairs.filter(Boolean).map(([term, value]) =>
    make("div", {}, make("dt", {}, term), make("dd", {}, value))));

/** A table whose first column names its rows; what is the same in all others stands there once. */
function grid(headings, rows) {
  const cells = ([name, ...values]) => {
    const texts = values.map(plain);
    const same = texts.length > 1 && new Set(texts).size === 1;
    return [
      make("th", { scope: "row" }, name),
      ...(same
        ? [make("td", { colSpan: texts.length }, texts[0])]
        : texts.map((text) => make("td", {}, text))),
    ];
  };
  return make("div", { className: "box" },
    make("table", {},
      make("thead", {}, make("tr", {}, headings.map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, rows.map((row) => make("tr", {}, cells(row))))));
}

const block = (title, ...children) =>
  make("section", { className: "block" }, make("h3", {}, title), ...children);

const sources = (paths) =>
  block("Files below reports/",
    make("ul", { className: "files" }, [...new Set(paths.filter(Boolean))].map((path) =>
      make("li", {}, make("a", { href: path }, path)))));

const training = (runs) => runs.map((run) => file("pretrain", { run }));

function aboutDataset(dataset) {
  const its = data.datasets[dataset];
  const known = ["title", "licence", "classes", "train_images", "val_images", "public_images",
    "private_images", "index_sha256"];
  return block(`Data set ${dataset}`,
    terms(known.filter((key) => key in its).map((key) => [key, plain(its[key])])));
}

/** The training report and the parameters of runs, side by side. */
function aboutRuns(names) {
  const runs = [...new Set(names)].filter((run) => run in data.runs);
  if (!runs.length) return [];
  const keys = [...new Set(runs.flatMap((run) => Object.keys(data.runs[run].report)))];
  const report = (key) => runs.map((run) => data.runs[run].report[key]);
  const own = [...new Set(runs.flatMap((run) => Object.keys(data.runs[run].parameters)))];
  const parameters = (key) => runs.map((run) => data.runs[run].parameters[key] ?? data.shared[key]);
  const lines = (some, of) =>
    some.filter((key) => of(key).some((v) => v !== undefined)).map((key) => [key, ...of(key)]);
  return [
    block("Training", grid(["", ...runs], lines(keys, report))),
    block("Parameters in which the page's runs differ",
      own.length ? grid(["", ...runs], lines(own, parameters)) : make("p", {}, "None.")),
    make("details", { className: "block" },
      make("summary", {}, "Parameters that all runs share"),
      terms(Object.entries(data.shared).map(([key, value]) => [key, plain(value)]))),
  ];
}

const aboutEvaluation = () =>
  make("details", { className: "block" },
    make("summary", {}, "How scores are made"),
    terms([
      ...Object.entries(data.evaluate),
      ...Object.entries(data.report).map(([key, value]) => [`report.${key}`, value]),
    ].map(([key, value]) => [key, plain(value)])));

function plain(value) {
  if (value === null || value === undefined) return DASH;
  return Array.isArray(value) ? value.map(String).join(", ") || "none" : String(value);
}

const points = (difference, digits = 2) =>
  `${difference < 0 ? "−" : "+"}${Math.abs(100 * difference).toFixed(digits)}`;
const pValue = (p) => (p < 0.001 ? "< 0.001" : p.toFixed(3));

/** Row minus column of two settings: difference, low, high, p; null of one and the same. */
function differenceOf(dataset, run, rival) {
  const { runs, difference, low, high, p } = data.comparisons[dataset];
  const [i, j] = [runs.indexOf(run), runs.indexOf(rival)];
  if (i === j || i < 0 || j < 0) return null;
  const [a, b] = [Math.min(i, j), Math.max(i, j)];
  const at = a * runs.length - (a * (a + 1)) / 2 + (b - a - 1);
  return i < j
    ? { difference: difference[at], low: low[at], high: high[at], p: p[at] }
    : { difference: -difference[at], low: -high[at], high: -low[at], p: p[at] };
}

/** [epoch, value] of a curve where it was measured. */
const measured = (curve, key) =>
  (curve?.[key] ?? []).map((value, i) => [curve.epoch[i], value]).filter(([, v]) => v !== null);

find("#dialog").addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // beside it
});
