// What pointer and keys do, and the start.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const FAR = 16; // pixels that the loupe goes with Shift

const previous = () => choose(view.picture - 1);
const next = () => choose(view.picture + 1);

function swap() {
  [view.left, view.right] = [view.right, view.left];
  showSides();
}

/** Zooms to so many times what fits, about the loupe. */
function zoomTo(zoom) {
  Object.assign(view, { zoom: clamp(zoom, 1, MOST_ZOOM), x: view.loupe.x, y: view.loupe.y });
  place();
}

const zoomIn = () => zoomTo(2 * view.zoom);
const zoomOut = () => zoomTo(view.zoom / 2);

function moveLoupe(x, y) {
  const { width, height } = extent();
  view.loupe = { x: clamp(Math.floor(x), 0, width - 1), y: clamp(Math.floor(y), 0, height - 1) };
  showLoupe();
}

/** Moves the loupe by keys, and the picture with it where it would leave the stage. */
function stepLoupe(dx, dy) {
  const { width, height } = extent(), { x, y } = view.loupe;
  view.held = true;
  moveLoupe(x + dx, y + dy);
  const [w, h] = [width, height].map((side) => side / view.zoom / 2);
  view.x = clamp(view.x, view.loupe.x - w, view.loupe.x + w);
  view.y = clamp(view.y, view.loupe.y - h, view.loupe.y + h);
  place();
}

function hold(held) {
  view.held = held;
  showLoupe();
}

/** The loupe follows the pointer over a surface, and a click holds it or lets it go. */
function follow(surface, pixelAt) {
  let travelled = 0; // by a drag of the zoomed picture, whose end is no click
  const drags = (event) => event.buttons && surface === $("stage") && view.zoom > 1;
  surface.addEventListener("pointerdown", (event) => {
    travelled = 0;
    if (drags(event) && event.target !== $("split")) surface.setPointerCapture(event.pointerId);
  });
  surface.addEventListener("pointermove", (event) => {
    if (event.buttons && event.target === $("split")) return;
    if (drags(event)) {
      travelled += Math.abs(event.movementX) + Math.abs(event.movementY);
      view.x -= event.movementX / layout.scale;
      view.y -= event.movementY / layout.scale;
      place();
    } else if (!view.held || event.pointerType === "touch") moveLoupe(...pixelAt(event));
  });
  surface.addEventListener("click", (event) => {
    if (event.target === $("split") || travelled > 4) return;
    moveLoupe(...pixelAt(event));
    hold(!view.held && event.pointerType !== "touch");
  });
}

function onStage(event) {
  const { left, top } = $("stage").getBoundingClientRect();
  return [event.clientX - left - layout.left, event.clientY - top - layout.top].map((n) => n / layout.scale);
}

function onMap(event) {
  const { left, top, width } = event.currentTarget.getBoundingClientRect(), scale = width / extent().width;
  return [event.clientX - left, event.clientY - top].map((n) => n / scale);
}

/** Keys of the stage itself, not of the slider on it. */
function onStageKey(event) {
  const way = ARROWS[event.key], far = event.shiftKey ? FAR : 1;
  if (event.target !== $("stage") || !(way || event.key === "Enter")) return;
  if (way) stepLoupe(far * way[0], far * way[1]);
  else hold(!view.held);
  event.preventDefault();
}

/** Keys of the page; arrows belong to what is operated by them, and letters to lists. */
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
  const taken = event.target.closest("input, .stage, .scroll");
  const turn = taken ? {} : { ArrowLeft: previous, ArrowRight: next };
  const zoom = { "+": zoomIn, "=": zoomIn, "-": zoomOut, 0: () => zoomTo(1) };
  const commands = { p: previous, n: next, x: swap, ...turn, ...zoom };
  commands[event.key]?.();
}

const offer = (select, names) => select.replaceChildren(...names.map((name, i) => new Option(name, i)));

function wire() {
  offer($("picture"), pictures.map((picture) => picture.name));
  offer($("metric"), metrics.map((metric) => metric.label));
  for (const which of ["left", "right"]) {
    offer($(which), sides);
    $(which).addEventListener("change", () => {
      view[which] = Number($(which).value);
      showSides();
    });
  }
  const clicked = { previous, next, swap, in: zoomIn, out: zoomOut };
  for (const [button, act] of Object.entries(clicked)) $(button).addEventListener("click", act);
  $("picture").addEventListener("change", () => choose(Number($("picture").value)));
  $("metric").addEventListener("change", showPictures);
  $("magnification").addEventListener("change", showLoupe);
  $("full").addEventListener("change", showSides);
  $("theme").addEventListener("change", () => {
    document.documentElement.style.colorScheme = $("theme").value;
  });
  $("split").addEventListener("input", slide);
  $("stage").addEventListener("keydown", onStageKey);
  document.addEventListener("keydown", onKey);
  follow($("stage"), onStage);
  for (const map of maps()) follow(map, onMap);
  addEventListener("resize", () => {
    showPlane();
    if (shown().histograms) showCurves(shown());
    place();
  });
}

function start() {
  view.left = Math.max(0, sides.indexOf("bicubic")) % (sides.length - 1); // not the right one
  $("summary").textContent = `${pictures.length} pictures, ${methods.length} methods`;
  $("definition").append(...report.definition.split("; ").map((part) => element("li", {}, part)));
  const original = { name: "Original", series: "series-original" };
  const entry = ({ name, series }) => element("li", {}, swatch(series), name);
  $("legend").append(...[original, ...drawn].map(entry));
  wire();
  showMethods();
  showPictures();
  showPlane();
  const first = pictures.findIndex((picture) => picture.images);
  $("compare").hidden = $("errors").hidden = first < 0;
  if (first >= 0) choose(first);
}

start();
