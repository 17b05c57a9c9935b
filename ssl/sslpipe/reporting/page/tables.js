// Tables: numbers that can be chosen, sorting, filters, columns.

/** Make every number with a source a button; `open` shows where it comes from. */
function makeNumbersButtons(open) {
  for (const table of all("table")) {
    const sources = all("thead th", table).map((th) => th.dataset);
    for (const row of all("tbody tr:not(.group)", table)) {
      [...row.cells].forEach((cell, i) => {
        const { source, key } = sources[i] ?? {};
        const span = find("span", cell);
        const known = span && span.textContent !== DASH;
        if (!source || !known || (source === "run" && !row.dataset.run)) return;
        span.replaceWith(numberButton(span.childNodes, { source, key }));
      });
    }
    rove(table);
  }
  for (const span of all("span[data-source]"))
    span.replaceWith(numberButton(span.childNodes, span.dataset));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.from");
    if (button) open(whereFrom(button));
  });
}

const numberButton = (content, from) => {
  const button = make("button", { type: "button", className: "from" }, ...content);
  Object.assign(button.dataset, from);
  return button;
};

/** source, key, dataset, run, rival and study of a number: its own, else its row's and group's. */
function whereFrom(button) {
  const near = (name) => button.closest(`[data-${name}]`)?.dataset[name];
  return Object.fromEntries(
    ["source", "key", "dataset", "run", "rival", "study"].map((name) => [name, near(name)]),
  );
}

/** One tab stop for all numbers of a table; the arrow keys move between them. */
function rove(table) {
  const buttons = all("button.from", table);
  for (const button of buttons) button.tabIndex = -1;
  reachable(table);
  table.addEventListener("focusin", ({ target }) => {
    if (!target.matches("button.from")) return;
    for (const button of all("button.from[tabindex='0']", table)) button.tabIndex = -1;
    target.tabIndex = 0;
  });
  table.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const cell = event.target.closest("td, th");
    if (!event.target.matches("button.from") || !step[event.key]) return;
    event.preventDefault();
    neighbour(table, cell, ...step[event.key])?.focus();
  });
}

/** The next number that is seen in a direction. */
function neighbour(table, cell, down, right) {
  const rows = seenRows(table);
  let i = rows.indexOf(cell.parentElement) + down;
  let j = cell.cellIndex + right;
  while (rows[i]?.cells[j]) {
    const button = find("button.from", rows[i].cells[j]);
    if (button?.offsetParent) return button;
    i += down;
    j += right;
  }
  return null;
}

const seenRows = (table) =>
  all("tbody tr:not(.group)", table).filter((row) => row.offsetParent !== null);

/** See to it that the tab key reaches a number of the table that is seen. */
function reachable(table) {
  const current = find("button.from[tabindex='0']", table);
  if (current?.offsetParent) return;
  if (current) current.tabIndex = -1;
  const first = all("button.from", table).find((button) => button.offsetParent !== null);
  if (first) first.tabIndex = 0;
}

/** A button in each heading that sorts the rows of each group. */
function makeSortable(table) {
  const headings = all("thead th", table);
  headings.forEach((th, column) => {
    const button = make("button", { type: "button", className: "sort" }, ...th.childNodes);
    th.append(button);
    if (th.dataset.key === table.dataset.order) th.setAttribute("aria-sort", "ascending");
    button.addEventListener("click", () => {
      const lowest = th.dataset.key === table.dataset.order || th.classList.contains("t");
      const first = lowest ? "ascending" : "descending";
      const other = lowest ? "descending" : "ascending";
      const order = th.getAttribute("aria-sort") === first ? other : first;
      for (const each of headings) each.removeAttribute("aria-sort");
      th.setAttribute("aria-sort", order);
      for (const body of table.tBodies)
        sortRows(body, column, order === "ascending" ? 1 : -1, th.classList.contains("n"));
    });
  });
}

/** Rows without a number stay last, whichever way. */
function sortRows(body, column, sign, numeric) {
  const rows = all("tr:not(.group)", body);
  const value = (row) => {
    const cell = row.cells[column];
    if (numeric) return "v" in cell.dataset ? Number(cell.dataset.v) : null;
    return (find("span, a, button", cell) ?? cell).textContent;
  };
  const collator = new Intl.Collator("en", { numeric: true });
  const keyed = rows.map((row) => [value(row), row]);
  keyed.sort(([a], [b]) => {
    if (numeric && (a === null || b === null)) return (a === null) - (b === null);
    return sign * (numeric ? a - b : collator.compare(a, b));
  });
  body.append(...keyed.map(([, row]) => row));
}

/** The leaderboard's filters, its columns and intervals. */
function makeFilters() {
  const table = find("#leaderboard");
  const form = find("#filters");
  const apply = () => {
    const wanted = all("[data-filter]", form).map((select) => [select.dataset.filter, select.value]);
    let shown = 0;
    for (const body of table.tBodies) {
      let some = false;
      for (const row of all("tr:not(.group)", body)) {
        const fits = wanted.every(([key, value]) => {
          const its = key === "dataset" ? body.dataset.dataset : row.dataset[key];
          const free = key !== "dataset" && row.dataset.kind !== "trained";
          return !value || free || its === value;
        });
        const kept = row.dataset.kind === "trained" || find("#baselines").checked;
        row.hidden = !(fits && kept);
        shown += !row.hidden;
        some ||= !row.hidden;
      }
      body.hidden = !some;
    }
    const total = all("tbody tr:not(.group)", table).length;
    find("#shown").textContent = shown ? `${shown} of ${total} rows` : "No row fits.";
    table.classList.toggle("bare", !find("#notes").checked);
    reachable(table);
  };
  form.addEventListener("change", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  find("#columns").addEventListener("change", ({ target }) => {
    showColumn(table, target.value, target.checked);
    reachable(table);
  });
  if (narrow())
    for (const box of all("#columns input"))
      if (["method", "backbone", "corpus"].includes(box.value)) {
        box.checked = false; // the run's name says it, and scores come first
        showColumn(table, box.value, false);
      }
  apply();
}

function showColumn(table, key, shown) {
  const column = all("thead th", table).findIndex((th) => th.dataset.key === key);
  for (const row of table.rows) row.cells[column]?.classList.toggle("off", !shown);
}
