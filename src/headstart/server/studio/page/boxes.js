// Boxes in an image, drawn by pointer or keyboard. They are kept in pixels of the image.
import { byId, element } from "../../page/dom.js";
import { answered, pathOf } from "./project.js";

const SVG = "http://www.w3.org/2000/svg";
const STEP = 0.01; // Of the image's side, for each press of an arrow.
const LEAST = 4; // Pixels of the screen; what is smaller was a click.
const PAUSE = 400; // Milliseconds without a further key, after which moves are one act.
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Boxes {
  constructor(project, svg) {
    Object.assign(this, { project, svg, name: null, selected: -1, size: null, draft: null });
    svg.addEventListener("pointerdown", (event) => this.press(event));
    byId("box-class").addEventListener("change", () => this.relabel());
  }

  async open(name) {
    this.sendDraft();
    Object.assign(this, { name, selected: -1, size: null });
    this.svg.toggleAttribute("hidden", true);
    byId("drawn").hidden = !name;
    if (!name) return;
    const size = await answered(await fetch(`studio/sizes/${pathOf(name)}`)).catch(() => null);
    if (!size || name !== this.name) return;
    this.size = size;
    this.svg.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    this.svg.toggleAttribute("hidden", false);
    this.show();
  }

  // Those that are shown: not all of them have reached the server.
  get boxes() {
    return this.draft ?? this.project.items.get(this.name)?.boxes ?? [];
  }

  show() {
    if (!this.size) return;
    const { classes } = this.project;
    const select = byId("box-class");
    if ([...select.options].map(({ value }) => value).join("\n") !== classes.join("\n")) {
      const chosen = select.value;
      select.replaceChildren(...classes.map((name) => element("option", { value: name }, name)));
      if (classes.includes(chosen)) select.value = chosen;
    }
    this.svg.replaceChildren(...this.boxes.flatMap((box, index) => this.shape(box, index)));
  }

  shape(box, index) {
    const rect = document.createElementNS(SVG, "rect");
    const text = document.createElementNS(SVG, "text");
    place(rect, box);
    rect.dataset.index = index;
    rect.classList.toggle("chosen", index === this.selected);
    const height = this.size.height / 28;
    text.setAttribute("x", box.x1 + height / 4);
    text.setAttribute("y", Math.max(box.y1 - height / 4, height));
    text.setAttribute("font-size", height);
    text.textContent = box.label;
    return [rect, text];
  }

  // Shows boxes at once and sends them, one list after the other.
  change(boxes) {
    clearTimeout(this.timer);
    const { name } = this;
    this.draft = boxes;
    this.show();
    this.project.inTurn(async () => {
      await this.project.act({ act: "draw", image: name, boxes });
      if (this.draft === boxes) this.draft = null;
      this.show();
    });
  }

  // Shows boxes, and sends them after a while without further changes.
  changeSoon(boxes) {
    clearTimeout(this.timer);
    this.draft = boxes;
    this.show();
    this.timer = setTimeout(() => this.change(boxes), PAUSE);
  }

  sendDraft() {
    if (this.name && this.draft) this.change(this.draft);
    this.draft = null;
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const { width, height } = this.size;
    const inside = (value, most) => Math.round(10 * Math.max(0, Math.min(most, value))) / 10;
    return {
      x: inside(((event.clientX - box.left) / box.width) * width, width),
      y: inside(((event.clientY - box.top) / box.height) * height, height),
    };
  }

  press(event) {
    if (event.button || !this.size) return;
    const start = this.point(event);
    const on = event.target.dataset.index;
    const band = document.createElementNS(SVG, "rect");
    band.classList.add("drawing");
    this.svg.append(band);
    const ends = new AbortController();
    const corners = (end) => ({
      x1: Math.min(start.x, end.x),
      y1: Math.min(start.y, end.y),
      x2: Math.max(start.x, end.x),
      y2: Math.max(start.y, end.y),
    });
    const end = (released) => {
      ends.abort();
      band.remove();
      if (released.type === "pointercancel") return;
      const [x, y] = [released.clientX - event.clientX, released.clientY - event.clientY];
      if (Math.min(Math.abs(x), Math.abs(y)) >= LEAST) this.add(corners(this.point(released)));
      else {
        this.selected = on === undefined ? -1 : Number(on);
        this.show();
      }
    };
    document.addEventListener("pointermove", (moved) => place(band, corners(this.point(moved))), ends);
    document.addEventListener("pointerup", end, ends);
    document.addEventListener("pointercancel", end, ends);
    event.preventDefault();
  }

  add(corners) {
    const label = byId("box-class").value;
    if (!label) return this.project.complain("Add a class first: each box has one.");
    this.selected = this.boxes.length;
    this.change([...this.boxes, { ...corners, label }]);
  }

  // Gives the selected box the class that is chosen.
  relabel() {
    if (this.boxes[this.selected]) this.change(this.with({ label: byId("box-class").value }));
  }

  // The boxes, of which the selected one has other values.
  with(values) {
    return this.boxes.map((box, index) => (index === this.selected ? { ...box, ...values } : box));
  }

  // Returns whether the key was one of these.
  key(event) {
    if (!this.size) return false;
    const { boxes, selected, size, project } = this;
    const box = boxes[selected];
    const key = event.key.toLowerCase();
    if (/^[1-9]$/.test(key) && project.classes[key - 1]) {
      byId("box-class").value = project.classes[key - 1];
      this.relabel();
    } else if (key === "b") {
      const { width, height } = size;
      this.add({ x1: width / 4, y1: height / 4, x2: (3 * width) / 4, y2: (3 * height) / 4 });
    } else if (key === "n" && !boxes.length) this.change([]);
    else if (key === "s" && boxes.length) {
      this.selected = (selected + 1) % boxes.length;
      this.show();
    } else if ((key === "delete" || key === "backspace") && box) {
      this.selected = -1;
      this.change(boxes.filter((each) => each !== box));
    } else if (box && event.key in ARROWS) this.move(box, ARROWS[event.key], event.shiftKey);
    else return false;
    return true;
  }

  // Moves a box, or its lower right corner, but not out of the image.
  move(box, [right, down], resizes) {
    const { width, height } = this.size;
    const inside = (value, least, most) => Math.min(most, Math.max(least, value));
    const [x, y] = [right * STEP * width, down * STEP * height];
    if (resizes) {
      const x2 = inside(box.x2 + x, box.x1 + STEP * width, width);
      const y2 = inside(box.y2 + y, box.y1 + STEP * height, height);
      return this.changeSoon(this.with({ x2, y2 }));
    }
    const [x1, y1] = [inside(box.x1 + x, 0, width - box.x2 + box.x1), inside(box.y1 + y, 0, height - box.y2 + box.y1)];
    return this.changeSoon(this.with({ x1, y1, x2: x1 + box.x2 - box.x1, y2: y1 + box.y2 - box.y1 }));
  }
}

function place(rect, { x1, y1, x2, y2 }) {
  const values = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
  for (const [name, value] of Object.entries(values)) rect.setAttribute(name, value);
}
