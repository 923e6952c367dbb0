// Tables: a button in each column head sorts, a field filters. A record is a row, or a body of rows that belong together.

const tables = [...document.querySelectorAll("table")].map(table => {
  const bodies = [...table.tBodies];
  const together = bodies.length > 1;
  const home = together ? table : bodies[0];
  const records = together ? bodies : [...(home?.rows ?? [])];
  return {
    table, home, records, shown: records,
    heads: [...(table.tHead?.rows[0]?.cells ?? [])],
    name: table.caption?.textContent ?? table.parentElement.getAttribute("aria-label") ?? "",
    frame: table.closest(".scroll") ?? table,
    tools: make("div", {class: "tools"}),
  };
});

const cell = (record, column) => (record.rows ? record.rows[0] : record).cells[column];

// "1.23 ms", "≥ 4.10 GFLOP", "1.50 KiB", "97.1 %", "1.04×" or "[1.20 ms, 1.26 ms]" as a number; NaN for other text.
const SCALES = {p: 1e-12, n: 1e-9, µ: 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18,
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50};
const QUANTITY = /^(?:≥ )?(-?[\d.]+(?:e[+-]?\d+)?|-?∞) ?(?:([pnµmkMGTPE]|[KMGTP]i)?(?:s|B|FLOP|FLOP\/s)?|×|%)$/;
const number = text => {
  const [, digits, prefix] = QUANTITY.exec(text.replace(/^\[([^,]+),.*\]$/, "$1").replaceAll("−", "-")) ?? [];
  return digits === undefined ? NaN : Number(digits.replace("∞", "Infinity")) * (SCALES[prefix] ?? 1);
};

const EMPTY = ["", "—"];
const collator = new Intl.Collator("en", {numeric: true});
// Where every cell that says something is a number, the column sorts by number; what says nothing comes last.
const order = (records, column, sign) => {
  const texts = records.map(record => cell(record, column)?.dataset.value ?? line(cell(record, column)));
  const numbers = texts.map(number);
  const compare = texts.every((text, i) => EMPTY.includes(text) || !Number.isNaN(numbers[i]))
    ? (i, j) => numbers[i] - numbers[j] || 0 : (i, j) => collator.compare(texts[i], texts[j]);
  const empty = i => Number(EMPTY.includes(texts[i]));
  return records.map((_, i) => i)
    .sort((i, j) => empty(i) - empty(j) || (empty(i) ? 0 : sign * compare(i, j)) || i - j)
    .map(i => records[i]);
};

// A name is told once for neighbours that share it.
const tellOnce = ({table, shown}) => {
  if (!table.matches(".counted")) return;
  const visible = shown.filter(record => !record.hidden);
  visible.forEach((record, i) => {
    record.classList.toggle("again", i > 0 && line(cell(record, 0)) === line(cell(visible[i - 1], 0)));
  });
};

const SORTS = {none: "ascending", ascending: "descending", descending: "none"};
const sortable = entry => {
  const {table, home, records, heads} = entry;
  const sort = column => {
    const head = heads[column];
    const next = SORTS[head.getAttribute("aria-sort") ?? "none"];
    for (const other of heads) other.removeAttribute("aria-sort");
    if (next !== "none") head.setAttribute("aria-sort", next);
    entry.shown = next === "none" ? records : order(records, column, next === "ascending" ? 1 : -1);
    home.append(...entry.shown);
    tellOnce(entry);
    say(next === "none" ? "In the first order again" : `Sorted by ${head.textContent}, ${next}`);
  };
  heads.forEach((head, column) => {
    if ("unsorted" in head.dataset) return;
    const made = button("", {class: "sort"}, () => sort(column));
    made.append(...head.childNodes);
    head.append(made);
  });
  table.classList.add("sorts");
};

const filterable = entry => {
  const {records, tools} = entry;
  const words = record => [...record.querySelectorAll("th, td")].map(one => line(one)).join(" ");
  let texts = null;  // read when they are first asked for: a page may have ten thousand rows
  const field = make("input", {type: "search", autocomplete: "off", spellcheck: "false"});
  const left = make("output", {}, `${records.length} rows`);
  field.addEventListener("input", () => {
    texts ??= records.map(record => `${words(record)} ${record.dataset.search ?? ""}`.toLowerCase());
    const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    records.forEach((record, i) => { record.hidden = !wanted.every(word => texts[i].includes(word)); });
    const count = records.filter(record => !record.hidden).length;
    left.textContent = wanted.length ? `${count} of ${records.length} rows` : `${records.length} rows`;
    tellOnce(entry);
  });
  tools.prepend(make("label", {class: "filter"}, make("span", {}, entry.table.dataset.filter), field), left);
};

for (const entry of tables) {
  const several = entry.records.length > 1;
  if (entry.table.dataset.filter) entry.frame.before(entry.tools);
  else entry.frame.after(entry.tools);
  if (entry.table.dataset.filter && several) filterable(entry);
  if ("sort" in entry.table.dataset && several) sortable(entry);
}
