"use strict";
(async () => {
  const byId = (id) => document.getElementById(id);
  const root = byId("viewer");
  byId("loading").hidden = false; // without scripts, nothing is loaded
  const scene = JSON.parse(byId("scene").textContent);
  const { size, spacing, origin, cuts, pet } = scene;
  const strides = [1, size[0], size[0] * size[1]];
  const TISSUE = 3; // bits of the marks: the tissue of the MRI
  const BEYOND = 8; // the bit of the marks where PET or MRI has no field of view
  const SIDES = { I: "feet", S: "head", R: "right", L: "left", A: "front", P: "back" };
  const MOST_ZOOM = 16;
  const WHEEL = 40; // pixels of the wheel for one slice: touch pads send many small steps

  // What was stored

  async function volumeOf(name) {
    const volume = new Uint8Array(size[0] * size[1] * size[2]);
    const { width: tileWidth, height: tileHeight, count, columns } = scene.tiles;
    let slice = 0;
    for (const picture of document.querySelectorAll(`img[data-volume="${name}"]`)) {
      const { data, width } = await pixelsOf(picture);
      const pixels = new Uint32Array(data.buffer); // grey: the lowest byte is as good as any
      for (let tile = 0; tile < count && slice < size[2]; tile++, slice++) {
        const first = Math.floor(tile / columns) * tileHeight * width + (tile % columns) * tileWidth;
        for (let y = 0, to = slice * strides[2]; y < size[1]; y++) {
          for (let x = 0, from = first + y * width; x < size[0]; x++) volume[to++] = pixels[from++];
        }
      }
    }
    return volume;
  }

  async function pixelsOf(picture) {
    await picture.decode();
    const canvas = document.createElement("canvas");
    canvas.width = picture.naturalWidth;
    canvas.height = picture.naturalHeight;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  }

  async function petValues() {
    const stream = new Blob([bytesOf(byId("pet").textContent.trim())]).stream().pipeThrough(new DecompressionStream("deflate"));
    const halves = new Uint8Array(await new Response(stream).arrayBuffer());
    const count = halves.length / 2;
    const values = new Float32Array(count);
    for (let index = 0, code = 0; index < count; index++) {
      if (index % pet.size[0] === 0) code = 0;
      code = (code + halves[index] * 256 + halves[count + index]) & 0xffff;
      values[index] = code === 0 ? NaN : pet.lowest + (code - 1) * pet.step;
    }
    return values;
  }

  function bytesOf(text) {
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let index = 0; index < bytes.length; index++) bytes[index] = binary.charCodeAt(index);
    return bytes;
  }

  const loaded = {};
  try {
    const names = ["mri", "fused", "bright", "marks"];
    const volumes = await Promise.all([...names.map(volumeOf), petValues()]);
    [...names, "pet"].forEach((name, number) => (loaded[name] = volumes[number]));
    loaded.table = new Uint32Array((await pixelsOf(document.querySelector('img[data-volume="table"]'))).data.buffer);
  } catch (error) {
    byId("loading").hidden = true;
    byId("no-viewer").hidden = false; // the key slices stay
    return;
  }

  // The PET at any place: linear interpolation on its own voxels

  function petAt(x, y, z) {
    const [a, b, c] = pet.matrix;
    return petAtIndex(a[0] * x + a[1] * y + a[2] * z + a[3], b[0] * x + b[1] * y + b[2] * z + b[3], c[0] * x + c[1] * y + c[2] * z + c[3]);
  }

  const [nx, ny, nz] = pet.size;
  function petAtIndex(x, y, z) {
    if (!(x >= -0.5 && y >= -0.5 && z >= -0.5 && x <= nx - 0.5 && y <= ny - 0.5 && z <= nz - 0.5)) return NaN;
    const x0 = Math.max(0, Math.floor(x + 1e-6));
    const y0 = Math.max(0, Math.floor(y + 1e-6));
    const z0 = Math.max(0, Math.floor(z + 1e-6));
    const fx = Math.max(0, x - x0);
    const fy = Math.max(0, y - y0);
    const fz = Math.max(0, z - z0);
    const dx = fx > 1e-6 && x0 + 1 < nx ? 1 : 0; // a neighbour without weight may lie beyond the field of view
    const dy = fy > 1e-6 && y0 + 1 < ny ? nx : 0;
    const dz = fz > 1e-6 && z0 + 1 < nz ? nx * ny : 0;
    const v = loaded.pet;
    const i = x0 + nx * (y0 + ny * z0);
    const near = mixed(v[i], v[i + dx], v[i + dy], v[i + dx + dy], fx, fy);
    const far = dz ? mixed(v[i + dz], v[i + dx + dz], v[i + dy + dz], v[i + dx + dy + dz], fx, fy) : near;
    return near + fz * (far - near);
  }

  function mixed(a, b, c, d, fx, fy) {
    const upper = a + fx * (b - a);
    return upper + fy * (c + fx * (d - c) - upper);
  }

  // Pictures of one slice

  const rowIndex = (cut, row) => (cut.down === 2 ? size[2] - 1 - row : row);
  const placeOf = (axis, index) => origin[axis] + index * spacing[axis];

  function petLevels(cut, index, matrix) {
    const width = size[cut.across];
    const levels = new Int16Array(width * size[cut.down]); // -1 beyond the field of view
    const [low, high] = pet.window;
    const [dx, dy, dz] = matrix.map((row) => row[cut.across] * spacing[cut.across]);
    const point = [0, 0, 0];
    point[cut.axis] = placeOf(cut.axis, index);
    point[cut.across] = placeOf(cut.across, 0);
    for (let row = 0, at = 0; row < size[cut.down]; row++) {
      point[cut.down] = placeOf(cut.down, rowIndex(cut, row));
      const [x, y, z] = matrix.map((each) => each[0] * point[0] + each[1] * point[1] + each[2] * point[2] + each[3]);
      for (let column = 0; column < width; column++, at++) {
        const value = petAtIndex(x + column * dx, y + column * dy, z + column * dz);
        levels[at] = value === value ? Math.round(255 * Math.min(1, Math.max(0, (value - low) / (high - low)))) : -1;
      }
    }
    return levels;
  }

  // Colours are numbers of 32 bits, as the pixels of a canvas lie in memory (all browsers run on little-endian computers).
  const rgb = (red, green, blue) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  const OUTLINE = "rgb(214, 32, 107)";
  const BORDER = "rgb(25, 195, 214)";
  const BLACK = rgb(0, 0, 0);
  const grey = Uint32Array.from({ length: 256 }, (_, level) => rgb(level, level, level));
  const palette = bytesOf(scene.palette);
  const hot = (level) => (level < 0 ? BLACK : grey[255 - level]);

  // Of a pixel: the PET's level (-1 beyond the field of view), the place in the volumes, and in the picture.
  const PAINT = {
    pet: hot,
    mri: (level, at) => grey[loaded.mri[at]],
    fused: (level, at) => grey[loaded.fused[at]],
    blend: (level, at) => {
      const mri = loaded.mri[at];
      if (level < 0) return grey[mri];
      const mix = (channel) => Math.round(mri + state.opacity * (palette[3 * level + channel] - mri));
      return rgb(mix(0), mix(1), mix(2));
    },
    color: (level, at) => loaded.table[256 * loaded.bright[at] + Math.max(0, level)],
    outlines: hot,
    before: hot,
    checker: (level, at, cut, column, row) => {
      const square = Math.floor((column * spacing[cut.across]) / scene.square) + Math.floor((row * spacing[cut.down]) / scene.square);
      return square % 2 ? grey[loaded.mri[at]] : hot(level);
    },
  };

  function painted(cut, index, mode) {
    const width = size[cut.across];
    const height = size[cut.down];
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const levels = petLevels(cut, index, mode === "before" ? scene.before : pet.matrix);
    const paint = PAINT[mode];
    for (let row = 0, pixel = 0; row < height; row++) {
      let at = index * strides[cut.axis] + rowIndex(cut, row) * strides[cut.down];
      for (let column = 0; column < width; column++, pixel++, at += strides[cut.across]) {
        pixels[pixel] = paint(levels[pixel], at, cut, column, row);
      }
    }
    return image;
  }

  // Lines between voxels of two kinds, of the same thickness however large the voxels are. Between the centres of four voxels,
  // they join the middles of the sides where the kind changes (marching squares).
  const SEGMENTS = [[], ["LT"], ["TR"], ["LR"], ["RB"], ["LT", "RB"], ["TB"], ["LB"], ["BL"], ["TB"], ["TR", "BL"], ["RB"], ["LR"], ["TR"], ["LT"], []];

  function linesAround(cut, index, levels) {
    const [stepX, stepY] = [spacing[cut.across], spacing[cut.down]];
    const right = strides[cut.across];
    const down = cut.down === 2 ? -strides[2] : strides[cut.down];
    const path = new Path2D();
    const ends = { L: [0, 0.5], T: [0.5, 0], R: [1, 0.5], B: [0.5, 1] };
    for (let row = 0; row + 1 < size[cut.down]; row++) {
      let at = index * strides[cut.axis] + rowIndex(cut, row) * strides[cut.down];
      for (let column = 0; column + 1 < size[cut.across]; column++, at += right) {
        const marks = [loaded.marks[at], loaded.marks[at + right], loaded.marks[at + right + down], loaded.marks[at + down]];
        if (marks.every((mark) => mark === marks[0])) continue;
        for (const isInside of levels) {
          const segments = SEGMENTS[isInside(marks[0]) + 2 * isInside(marks[1]) + 4 * isInside(marks[2]) + 8 * isInside(marks[3])];
          for (const [from, to] of segments) {
            path.moveTo((column + 0.5 + ends[from][0]) * stepX, (row + 0.5 + ends[from][1]) * stepY);
            path.lineTo((column + 0.5 + ends[to][0]) * stepX, (row + 0.5 + ends[to][1]) * stepY);
          }
        }
      }
    }
    return path;
  }

  const ofTissues = [1, 2, 3].map((tissue) => (mark) => (mark & TISSUE) >= tissue);
  const ofView = [(mark) => (mark & BEYOND) !== 0];
  const isOutlined = (mode) => mode === "outlines" || mode === "before";

  // What is seen now

  const state = {
    cursor: scene.start.map((place, axis) => nearest(axis, place)),
    mode: root.querySelector('input[name="mode"]').value,
    opacity: scene.opacity,
    zoom: 1,
    centre: null, // of the views, mm; null: of what is shown
    crosshair: true,
    border: byId("border") !== null,
    compare: false,
    active: 0, // the view that was used last
    pointer: null,
    hottest: scene.hottest.length ? 0 : -1,
  };
  const views = Array.from(root.querySelectorAll(".pane"), (pane, number) => ({
    number,
    pane,
    canvas: pane.querySelector("canvas"),
    label: pane.querySelector("output"),
    slider: pane.querySelector("input"),
    marks: Object.fromEntries(["top", "bottom", "left", "right"].map((side) => [side, pane.querySelector(`.mark.${side}`)])),
    picture: document.createElement("canvas"),
    painted: "",
    scale: 1,
  }));

  function nearest(axis, place) {
    return Math.min(size[axis] - 1, Math.max(0, Math.round((place - origin[axis]) / spacing[axis])));
  }

  const cutOf = (view) => cuts[state.compare ? state.active : view.number];
  const modeOf = (view) => (state.compare && view.number < 2 ? ["pet", "mri"][view.number] : state.mode);
  const extentOf = (axis) => size[axis] * spacing[axis];
  const middle = () => state.centre ?? [0, 1, 2].map((axis) => placeOf(axis, (size[axis] - 1) / 2));

  function layOut() {
    const shown = views.map(cutOf);
    const across = shown.reduce((sum, cut) => sum + extentOf(cut.across), 0);
    const tallest = Math.max(...shown.map((cut) => extentOf(cut.down)));
    const width = byId("panes").clientWidth - 2 * 6;
    const below = views[0].pane.querySelector(".under").offsetHeight + byId("readout").offsetHeight + 16;
    const room = window.innerHeight - (byId("panes").getBoundingClientRect().top + window.scrollY) - below;
    const height = Math.max(260, Math.min((tallest * width) / across, room));
    for (const view of views) {
      const cut = shown[view.number];
      const share = (width * extentOf(cut.across)) / across;
      view.pane.style.width = `${share}px`;
      view.canvas.style.height = `${height}px`;
      const dots = window.devicePixelRatio || 1;
      view.canvas.width = Math.round(share * dots);
      view.canvas.height = Math.round(height * dots);
      view.fit = Math.min(view.canvas.width / across, view.canvas.height / tallest);
    }
    const fit = Math.min(...views.map((view) => Math.min(view.canvas.width / extentOf(cutOf(view).across), view.canvas.height / tallest)));
    for (const view of views) view.fit = fit;
    draw();
  }

  let waiting = false;
  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      views.forEach(drawView);
      tell();
    });
  }

  function drawView(view) {
    const cut = cutOf(view);
    const index = state.cursor[cut.axis];
    const mode = modeOf(view);
    const key = [cut.name, index, mode, mode === "blend" ? state.opacity : ""].join();
    if (view.painted !== key) {
      view.picture.width = size[cut.across];
      view.picture.height = size[cut.down];
      view.picture.getContext("2d").putImageData(painted(cut, index, mode), 0, 0);
      view.painted = key;
      view.outlines = isOutlined(mode) ? linesAround(cut, index, ofTissues) : null;
      view.border = byId("border") ? linesAround(cut, index, ofView) : null;
    }
    const context = view.canvas.getContext("2d");
    const { width, height } = view.canvas;
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    view.scale = view.fit * state.zoom;
    const [left, top] = toCanvas(view, cut, [0, 1, 2].map((axis) => placeOf(axis, axis === 2 ? size[2] - 0.5 : -0.5)));
    context.drawImage(view.picture, left, top, extentOf(cut.across) * view.scale, extentOf(cut.down) * view.scale);
    if (view.outlines) drawLines(context, view, view.outlines, OUTLINE, 1.25, left, top);
    if (view.border && state.border) drawLines(context, view, view.border, BORDER, 2, left, top);
    if (state.crosshair) drawCrosshair(context, view, cut);
    describe(view, cut, index, mode);
  }

  function toCanvas(view, cut, point) {
    const centre = middle();
    const sign = cut.down === 2 ? -1 : 1;
    return [
      view.canvas.width / 2 + (point[cut.across] - centre[cut.across]) * view.scale,
      view.canvas.height / 2 + sign * (point[cut.down] - centre[cut.down]) * view.scale,
    ];
  }

  function toPoint(view, event) {
    const cut = cutOf(view);
    const box = view.canvas.getBoundingClientRect();
    const dots = view.canvas.width / box.width;
    const centre = middle();
    const sign = cut.down === 2 ? -1 : 1;
    const point = state.cursor.map((index, axis) => placeOf(axis, index));
    point[cut.across] = centre[cut.across] + ((event.clientX - box.left) * dots - view.canvas.width / 2) / view.scale;
    point[cut.down] = centre[cut.down] + (sign * ((event.clientY - box.top) * dots - view.canvas.height / 2)) / view.scale;
    return point;
  }

  function drawLines(context, view, path, color, thick, left, top) {
    context.save();
    context.setTransform(view.scale, 0, 0, view.scale, left, top);
    context.strokeStyle = color;
    context.lineWidth = (thick * (window.devicePixelRatio || 1)) / view.scale;
    context.stroke(path);
    context.restore();
  }

  function drawCrosshair(context, view, cut) {
    const [x, y] = toCanvas(view, cut, state.cursor.map((index, axis) => placeOf(axis, index)));
    const gap = 9 * (window.devicePixelRatio || 1);
    const { width, height } = view.canvas;
    for (const [color, thick] of [["rgba(0, 0, 0, 0.55)", 3], ["#ffd84d", 1]]) {
      context.strokeStyle = color;
      context.lineWidth = thick * (window.devicePixelRatio || 1);
      context.beginPath();
      for (const [x0, y0, x1, y1] of [[0, y, x - gap, y], [x + gap, y, width, y], [x, 0, x, y - gap], [x, y + gap, x, height]]) {
        context.moveTo(x0, y0);
        context.lineTo(x1, y1);
      }
      context.stroke();
    }
  }

  // Words

  function placeText(cut, place) {
    const text = `${Math.abs(place).toFixed(1)} mm`;
    const side = place > 0 ? cut.plus : cut.minus;
    return text === "0.0 mm" ? text : `${text} ${side} (${SIDES[side]})`;
  }

  function describe(view, cut, index, mode) {
    const name = cut.name[0].toUpperCase() + cut.name.slice(1);
    const text = `${placeText(cut, placeOf(cut.axis, index))}, slice ${index + 1} of ${size[cut.axis]}`;
    const picture = byId(`mode-${mode}`).nextElementSibling.textContent;
    view.label.textContent = state.compare ? `${picture}, ${cut.name}: ${text}` : `${name}: ${text}`;
    view.canvas.setAttribute("aria-label", `${name}, ${picture}, ${text}`);
    view.slider.max = size[cut.axis] - 1;
    view.slider.value = index;
    view.slider.setAttribute("aria-label", `${name} slice, from ${SIDES[cut.minus]} to ${SIDES[cut.plus]}`);
    view.slider.setAttribute("aria-valuetext", text);
    const sides = { axial: ["A", "P", "R", "L"], coronal: ["S", "I", "R", "L"], sagittal: ["S", "I", "A", "P"] }[cut.name];
    Object.values(view.marks).forEach((mark, number) => (mark.textContent = sides[number]));
  }

  function valueText(point) {
    const value = petAt(...point);
    if (Number.isNaN(value)) return "outside the field of view";
    const text = Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(3) : Number(value.toPrecision(4)).toString();
    return pet.units ? `${text} ${pet.units}` : text;
  }

  function pointText(point) {
    return [...cuts].sort((first, second) => first.axis - second.axis).map((cut) => placeText(cut, point[cut.axis]).replace(/ \(.*/, "")).join(", ");
  }

  function tell() {
    const cursor = state.cursor.map((index, axis) => placeOf(axis, index));
    byId("at-crosshair").textContent = valueText(cursor);
    byId("crosshair-place").textContent = pointText(cursor);
    byId("at-pointer").textContent = state.pointer ? valueText(state.pointer) : "move over a picture";
    byId("pointer-place").textContent = state.pointer ? pointText(state.pointer) : "";
    for (const button of hottestButtons) button.setAttribute("aria-pressed", isAt(scene.hottest[button.dataset.hottest]));
    byId("zoom").textContent = `${Math.round(state.zoom * 100)} %`;
  }

  const hottestButtons = Array.from(root.querySelectorAll("[data-hottest]"));
  const isAt = (place) => place.point.every((each, axis) => nearest(axis, each) === state.cursor[axis]);

  function drawLegend() {
    for (const each of root.querySelectorAll("[data-legend]")) each.hidden = !each.dataset.legend.split(" ").includes(state.mode);
    byId("opacity").disabled = state.mode !== "blend";
    byId("opacity-value").textContent = `${Math.round(state.opacity * 100)} %`;
  }

  // What the user does

  function moveTo(axis, index) {
    state.cursor[axis] = Math.min(size[axis] - 1, Math.max(0, index));
    draw();
  }

  function zoomTo(zoom, point = state.cursor.map((index, axis) => placeOf(axis, index))) {
    const before = state.zoom;
    state.zoom = Math.min(MOST_ZOOM, Math.max(1, zoom));
    const centre = middle(); // the point stays where it is seen
    state.centre = state.zoom === 1 ? null : centre.map((place, axis) => point[axis] + ((place - point[axis]) * before) / state.zoom);
    draw();
  }

  function choose(mode) {
    state.mode = mode;
    byId(`mode-${mode}`).checked = true;
    drawLegend();
    draw();
  }

  function setOpacity(opacity) {
    state.opacity = Math.min(1, Math.max(0, opacity));
    byId("opacity").value = Math.round(state.opacity * 100);
    drawLegend();
    draw();
  }

  function goToHottest(number) {
    if (number < 0 || number >= scene.hottest.length) return;
    state.hottest = number;
    state.cursor = scene.hottest[number].point.map((place, axis) => nearest(axis, place));
    if (state.centre) state.centre = scene.hottest[number].point.slice();
    draw();
  }

  function setCompare(on) {
    state.compare = on;
    byId("compare").checked = on;
    layOut();
  }

  const switchOf = (id, name) => () => {
    state[name] = byId(id) ? !state[name] : false;
    if (byId(id)) byId(id).checked = state[name];
    draw();
  };
  const keys = {
    "+": () => zoomTo(state.zoom * 1.25),
    "=": () => zoomTo(state.zoom * 1.25),
    "-": () => zoomTo(state.zoom / 1.25),
    0: () => zoomTo(1),
    "[": () => setOpacity(state.opacity - 0.1),
    "]": () => setOpacity(state.opacity + 0.1),
    h: () => goToHottest(scene.hottest.length ? (state.hottest + 1) % scene.hottest.length : -1),
    x: switchOf("crosshair", "crosshair"),
    b: switchOf("border", "border"),
    c: () => setCompare(!state.compare),
    PageUp: () => step(1),
    PageDown: () => step(-1),
  };
  const modes = Array.from(root.querySelectorAll('input[name="mode"]'), (input) => input.value);
  modes.forEach((mode, number) => (keys[number + 1] = () => choose(mode)));

  function step(slices) {
    const { axis } = cutOf(views[state.active]);
    moveTo(axis, state.cursor[axis] + slices);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inView = event.target.closest?.("canvas");
    if (!inView && event.target.matches?.("input[type=range], input[type=search], summary")) return;
    const cut = cutOf(views[state.active]);
    const arrows = { ArrowLeft: [cut.across, -1], ArrowRight: [cut.across, 1], ArrowUp: [cut.down, cut.down === 2 ? 1 : -1], ArrowDown: [cut.down, cut.down === 2 ? -1 : 1] };
    if (inView && arrows[event.key]) moveTo(arrows[event.key][0], state.cursor[arrows[event.key][0]] + arrows[event.key][1]);
    else if (keys[event.key] && (inView || !event.key.startsWith("Page"))) keys[event.key]();
    else return;
    event.preventDefault();
  });

  for (const view of views) {
    let wheel = 0;
    let dragged = null;
    const use = () => {
      if (!state.compare) state.active = view.number;
    };
    view.canvas.addEventListener("focus", use);
    view.canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      use();
      const moved = event.deltaMode === 1 ? event.deltaY * WHEEL : event.deltaY;
      if (event.ctrlKey) return zoomTo(state.zoom * Math.exp(-moved / 400), toPoint(view, event));
      wheel += Math.max(-WHEEL, Math.min(WHEEL, moved)); // a notch is one slice, however far it scrolls
      const slices = Math.trunc(wheel / WHEEL);
      wheel -= slices * WHEEL;
      if (slices) moveTo(cutOf(view).axis, state.cursor[cutOf(view).axis] - slices);
    }, { passive: false });
    view.canvas.addEventListener("pointerdown", (event) => {
      use();
      view.canvas.focus({ preventScroll: true });
      view.canvas.setPointerCapture(event.pointerId);
      dragged = event.button === 0 && !event.shiftKey ? "crosshair" : "picture";
      if (dragged === "crosshair") place(event);
      event.preventDefault();
    });
    view.canvas.addEventListener("pointermove", (event) => {
      if (dragged === "crosshair") place(event);
      if (dragged === "picture") pan(event);
      state.pointer = toPoint(view, event);
      draw();
    });
    const place = (event) => {
      const point = toPoint(view, event);
      const cut = cutOf(view);
      for (const axis of [cut.across, cut.down]) state.cursor[axis] = nearest(axis, point[axis]);
      draw();
    };
    const pan = (event) => {
      const cut = cutOf(view);
      const dots = window.devicePixelRatio || 1;
      const centre = middle().slice();
      centre[cut.across] -= (event.movementX * dots) / view.scale;
      centre[cut.down] -= ((cut.down === 2 ? -1 : 1) * event.movementY * dots) / view.scale;
      state.centre = centre;
    };
    view.canvas.addEventListener("pointerup", () => (dragged = null));
    view.canvas.addEventListener("pointerleave", () => {
      if (dragged) return;
      state.pointer = null;
      draw();
    });
    view.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    view.slider.addEventListener("input", () => {
      use();
      moveTo(cutOf(view).axis, Number(view.slider.value));
    });
  }
  for (const mode of modes) byId(`mode-${mode}`).addEventListener("change", () => choose(mode));
  byId("opacity").addEventListener("input", () => setOpacity(byId("opacity").value / 100));
  byId("crosshair").addEventListener("change", () => ((state.crosshair = byId("crosshair").checked), draw()));
  byId("border")?.addEventListener("change", () => ((state.border = byId("border").checked), draw()));
  byId("compare").addEventListener("change", () => setCompare(byId("compare").checked));
  byId("reset").addEventListener("click", () => zoomTo(1));
  for (const button of hottestButtons) {
    const number = Number(button.dataset.hottest);
    button.title = `${pointText(scene.hottest[number].point)}; key H: the next one`;
    button.addEventListener("click", () => goToHottest(number));
  }
  window.addEventListener("resize", layOut);

  root.hidden = false;
  byId("loading").hidden = true;
  document.body.classList.add("interactive"); // the key slices are for print then
  setOpacity(state.opacity);
  choose(state.mode); // a page that is opened again may remember another choice
  byId("crosshair").checked = true;
  setCompare(false);
})();
