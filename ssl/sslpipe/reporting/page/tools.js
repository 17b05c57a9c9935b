// What the other scripts share: the page's data, how its numbers are written, small DOM helpers.

const data = JSON.parse(document.getElementById("data").textContent);
const DASH = "–";

const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** An element; children are elements or texts, what is null or false is left out. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false));
  return element;
}

const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function deviation(values) {
  const mean = average(values);
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (values.length - 1));
}

const rowsOf = (dataset) => data.rows.filter((row) => row.dataset === dataset);
const rowOf = (dataset, run) => rowsOf(dataset).find((row) => row.run === run);

/** A row's score: mean, low, high and the values of its runs; null where it has none. */
function scoreOf(row, key) {
  if (!row || !(key in row.scores)) return null;
  const [low, high, ...values] = row.scores[key];
  return { mean: average(values), low, high, values };
}

const percentKind = (key) => data.legend[key]?.kind === "score";
const heading = (key) => data.legend[key]?.heading ?? key;
const percent = (fraction) => (100 * fraction).toFixed(1);
const level = () => `${+(100 * data.confidence).toPrecision(6)} %`;

/** A file below reports/ that holds something of a data set or run. */
const file = (name, names) => data.files[name].replace(/{(\w+)}/g, (_, key) => names[key]);

/** The setting that a run belongs to on a data set. */
const settingOf = (dataset, run) => rowsOf(dataset).find((row) => row.runs.includes(run));

const narrow = () => matchMedia("(max-width: 40rem)").matches;
