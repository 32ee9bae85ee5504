"use strict";
// Every number is in the page already. What a step shows is all that the steps up to it have
// brought: values in the forward sweep, sums of shares in the reverse sweep.

const { items, steps } = JSON.parse(document.getElementById("data").textContent);
const PHASES = {
  start: "Start.", forward: "Forward sweep.", turn: "Turning point.",
  reverse: "Reverse sweep.", end: "End.",
};
const PACE = 1000; // milliseconds a step, while playing

const byId = id => document.getElementById(id);
const all = selector => [...document.querySelectorAll(selector)];
const rows = all("#entries tbody tr");
const lines = all("#code li:not(.file)");
const svg = document.querySelector("#canvas svg");

let at = 0; // the step shown
let timer = null; // runs while playing

function element(tag, text = "", look = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = look;
  return made;
}

// A box of one entry, n17, or its oval, n17op; others stand for lines or functions.
function isOwn(box) {
  return /^n/.test(box);
}

function isOval(box) {
  return /op$/.test(box.dataset.box);
}

// The items of each box, the boxes of each item, and the arrows that lead into each item.

const itemsOf = new Map();
items.forEach((item, index) => item.boxes.forEach(box => {
  itemsOf.set(box, [...(itemsOf.get(box) ?? []), index]);
}));
const drawn = new Map(items.map((_, index) => [index, []]));
for (const box of all("[data-box]"))
  for (const index of itemsOf.get(box.dataset.box) ?? []) drawn.get(index).push(box);
const arrows = new Map(items.map((_, index) => [index, []]));
const arrowsInto = new Map(); // by the box that they lead into
for (const arrow of all("[data-ends]")) {
  const head = arrow.dataset.ends.split("->")[1];
  arrowsInto.set(head, [...(arrowsInto.get(head) ?? []), arrow]);
  if (isOwn(head))
    for (const index of itemsOf.get(head) ?? []) arrows.get(index).push(arrow);
}
// Boxes that stand for several items, and show nothing before all of these have come.
const groups = all("[data-box]").filter(box => !isOwn(box.dataset.box));

// What has happened.

const visits = items.map(() => []);
steps.forEach(({ item }, index) => item !== null && visits[item].push(index));

function happened() {
  const arrived = new Set();
  const bars = new Map();
  for (const { phase, item, updates } of steps.slice(0, at + 1)) {
    if (phase === "forward") arrived.add(item);
    for (const { to, after } of updates) bars.set(to, after);
  }
  return { arrived, bars };
}

const shown = []; // what each item shows; most stay as they are from step to step

function showItem(index, arrived, bar) {
  const now = `${arrived} ${bar?.exact}`;
  if (shown[index] === now) return;
  shown[index] = now;
  const row = rows[index];
  row.classList.toggle("ahead", !arrived);
  const cell = row.querySelector(".bar");
  cell.textContent = bar?.short ?? "";
  cell.title = bar?.exact ?? "";
  for (const arrow of arrows.get(index)) arrow.classList.toggle("ahead", !arrived);
  for (const box of drawn.get(index).filter(box => isOwn(box.dataset.box))) {
    box.classList.toggle("ahead", !arrived);
    box.classList.toggle("unswept", !bar);
    const sum = bar?.short.replace(/^\[[^\]]*\] /, ""); // the box has the shape of an array already
    for (const text of box.querySelectorAll("text.bar")) text.textContent = bar ? `grad ${sum}` : "";
  }
}

function showGroup(box, arrived, bars) {
  const indices = itemsOf.get(box.dataset.box) ?? [];
  const isAhead = indices.some(index => !arrived.has(index));
  box.classList.toggle("ahead", isAhead);
  box.classList.toggle("unswept", indices.some(index => items[index].cotangent && !bars.has(index)));
  for (const arrow of arrowsInto.get(box.dataset.box) ?? []) arrow.classList.toggle("ahead", isAhead);
}

// Marks for the item of the step, and for the one clicked on.

function mark(name, indices) {
  for (const marked of all(`.${name}`)) marked.classList.remove(name);
  for (const index of indices) {
    for (const part of [rows[index], lines[items[index].line], ...drawn.get(index)])
      part?.classList.add(name);
    if (name === "now") for (const arrow of arrows.get(index)) arrow.classList.add(name);
  }
}

function reveal(index) {
  rows[index].scrollIntoView({ block: "nearest" });
  lines[items[index].line]?.scrollIntoView({ block: "nearest" });
  const own = drawn.get(index);
  const values = indices => indices.flatMap(at => drawn.get(at).filter(box => !isOval(box)));
  const read = [...own, ...values(items[index].operands)];
  if (own.length) follow([...read, ...values(items[index].users)], read, own, own.slice(0, 1));
}

function show(step) {
  at = Math.max(0, Math.min(step, steps.length - 1));
  const { phase, item, text, updates } = steps[at];
  const { arrived, bars } = happened();
  items.forEach((_, index) => showItem(index, arrived.has(index), bars.get(index)));
  for (const box of groups) showGroup(box, arrived, bars);
  mark("now", item === null ? [] : [item]);
  byId("slider").value = at;
  byId("count").value = `step ${at} of ${steps.length - 1}`;
  byId("phase").textContent = PHASES[phase];
  byId("text").textContent = `${text}.`;
  showShares(item, updates);
  inspect(item);
  if (item !== null) reveal(item);
}

// The arithmetic of a reverse step, a line for each operand.

function showShares(from, updates) {
  byId("shares").hidden = updates.length === 0;
  byId("shares").classList.toggle("sums", !updates.some(({ partial }) => partial));
  const bar = from === null ? null : items[from].cotangent;
  byId("shares").tBodies[0].replaceChildren(...updates.map(update => shareRow(update, bar)));
}

function shareRow({ to, rule, partial, share, before, after }, bar) {
  const row = element("tr");
  const number = given => {
    const cell = element("td", given?.short ?? "", "number");
    cell.title = given?.exact ?? "";
    return cell;
  };
  const name = element("th");
  name.append(link(to));
  const [factor, how] = [number(partial), element("code", rule)];
  if (rule && rule !== partial.short) factor.prepend(how, " = ");
  row.append(
    name, number(partial && bar), element("td", "×"), factor, element("td", "="), number(share),
    before || !partial ? number(before) : element("td", "nothing"), number(after),
  );
  return row;
}

// One item: its facts, and the way to its neighbours.

function link(index) {
  const { name, label } = items[index];
  const button = element("button", label ? `${name} ${label}` : name);
  button.type = "button";
  button.addEventListener("click", () => inspect(index, true));
  return button;
}

function facts(index) {
  const { name, label, text, doc, value, where, scope, line } = items[index];
  const { arrived, bars } = happened();
  const source = line < 0 ? "" : lines[line].querySelector("code").textContent.trim();
  const list = element("dl");
  const fact = (term, text) => text && list.append(element("dt", term), element("dd", text));
  list.append(element("dt", name), element("dd", label ? `${label} = ${text}` : text, "formula"));
  fact("rule", doc);
  fact("value", arrived.has(index) ? value.exact : "not yet");
  fact("cotangent", bars.get(index)?.exact ?? "none so far");
  fact("scope", scope);
  fact("line", where);
  if (source) list.append(element("dt", "source"), element("dd", source, "formula"));
  return list;
}

const SHOWN = 40;

function links(place, indices) {
  const rest = indices.length - SHOWN;
  byId(place).replaceChildren(...indices.slice(0, SHOWN).map(link));
  if (rest > 0) byId(place).append(` and ${rest} more`);
  if (indices.length === 0) byId(place).append("none");
}

function inspect(index, isChosen = false) {
  byId("entry").classList.toggle("empty", index === null);
  mark("chosen", isChosen ? [index] : []);
  if (index === null) return;
  byId("card").replaceChildren(facts(index));
  links("operands", items[index].operands);
  links("users", items[index].users);
  byId("visits").replaceChildren(...visits[index].map(step => {
    const button = element("button", `${steps[step].phase}, step ${step}`);
    button.type = "button";
    button.addEventListener("click", () => show(step));
    return button;
  }));
  if (isChosen) reveal(index);
}

// The picture: dragged and zoomed by its view box.

const READABLE = 0.8; // below this scale letters are too small to begin with
const MARGIN = 12; // between what is followed and the edge, in pixels
const view = svg?.viewBox.baseVal;
const whole = view && { x: view.x, y: view.y, width: view.width, height: view.height };

function look(x, y, width, height) {
  svg.setAttribute("viewBox", [x, y, width, height].join(" "));
}

function fit() {
  look(whole.x, whole.y, whole.width, whole.height);
}

function toPicture(x, y) {
  return new DOMPoint(x, y).matrixTransform(svg.getScreenCTM().inverse());
}

function zoom(factor, point) {
  const pane = svg.getBoundingClientRect();
  point ??= toPicture(pane.x + pane.width / 2, pane.y + pane.height / 2);
  look(
    point.x + (view.x - point.x) / factor, point.y + (view.y - point.y) / factor,
    view.width / factor, view.height / factor,
  );
}

// The whole picture, or the beginning of one that would be too small to read.
function begin() {
  fit();
  if (svg.getScreenCTM().a >= READABLE) return;
  const pane = svg.getBoundingClientRect();
  const [width, height] = [pane.width / READABLE, pane.height / READABLE];
  const start = (from, length, seen) => length > seen ? from : from + (length - seen) / 2;
  look(start(whole.x, whole.width, width), start(whole.y, whole.height, height), width, height);
}

// Bring boxes into view: an item with all that it reads and that reads it, or as many as fit.
function follow(boxes, ...fewer) {
  const pane = svg.getBoundingClientRect();
  const parts = boxes.map(box => box.getBoundingClientRect());
  const left = Math.min(...parts.map(part => part.left)) - MARGIN;
  const right = Math.max(...parts.map(part => part.right)) + MARGIN;
  const top = Math.min(...parts.map(part => part.top)) - MARGIN;
  const bottom = Math.max(...parts.map(part => part.bottom)) + MARGIN;
  if (left >= pane.left && right <= pane.right && top >= pane.top && bottom <= pane.bottom) return;
  const fits = right - left <= pane.width && bottom - top <= pane.height;
  if (!fits && fewer.length) return follow(...fewer);
  const middle = toPicture((left + right) / 2, (top + bottom) / 2);
  look(middle.x - view.width / 2, middle.y - view.height / 2, view.width, view.height);
}

function startPicture() {
  byId("in").addEventListener("click", () => zoom(1.4));
  byId("out").addEventListener("click", () => zoom(1 / 1.4));
  byId("fit").addEventListener("click", fit);
  svg.addEventListener("wheel", event => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), toPicture(event.clientX, event.clientY));
  });
  svg.addEventListener("pointermove", event => {
    if (event.buttons !== 1) return;
    svg.setPointerCapture(event.pointerId);
    const scale = svg.getScreenCTM().a;
    look(view.x - event.movementX / scale, view.y - event.movementY / scale, view.width, view.height);
  });
  begin();
}

// What is under the pointer.

function itemAt(target) {
  const box = target.closest("[data-box]")?.dataset.box;
  if (box) return itemsOf.get(box)?.[0] ?? null;
  const row = rows.indexOf(target.closest("tbody tr"));
  if (row >= 0) return row;
  const line = lines.indexOf(target.closest("#code li"));
  const found = line < 0 ? -1 : items.findIndex(item => item.line === line);
  return found < 0 ? null : found;
}

function hover(event) {
  const index = itemAt(event.target);
  const card = byId("hover");
  card.hidden = index === null;
  if (index === null) return;
  card.replaceChildren(facts(index));
  const [right, bottom] = [innerWidth - card.offsetWidth, innerHeight - card.offsetHeight];
  const above = Math.max(0, event.clientY - card.offsetHeight - 12);
  card.style.left = `${Math.max(0, Math.min(event.clientX + 16, right))}px`;
  card.style.top = `${event.clientY + 20 > bottom ? above : event.clientY + 20}px`;
}

// Steps, by buttons, slider and keys.

function play() {
  if (timer !== null) return pause();
  if (at === steps.length - 1) show(0);
  byId("play").textContent = "Pause";
  timer = setInterval(() => {
    show(at + 1);
    if (at === steps.length - 1) pause();
  }, PACE);
}

function pause() {
  clearInterval(timer);
  timer = null;
  byId("play").textContent = "Play";
}

const moves = {
  first: () => show(0), back: () => show(at - 1), next: () => show(at + 1),
  last: () => show(steps.length - 1), play,
};
const keys = {
  Home: "first", ArrowLeft: "back", ArrowRight: "next", End: "last", " ": "play",
};

function press(event) {
  const isButton = event.target.closest("button") !== null;
  if (event.ctrlKey || event.altKey || event.metaKey || (event.key === " " && isButton)) return;
  if (svg && event.key === "+") zoom(1.4);
  else if (svg && event.key === "-") zoom(1 / 1.4);
  else if (svg && event.key === "0") fit();
  else if (event.key in keys) move(keys[event.key]);
  else return;
  event.preventDefault();
}

function move(name) {
  if (name !== "play") pause();
  moves[name]();
}

for (const name of Object.keys(moves)) byId(name).addEventListener("click", () => move(name));
byId("slider").addEventListener("input", event => { pause(); show(Number(event.target.value)); });
document.addEventListener("keydown", press);
for (const part of all("#code, #entries, #canvas")) {
  part.addEventListener("mousemove", hover);
  part.addEventListener("mouseleave", () => { byId("hover").hidden = true; });
  part.addEventListener("click", event => {
    const index = itemAt(event.target);
    if (index !== null) inspect(index, true);
  });
}
document.body.classList.add("live");
if (svg) startPicture();
show(0);
