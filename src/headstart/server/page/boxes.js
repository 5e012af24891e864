// What a detector found: boxes over the picture, and the same boxes as a list.
import { byId, element, say } from "./dom.js";
import { count, percent } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
// Classes beyond these have the colours of the first ones again: a colour only helps to tell apart.
const HUES = 8;
const LISTED = 12;
// The space that a label needs to be inside a box without hiding what the box is around.
const ROOM = 3;

let answered = null;
let found = []; // The most probable first.
let pinned = null;
let lit = null;

function drawn(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// Shows the boxes of an answer, or none.
export function showBoxes(answer, model) {
  if (answer === answered) return;
  [answered, pinned, lit] = [answer, null, null];
  found = (answer?.boxes ?? []).map((one) => makeBox(one, model.classes));
  const overlay = byId("boxes");
  overlay.classList.remove("lit");
  // The most probable are on top.
  overlay.querySelector("svg").replaceChildren(...found.map(({ mark }) => mark).reverse());
  for (const tag of overlay.querySelectorAll(".tag")) tag.remove();
  overlay.append(...found.map(({ tag }) => tag).reverse());
  showList();
  place();
}

function makeBox({ label, probability, box }, classes) {
  const hue = `hue-${Math.max(0, classes.indexOf(label)) % HUES}`;
  const mark = drawn("g", { class: hue });
  mark.append(drawn("rect", { class: "halo" }), drawn("rect", { class: "line" }));
  const said = () => [element("bdi", {}, label), element("b", {}, percent(probability))];
  const item = element(
    "button",
    { type: "button", class: `object ${hue}`, "aria-pressed": "false" },
    element("span", { class: "swatch", "aria-hidden": "true" }),
    ...said(),
    element("small", {}, measured(box)),
  );
  const one = { box, mark, tag: element("span", { class: `tag ${hue}` }, ...said()), item };
  for (const begins of ["pointerenter", "focus"]) item.addEventListener(begins, () => light(one));
  for (const ends of ["pointerleave", "blur"]) item.addEventListener(ends, () => light(pinned));
  item.addEventListener("click", () => {
    pin(one);
    document.querySelector(".frame").scrollIntoView({ block: "nearest" });
  });
  return one;
}

function measured([x1, y1, x2, y2]) {
  const [left, top, width, height] = [x1, y1, x2 - x1, y2 - y1].map(Math.round);
  return `${width} × ${height} at ${left}, ${top}`;
}

function showList() {
  byId("objects").hidden = !found.length;
  const items = found.map(({ item }) => {
    const row = element("li");
    row.append(item);
    return row;
  });
  byId("found").replaceChildren(...items.slice(0, LISTED));
  const [more, rest] = [byId("more-found"), items.slice(LISTED)];
  more.hidden = !rest.length;
  more.open = false;
  more.querySelector("summary").textContent = count(rest.length, "more object");
  more.querySelector("ol").replaceChildren(...rest);
  more.querySelector("ol").start = LISTED + 1;
}

// Where the picture is within its frame: it is as large as fits.
function area() {
  const picture = byId("picture");
  const { naturalWidth: width, naturalHeight: height } = picture;
  const scale = Math.min(picture.clientWidth / width, picture.clientHeight / height);
  return {
    scale,
    left: picture.offsetLeft + (picture.clientWidth - scale * width) / 2,
    top: picture.offsetTop + (picture.clientHeight - scale * height) / 2,
  };
}

function place() {
  const [overlay, picture] = [byId("boxes"), byId("picture")];
  const ready = !picture.hidden && picture.complete && picture.naturalWidth;
  overlay.hidden = !found.length || !ready;
  say(byId("covered"), "");
  if (overlay.hidden) return;
  const { scale, left, top } = area();
  for (const one of found) {
    const [x1, y1, x2, y2] = one.box.map((value) => scale * value);
    one.edges = { x1: left + x1, y1: top + y1, x2: left + x2, y2: top + y2 };
    for (const rect of one.mark.children) {
      const values = { x: left + x1, y: top + y1, width: x2 - x1, height: y2 - y1 };
      for (const [name, value] of Object.entries(values)) rect.setAttribute(name, value.toFixed(2));
    }
  }
  placeTags(overlay.clientWidth, overlay.clientHeight);
}

// Labels do not cover each other: the more probable one has the place.
function placeTags(width, height) {
  const sizes = found.map(({ tag }) => [tag.offsetWidth, tag.offsetHeight]);
  const taken = [];
  for (const [number, { tag, edges }] of found.entries()) {
    const [across, down] = sizes[number];
    const places = placesOf(edges, across, down, width, height);
    const free = places.find((one) => !taken.some((other) => touch(one, other)));
    tag.classList.toggle("covered", !free);
    const [x, y] = free ?? places[0];
    tag.style.left = `${x}px`;
    tag.style.top = `${y}px`;
    if (free) taken.push(free);
  }
  const text =
    "Labels that would cover others are left out. Point at a box, or at its line in the list, to see its label.";
  say(byId("covered"), taken.length < found.length && text);
}

// The places for a label, the best first, each [left, top, right, bottom].
function placesOf({ x1, y1, x2, y2 }, across, down, width, height) {
  const lefts = [x1 - 2, x2 - across + 2];
  const inside = y2 - y1 >= ROOM * down && x2 - x1 >= across ? [y1 + 2, y2 - down - 2] : [];
  const tops = [y1 - down, y2, ...inside].filter((y) => y >= 0 && y + down <= height);
  if (!tops.length) tops.push(Math.max(0, Math.min(y1, height - down)));
  return tops.flatMap((y) =>
    lefts.map((left) => {
      const x = Math.max(0, Math.min(left, width - across));
      return [x, y, x + across, y + down];
    }),
  );
}

const touch = (one, other) =>
  one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];

// Highlights a box and its line in the list, or none.
function light(one) {
  if (one === lit) return;
  lit = one;
  byId("boxes").classList.toggle("lit", Boolean(one));
  for (const each of found) {
    for (const part of [each.mark, each.tag, each.item])
      part.classList.toggle("lit", each === one);
  }
  if (one) byId("boxes").querySelector("svg").append(one.mark);
}

// A second time, it is let go.
function pin(one) {
  pinned = one === pinned ? null : one;
  for (const each of found) each.item.setAttribute("aria-pressed", String(each === pinned));
  light(pinned);
}

// The smallest box under the pointer, as a large one is often around others.
function under({ clientX, clientY }) {
  const { left, top } = byId("boxes").getBoundingClientRect();
  const [x, y] = [clientX - left, clientY - top];
  const size = ({ edges: { x1, y1, x2, y2 } }) => (x2 - x1) * (y2 - y1);
  return found
    .filter(({ edges: { x1, y1, x2, y2 } }) => x1 <= x && x <= x2 && y1 <= y && y <= y2)
    .reduce((least, one) => (least && size(least) <= size(one) ? least : one), null);
}

export function watchBoxes() {
  const [frame, picture] = [document.querySelector(".frame"), byId("picture")];
  for (const changed of ["load", "error"]) picture.addEventListener(changed, place);
  new ResizeObserver(place).observe(picture);
  const shown = () => !byId("boxes").hidden;
  frame.addEventListener("pointermove", (event) => shown() && light(under(event) ?? pinned));
  frame.addEventListener("pointerleave", () => light(pinned));
  frame.addEventListener("click", (event) => shown() && pin(under(event) ?? pinned));
}

