// The comparison. A picture is seen by its sides: the input, the original and each drawn method.
// Two sides lie on the stage, under a slider; the loupe magnifies one place of all.

const ORIGINAL = 1;
const drawn = methods.filter((method) => method.drawn);
const sides = ["Input", "Original", ...drawn.map((method) => method.name)];
const RAMP = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]]; // .ramp
const MOST_ZOOM = 16;
const BESIDE = { from: 800, width: 320 }; // a viewer so wide keeps so much room for the panes

const view = {
  picture: 0, left: 0, right: sides.length - 1,
  zoom: 1, x: 0, y: 0, // the middle of the stage, in pixels of the picture
  loupe: { x: 0, y: 0 }, held: false,
};
let images = []; // of each side; none while they load, and of a picture that has none
let layout = { scale: 1, left: 0, top: 0 }; // how the picture lies on the stage

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const shown = () => pictures[view.picture];
const extent = () => ({ width: shown().window[2], height: shown().window[3] });
const maps = () => [$("left-map"), $("right-map")];

async function choose(number) {
  view.picture = (number + pictures.length) % pictures.length;
  images = [];
  const picture = shown();
  $("picture").value = view.picture;
  $("about").textContent = about(picture);
  for (const part of ["viewer", "maps", "ramp"]) $(part).toggleAttribute("hidden", !picture.images);
  $("errors").toggleAttribute("hidden", !picture.histograms);
  if (picture.histograms) showCurves(picture);
  if (!picture.images) return;
  const loaded = await Promise.all(picture.images.map(decoded));
  if (picture !== shown()) return; // another was chosen meanwhile
  images = loaded;
  const [x, y] = picture.spot;
  Object.assign(view, { zoom: 1, loupe: { x, y }, held: false });
  showSides();
}

function about({ size, window, images }) {
  if (!size) return "The pixels of this picture are not in the report.";
  const [, , width, height] = window, [fullWidth, fullHeight] = size;
  const all = `${fullWidth} × ${fullHeight} pixels`;
  if (!images) return `${all}, which are beyond the size that a page may have.`;
  if (width === fullWidth && height === fullHeight) return `${all}.`;
  return `The middle ${width} × ${height} of ${all}; figures and plots are of all.`;
}

async function decoded(number) {
  const image = new Image();
  image.src = `data:image/webp;base64,${$(`image-${number}`).textContent}`;
  await image.decode();
  return image;
}

function showSides() {
  if (!images.length) return;
  for (const [which, image] of [["left", $("under")], ["right", $("upper")]]) {
    const side = view[which];
    $(which).value = side;
    image.src = images[side].src;
    image.alt = `${shown().name}: ${sides[side]}`;
    $(`${which}-tag`).textContent = sides[side];
    $(`${which}-map-name`).textContent = `Difference, ${sides[side]}`;
    showMap($(`${which}-map`), side);
  }
  $("panes").replaceChildren(...sides.map(pane));
  slide();
  showCurves(shown());
  place();
}

function pane(name, side) {
  const metric = metrics[0], method = methods.indexOf(drawn[side - 2]);
  const value = method < 0 ? undefined : figure(shown().values[method], metric);
  const score = value === undefined ? "" : `${written(value, metric.decimals)} ${metric.unit}`;
  const role = { [view.left]: "left", [view.right]: "right" }[side];
  const canvas = element("canvas", { role: "img", ariaLabel: `${name}, magnified` });
  const said = element("span", {}, [score, role].filter(Boolean).join(" · "));
  return element("figure", {}, canvas, element("figcaption", {}, name, said));
}

/** Screen pixels for one of the picture: whole ones where there is room for that. */
function fitting(room, part) {
  const { width, height } = extent(), most = Math.min(room / width, (part * innerHeight) / height);
  return most > 1 ? Math.floor(most) : most;
}

/** Lays the picture on the stage and the maps, by their room and the zoom. */
function place() {
  if (!images.length) return;
  const { width, height } = extent(), room = $("viewer").clientWidth;
  const base = fitting(room > BESIDE.from ? room - BESIDE.width : room, 0.75), scale = base * view.zoom;
  const x = clamp(view.x, width / view.zoom / 2, width - width / view.zoom / 2);
  const y = clamp(view.y, height / view.zoom / 2, height - height / view.zoom / 2);
  layout = { scale, left: (width / view.zoom / 2 - x) * scale, top: (height / view.zoom / 2 - y) * scale };
  Object.assign(view, { x, y });
  setSize($("stage"), width * base, height * base);
  for (const image of [$("under"), $("upper")]) {
    setSize(image, width * scale, height * scale);
    image.style.transform = `translate(${layout.left}px, ${layout.top}px)`;
    image.classList.toggle("sharp", scale >= 1);
  }
  for (const map of maps()) {
    const size = fitting(map.closest("figure").clientWidth, 0.6);
    setSize(map, width * size, height * size);
  }
  $("stage").classList.toggle("zoomed", view.zoom > 1);
  $("zoom").value = `${Math.round(100 * scale)} %`;
  $("in").disabled = view.zoom >= MOST_ZOOM;
  $("out").disabled = view.zoom <= 1;
  showLoupe();
}

function setSize(box, width, height) {
  box.style.width = `${width}px`;
  box.style.height = `${height}px`;
}

/** Draws what the loupe sees in every pane, and its frame on the stage and the maps. */
function showLoupe() {
  if (!images.length) return;
  const { width } = extent(), { x, y } = view.loupe, panes = [...$("panes").querySelectorAll("canvas")];
  const reach = panes[0].clientWidth / $("magnification").value; // pixels of the picture across
  const left = x + 0.5 - reach / 2, top = y + 0.5 - reach / 2;
  panes.forEach((canvas, side) => {
    const across = Math.round(canvas.clientWidth * devicePixelRatio);
    const ratio = images[side].naturalWidth / width; // 1, or less of the input
    canvas.width = canvas.height = across; // which also clears it
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    const seen = [left, top, reach, reach].map((n) => n * ratio);
    context.drawImage(images[side], ...seen, 0, 0, across, across);
  });
  const frame = (surface, scale, from) => {
    const box = surface.parentElement.querySelector(".frame");
    setSize(box, reach * scale, reach * scale);
    box.style.transform = `translate(${from.left + left * scale}px, ${from.top + top * scale}px)`;
  };
  frame($("under"), layout.scale, layout);
  for (const map of maps()) frame(map, map.clientWidth / width, { left: 0, top: 0 });
  document.body.classList.toggle("held", view.held);
  $("where").textContent = `Pixel ${shown().window[0] + x}, ${shown().window[1] + y}.`;
  $("held").textContent = view.held
    ? "The loupe is held; a click lets it go." : "The loupe follows the pointer; a click holds it.";
}

/** Y of BT.601 in levels, less its offset, at each pixel of the window. */
function luma(image) {
  const { width, height } = extent(), context = element("canvas", { width, height }).getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const y = (i) => (65.481 * data[i] + 128.553 * data[i + 1] + 24.966 * data[i + 2]) / 255;
  return Float32Array.from({ length: width * height }, (_, i) => y(4 * i));
}

function showMap(canvas, side) {
  const { width, height } = extent(), full = Number($("full").value), last = RAMP.length - 1;
  const sr = luma(images[side]), hr = luma(images[ORIGINAL]);
  const map = new ImageData(width, height);
  sr.forEach((value, i) => {
    const at = last * Math.min(1, Math.abs(value - hr[i]) / full), k = Math.min(last - 1, Math.floor(at));
    RAMP[k].forEach((from, c) => (map.data[4 * i + c] = from + (at - k) * (RAMP[k + 1][c] - from)));
    map.data[4 * i + 3] = 255;
  });
  Object.assign(canvas, { width, height }).getContext("2d").putImageData(map, 0, 0);
}

/** Shows the right side from where the slider stands. */
function slide() {
  const percent = Number($("split").value);
  $("over").style.clipPath = `inset(0 0 0 ${percent}%)`;
  $("split").ariaValueText = `${Math.round(percent)} % ${sides[view.left]}, then ${sides[view.right]}`;
}
