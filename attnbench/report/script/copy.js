// A table as Markdown or LaTeX: the rows that are left, in the order shown.

const SIGNS = {"\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#", "_": "\\_", "{": "\\{",
  "}": "\\}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$", "±": "$\\pm$",
  "×": "$\\times$", "≥": "$\\geq$", "≤": "$\\leq$", "≈": "$\\approx$", "−": "$-$", "∞": "$\\infty$", "·": "$\\cdot$",
  "µ": "$\\mu$", "→": "$\\to$", "—": "---", "–": "--", "²": "$^2$", "³": "$^3$", "’": "'", "“": "``", "”": "''"};
const OPERATORS = {"−": "-", "·": " \\cdot ", "∞": "\\infty ", "⌈": "\\lceil ", "⌉": " \\rceil ", "⌊": "\\lfloor ",
  "⌋": " \\rfloor ", "mod": "\\bmod "};
const KNOWN_NAMES = ["log", "min", "max"];
const LATEX = {
  text: text => [...text].map(sign => SIGNS[sign] ?? sign).join(""),
  math: text => `$${text}$`,
  power: (base, exponent) => `${base}^{${exponent}}`,
  times: () => "",
  index: (base, below) => `${base}_{${below}}`,
  fraction: (above, below) => `\\frac{${above}}{${below}}`,
  root: inside => `\\sqrt{${inside}}`,
  name: name => name.length === 1 ? name : KNOWN_NAMES.includes(name) ? `\\${name}` : `\\mathrm{${LATEX.text(name)}}`,
  sign: sign => OPERATORS[sign] ?? sign.replaceAll("−", "-"),
};
const MARKDOWN = {...PLAIN, text: text => text.replace(/[\\`*_{}[\]<>|#~]/g, "\\$&")};

// Rows as lists of texts, cells that span several rows or columns told in each row and once.
const grid = ({table, heads, shown}, to) => {
  const rows = [...shown].filter(record => !record.hidden).flatMap(record => [...(record.rows ?? [record])]);
  const columns = heads.map(head => line(head, to));
  const down = [];
  const found = [];
  for (const row of rows) {
    const [first] = row.cells;
    if (first.dataset.column) {  // a sentence about the row above: a column of its own
      if (!columns.includes(first.dataset.column)) columns.push(first.dataset.column);
      found.at(-1)[heads.length] = line(first, to);
      continue;
    }
    const texts = [];
    const next = [...row.cells];
    for (let column = 0; column < heads.length; column += 1) {
      if (down[column]?.left > 0) {
        down[column].left -= 1;
        texts.push(down[column].text);
        continue;
      }
      const here = next.shift();
      const text = here ? line(here, to) : "";
      if (here?.rowSpan > 1) down[column] = {text, left: here.rowSpan - 1};
      texts.push(text);
      for (let more = 1; more < (here?.colSpan ?? 1); more += 1) { texts.push(""); column += 1; }
    }
    found.push(texts);
  }
  return [columns, ...found.map(texts => columns.map((_, i) => texts[i] ?? ""))];
};

const numeric = ([, ...rows]) => rows[0]?.map((_, i) =>
  rows.every(row => EMPTY.includes(row[i]) || !Number.isNaN(number(row[i]))) && rows.some(row => !EMPTY.includes(row[i])));

const markdown = entry => {
  const rows = grid(entry, MARKDOWN);
  const right = numeric(grid(entry, PLAIN)) ?? [];
  const text = row => `| ${row.join(" | ")} |`;
  return [text(rows[0]), text(rows[0].map((_, i) => right[i] ? "--:" : "---")), ...rows.slice(1).map(text)].join("\n");
};

const latex = entry => {
  const [head, ...rows] = grid(entry, LATEX);
  const right = numeric(grid(entry, PLAIN)) ?? [];
  const text = row => `  ${row.join(" & ")} \\\\`;
  return ["% \\usepackage{booktabs}", `\\begin{tabular}{${head.map((_, i) => right[i] ? "r" : "l").join("")}}`,
    "  \\toprule", text(head), "  \\midrule", ...rows.map(text), "  \\bottomrule", "\\end{tabular}"].join("\n");
};

const copied = async text => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {  // not offered to a page from a file, or not allowed
    const area = make("textarea", {class: "unseen", readonly: ""});
    const before = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    before?.focus();
    return done;
  }
};

const copier = (entry, kind, write) => {
  const made = button(kind, {"aria-label": `${kind}: copy “${entry.name}”`}, async () => {
    const done = await copied(`${write(entry)}\n`);
    say(done ? `Table copied as ${kind}` : "This browser does not let a page copy");
    made.textContent = done ? "Copied" : "Not copied";
    setTimeout(() => { made.textContent = kind; }, 1500);
  });
  return made;
};

for (const entry of tables) {
  if (entry.records.length) {
    entry.tools.append(make("span", {class: "copy"}, "Copy as ", copier(entry, "Markdown", markdown), " or ",
      copier(entry, "LaTeX", latex)));
  }
}
