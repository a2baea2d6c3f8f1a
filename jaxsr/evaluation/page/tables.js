"use strict";
// The report's figures, from #report, as tables. Names are only ever set as text.

const $ = (id) => document.getElementById(id);
const report = JSON.parse($("report").textContent);
const { methods, metrics, pictures } = report;
const SERIES = 8; // colours in the style
methods.forEach((method, i) => (method.series = `series-${i % SERIES}`));

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A number; JSON has no infinity, which is "inf", and null is no number, as undefined is. */
const figure = (values, { name }) => (values[name] === "inf" ? Infinity : values[name] ?? undefined);

function written(value, decimals) {
  if (value === undefined) return "–";
  if (value === Infinity) return "∞";
  return value.toFixed(decimals).replace(/^-(?=.*[1-9])/, "−").replace(/^-/, "");
}

const merit = (value, better) => ({ high: value, low: -value, zero: -Math.abs(value) })[better];

/** "best" or "second" of the values, or "" for what is neither or where none is better. */
function rank(value, values, better) {
  const known = values.filter((other) => other !== undefined).map((other) => merit(other, better));
  const places = [...new Set(known)].sort((a, b) => b - a);
  if (value === undefined || !better || places.length < 2) return "";
  return ["best", "second"][places.indexOf(merit(value, better))] ?? "";
}

/** What was not measured comes last in either order. */
function inOrder(a, b, sign) {
  if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
  if (typeof a === "string") return sign * a.localeCompare(b, undefined, { numeric: true });
  return a === b ? 0 : sign * (a - b);
}

/** Fills a table from columns {label, unit, descends, value(row), cell(row), mark(row)}. */
function fill(table, columns, rows, foot = []) {
  const line = (row) => element("tr", {}, ...columns.map((column, i) => {
    if (i === 0) return element("th", { scope: "row" }, column.cell(row));
    return element("td", { className: column.mark(row) }, column.cell(row));
  }));
  const lines = rows.map((row) => ({ row, line: line(row) }));
  const body = element("tbody", {}, ...lines.map((each) => each.line));
  const heads = columns.map((column) => {
    const label = [element("span", {}, column.label), element("small", {}, column.unit ?? "")];
    const button = element("button", { type: "button" }, ...label);
    const head = element("th", { scope: "col" }, button);
    button.addEventListener("click", () => {
      const down = head.ariaSort ? head.ariaSort === "ascending" : Boolean(column.descends);
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.ariaSort = down ? "descending" : "ascending";
      lines.sort((a, b) => inOrder(column.value(a.row), column.value(b.row), down ? -1 : 1));
      body.append(...lines.map((each) => each.line));
    });
    return head;
  });
  table.replaceChildren(element("thead", {}, element("tr", {}, ...heads)), body);
  if (foot.length) table.append(element("tfoot", {}, ...foot.map(line)));
}

/** A column of one metric; `of` gives the value of a row, and `among` those it competes with. */
function measuredColumn(metric, label, of, among) {
  const shown = (value) => value && Number(value.toFixed(metric.decimals)); // what the reader compares
  const arrow = { high: "↑", low: "↓", zero: "→ 0" }[metric.better];
  return {
    label, unit: [metric.unit, arrow].filter(Boolean).join(" "),
    descends: metric.better === "high", value: of,
    cell: (row) => written(of(row), metric.decimals),
    mark: (row) => rank(shown(of(row)), among(row).map(shown), metric.better),
  };
}

const swatch = (series) => element("span", { className: `swatch ${series}` });

function showMethods() {
  const columns = metrics.map((metric) => {
    const of = (method) => figure(method.mean, metric);
    return measuredColumn(metric, metric.label, of, () => methods.map(of));
  });
  const name = {
    label: "Method", value: (method) => method.name,
    cell: (method) => element("span", {}, swatch(method.series), method.name),
  };
  const seconds = {
    label: "Seconds", value: (method) => method.seconds, mark: () => "",
    cell: (method) => written(method.seconds, 1),
  };
  fill($("methods"), [name, ...columns, seconds], methods);
}

function showPictures() {
  const metric = metrics[$("metric").value];
  const all = (picture) => picture.values.map((values) => figure(values, metric));
  const columns = methods.map(({ name }, i) => measuredColumn(metric, name, (row) => all(row)[i], all));
  const name = { label: "Picture", value: (picture) => picture.name, cell: opener };
  const mean = { name: "Mean", values: methods.map((method) => method.mean) };
  fill($("pictures"), [name, ...columns], pictures, [mean]);
}

/** The name of a picture, as a button that shows it where its pixels are known. */
function opener(picture) {
  if (!picture.thumbnail) return element("span", {}, picture.name);
  const thumbnail = element("img", { alt: "", src: `data:image/webp;base64,${picture.thumbnail}` });
  const button = element("button", { type: "button" }, thumbnail, element("span", {}, picture.name));
  button.addEventListener("click", () => {
    choose(pictures.indexOf(picture));
    $("compare").scrollIntoView();
    $("stage").focus({ preventScroll: true });
  });
  return button;
}
