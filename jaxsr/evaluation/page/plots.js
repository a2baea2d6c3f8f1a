// Plots, as SVG of the size that there is. An axis is {low, high, label, flip, ticks: [[value, text]]}.

const EDGES = { left: 46, right: 14, top: 24, bottom: 36 };
const NOTHING = -0.15; // where 0 lies on an axis of decimal logarithms

function shape(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** About `count` round values between two, and how each is written. */
function ticks(low, high, count) {
  const rough = (high - low) / count, unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  const values = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  return values.map((value) => [value, written(value, decimals)]);
}

/** An axis from values, a little beyond them; `flip` puts the small ones at its far end. */
function axis(values, label, flip = false) {
  const least = Math.min(...values), most = Math.max(...values);
  const room = 0.12 * (most - least || Math.abs(most) || 1), low = least - room, high = most + room;
  return { low, high, label, flip, ticks: ticks(low, high, 5) };
}

/** Draws two axes in an emptied SVG; gives the functions from values to places, and the box. */
function axes(svg, x, y) {
  const width = svg.clientWidth, height = svg.clientHeight;
  const { left, top } = EDGES, right = width - EDGES.right, bottom = height - EDGES.bottom;
  const placed = ({ low, high, flip }, from, to) =>
    (value) => from + ((flip ? high - value : value - low) / (high - low)) * (to - from);
  const px = placed(x, left, right), py = placed(y, bottom, top);
  const text = (x, y, anchor, content) => shape("text", { x, y, "text-anchor": anchor }, content);
  const line = (x1, x2, y1, y2) => shape("line", { class: "grid", x1, x2, y1, y2 });
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(
    ...x.ticks.map(([value]) => line(px(value), px(value), top, bottom)),
    ...y.ticks.map(([value]) => line(left, right, py(value), py(value))),
    ...x.ticks.map(([value, written]) => text(px(value), bottom + 15, "middle", written)),
    ...y.ticks.map(([value, written]) => text(left - 6, py(value) + 4, "end", written)),
    text(right, height - 4, "end", x.label),
    text(0, 12, "start", y.label));
  return { px, py, box: { left, right, top, bottom } };
}

/** The perception-distortion plane, or why there is none. */
function showPlane() {
  const svg = $("plane"), note = $("plane-note");
  const psnr = metrics.find(({ name }) => name === "psnr_y");
  const lpips = metrics.find(({ name }) => name.startsWith("lpips"));
  const points = psnr && lpips ? methods
    .map((method) => ({ method, x: figure(method.mean, psnr), y: figure(method.mean, lpips) }))
    .filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)) : [];
  svg.toggleAttribute("hidden", !points.length);
  if (!points.length) {
    const lacking = lpips ? "PSNR of Y has no figures" : "LPIPS was not measured (--lpips)";
    note.textContent = `This plane is PSNR of Y against LPIPS. ${lacking}.`;
    return;
  }
  note.textContent = "Up and to the right is better: closer to the eye, and closer in pixels. "
    + "Beyond a certain curve, one is only had for the other (Blau and Michaeli, 2018).";
  const said = ({ method, x, y }) =>
    `${method.name}: ${written(x, psnr.decimals)} dB, ${written(y, lpips.decimals)}`;
  svg.ariaLabel = `${psnr.label} and ${lpips.label} of ${points.map(said).join("; ")}`;
  const { px, py, box } = axes(svg, axis(points.map(({ x }) => x), `${psnr.label}, dB →`),
    axis(points.map(({ y }) => y), `↑ ${lpips.label}, less is better`, true));
  const taken = points.map(({ x, y }) => ({ x: px(x) - 5, y: py(y) - 5, width: 10, height: 10 }));
  for (const { method, x, y } of points) {
    const name = shape("text", { class: "name" }, method.name);
    svg.append(shape("g", { class: method.series }, shape("circle", { cx: px(x), cy: py(y), r: 5 }), name));
    setBeside(name, px(x), py(y), box, taken);
  }
}

/** Puts a name beside a point, where it hides nothing if there is such a place. */
function setBeside(name, x, y, box, taken) {
  const width = name.getComputedTextLength(), height = 14, edge = Math.max(0, box.right - width);
  const sides = { right: 9, left: -9 - width, middle: -width / 2 };
  const places = [["right", -7], ["left", -7], ["middle", -22], ["middle", 8], ["right", -20], ["right", 7],
    ["left", -20], ["left", 7]].map(([side, dy]) =>
    ({ x: clamp(x + sides[side], 0, edge), y: y + dy, width, height }));
  const apart = (a, b) => a.x + a.width <= b.x || b.x + b.width <= a.x
    || a.y + a.height <= b.y || b.y + b.height <= a.y;
  const free = places.find((place) => taken.every((other) => apart(place, other))) ?? places[0];
  taken.push(free);
  name.setAttribute("x", free.x);
  name.setAttribute("y", free.y + 11);
}

/** Draws [[x, y]] of one side; the original and those that are compared stand out. */
function curve(svg, { px, py }, side, points) {
  const kind = side === ORIGINAL ? "series-original dashed" : drawn[side - 2].series;
  const strong = [ORIGINAL, view.left, view.right].includes(side) ? "strong" : "";
  const places = points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`);
  svg.append(shape("polyline", { class: `${kind} ${strong}`, points: places.join(" ") }));
}

function showHistogram({ histograms }) {
  const svg = $("histogram");
  const reaches = histograms.map(({ low, counts }) => Math.max(-low, low + counts.length - 1));
  const furthest = Math.max(1, ...reaches);
  const high = Math.max(1, Math.log10(Math.max(...histograms.flatMap(({ counts }) => counts))));
  const powers = Array.from({ length: Math.floor(high) + 1 }, (_, i) => [i, (10 ** i).toLocaleString("en")]);
  const placed = axes(svg,
    { low: -furthest, high: furthest, label: "error, levels", ticks: ticks(-furthest, furthest, 6) },
    { low: NOTHING, high, label: "pixels", ticks: powers });
  histograms.forEach(({ low, counts }, i) => {
    const points = counts.map((count, j) => [low + j, count ? Math.log10(count) : NOTHING]);
    curve(svg, placed, i + 2, points);
  });
  svg.ariaLabel = `Histogram of the errors, which reach ${furthest} levels`;
}

function showSpectrum({ spectra }) {
  const svg = $("spectrum"), half = 0.5 / report.scale;
  const placed = axes(svg, { low: 0, high: 0.5, label: "cycles per pixel", ticks: ticks(0, 0.5, 5) },
    axis(spectra.flat(), "decibels"));
  const { px, box } = placed;
  svg.append(shape("line", { class: "mark", x1: px(half), x2: px(half), y1: box.top, y2: box.bottom }));
  spectra.forEach((values, i) => {
    const points = values.map((value, j) => [(j + 0.5) / (2 * values.length), value]);
    curve(svg, placed, i + 1, points);
  });
  svg.ariaLabel = "Power by frequency, of the original and of each method";
}

function showCurves(picture) {
  showHistogram(picture);
  showSpectrum(picture);
}
