// Boxes in an image, drawn by pointer or keyboard. They are kept in pixels of the image.
import { pathOf, answered } from "./project.js";

const SVG = "http://www.w3.org/2000/svg";
const STEP = 0.01; // Of the image's side, for each press of an arrow.
const LEAST = 3; // Pixels; what is smaller was a click.

export class Boxes {
  constructor(project, svg) {
    Object.assign(this, { project, svg, name: null, chosen: 0, selected: -1, size: null });
    svg.addEventListener("pointerdown", (event) => this.press(event));
  }

  async open(name) {
    Object.assign(this, { name, selected: -1, size: null });
    this.svg.toggleAttribute("hidden", true);
    if (!name) return;
    const size = await answered(await fetch(`studio/sizes/${pathOf(name)}`)).catch(() => null);
    if (!size || name !== this.name) return;
    this.size = size;
    this.svg.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    this.svg.toggleAttribute("hidden", false);
    this.show();
  }

  get boxes() {
    return this.project.items.get(this.name)?.boxes ?? [];
  }

  show() {
    if (!this.size) return;
    this.svg.replaceChildren(...this.boxes.flatMap((box, index) => this.shape(box, index)));
  }

  shape(box, index) {
    const rect = document.createElementNS(SVG, "rect");
    const text = document.createElementNS(SVG, "text");
    const values = { x: box.x1, y: box.y1, width: box.x2 - box.x1, height: box.y2 - box.y1 };
    for (const [name, value] of Object.entries(values)) rect.setAttribute(name, value);
    rect.dataset.index = index;
    rect.classList.toggle("chosen", index === this.selected);
    const height = this.size.height / 28;
    text.setAttribute("x", box.x1 + height / 4);
    text.setAttribute("y", Math.max(box.y1 - height / 4, height));
    text.setAttribute("font-size", height);
    text.textContent = box.label;
    return [rect, text];
  }

  // Sends the boxes; the answer shows them.
  async send(boxes) {
    await this.project.act({ act: "draw", image: this.name, boxes });
  }

  get label() {
    return this.project.classes[this.chosen] ?? this.project.classes[0];
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
    const corners = (end) => ({
      x1: Math.min(start.x, end.x),
      y1: Math.min(start.y, end.y),
      x2: Math.max(start.x, end.x),
      y2: Math.max(start.y, end.y),
    });
    const move = (moved) => {
      const { x1, y1, x2, y2 } = corners(this.point(moved));
      for (const [name, value] of [["x", x1], ["y", y1], ["width", x2 - x1], ["height", y2 - y1]]) band.setAttribute(name, value);
    };
    const end = (released) => {
      document.removeEventListener("pointermove", move);
      band.remove();
      const drawn = corners(this.point(released));
      if (Math.min(drawn.x2 - drawn.x1, drawn.y2 - drawn.y1) < LEAST) {
        this.selected = on === undefined ? -1 : Number(on);
        this.show();
      } else this.add(drawn);
    };
    document.addEventListener("pointermove", move);
    document.addEventListener("pointerup", end, { once: true });
    event.preventDefault();
  }

  add(corners) {
    if (!this.label) return this.project.complain("Add a class first: each box has one.");
    this.selected = this.boxes.length;
    this.send([...this.boxes, { ...corners, label: this.label }]);
  }

  // Returns whether the key was one of these.
  key(event) {
    if (!this.size) return false;
    const { boxes, selected, size } = this;
    const box = boxes[selected];
    const [right, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
    const change = (changed) => this.send(boxes.map((each, index) => (index === selected ? { ...each, ...changed } : each)));
    if (/^[1-9]$/.test(event.key) && this.project.classes[event.key - 1]) {
      this.chosen = event.key - 1;
      if (box) change({ label: this.label });
    } else if (event.key.toLowerCase() === "b") {
      const { width, height } = size;
      this.add({ x1: width / 4, y1: height / 4, x2: (3 * width) / 4, y2: (3 * height) / 4 });
    } else if (event.key.toLowerCase() === "n" && !boxes.length) this.send([]);
    else if (event.key.toLowerCase() === "s" && boxes.length) {
      this.selected = (selected + (event.shiftKey ? boxes.length - 1 : 1)) % boxes.length;
      this.show();
    } else if ((event.key === "Delete" || event.key === "Backspace") && box) {
      this.selected = -1;
      this.send(boxes.filter((each) => each !== box));
    } else if (box && right !== undefined) {
      const [x, y] = [right * STEP * size.width, down * STEP * size.height];
      const x2 = Math.min(size.width, Math.max(box.x1 + LEAST, box.x2 + x));
      const y2 = Math.min(size.height, Math.max(box.y1 + LEAST, box.y2 + y));
      if (event.shiftKey) change({ x2, y2 });
      else if (box.x1 + x >= 0 && box.x2 + x <= size.width && box.y1 + y >= 0 && box.y2 + y <= size.height)
        change({ x1: box.x1 + x, y1: box.y1 + y, x2: box.x2 + x, y2: box.y2 + y });
    } else return false;
    return true;
  }
}
