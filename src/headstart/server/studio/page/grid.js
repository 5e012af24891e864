// A grid of many images, of which only those in sight are elements.
import { element } from "../../page/dom.js";
import { nameOf, pathOf } from "./project.js";

const SIDE = 132;
const GAP = 8;
const CAPTION = 40;
const ROW = SIDE + CAPTION + GAP;
const MARGIN = 2; // Rows above and below those in sight.

export class Grid {
  // describe(name) gives { label, guess, problem, dropped, note }; changed() is called with a selection.
  constructor(box, { describe, changed, open }) {
    Object.assign(this, { box, describe, changed, open });
    this.names = [];
    this.selected = new Set();
    this.focused = 0;
    this.anchor = 0;
    this.cells = new Map();
    this.space = box.appendChild(element("div", { class: "space", role: "presentation" }));
    this.band = element("div", { class: "band", hidden: "" });
    box.append(this.band);
    box.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(box);
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("pointerdown", (event) => this.press(event));
    box.addEventListener("dblclick", (event) => {
      const cell = event.target.closest("[data-index]");
      if (cell) this.open(this.names[Number(cell.dataset.index)]);
    });
  }

  get columns() {
    return Math.max(1, Math.floor((this.box.clientWidth + GAP) / (SIDE + GAP)));
  }

  // If `advance`, and what was selected is gone, the next image is selected, ready for its label.
  show(names, { advance = false } = {}) {
    this.names = names;
    const there = new Set(names);
    const left = [...this.selected].filter((name) => there.has(name));
    this.focused = Math.min(this.focused, Math.max(0, names.length - 1));
    const next = advance && this.selected.size && names.length ? [names[this.focused]] : [];
    this.selected = new Set(left.length ? left : next);
    if (this.selected.size === 1) this.focused = this.anchor = names.indexOf([...this.selected][0]);
    this.draw();
    this.changed(this.selected);
  }

  // Begins at the top, with nothing selected.
  reset() {
    this.selected = new Set();
    this.focused = this.anchor = this.box.scrollTop = 0;
  }

  draw() {
    const { columns, box } = this;
    this.space.style.height = `${Math.ceil(this.names.length / columns) * ROW}px`;
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - MARGIN) * columns;
    const rows = Math.ceil(box.clientHeight / ROW) + 2 * MARGIN + 1;
    const shown = new Map();
    for (let index = first; index < Math.min(this.names.length, first + rows * columns); index += 1) {
      const name = this.names[index];
      const cell = this.cells.get(name) ?? this.cell(name);
      cell.dataset.index = index;
      cell.id = `cell-${index}`;
      cell.style.transform = `translate(${(index % columns) * (SIDE + GAP)}px, ${Math.floor(index / columns) * ROW}px)`;
      this.write(cell, name, index);
      shown.set(name, cell);
    }
    for (const [name, cell] of this.cells) if (!shown.has(name)) cell.remove();
    for (const cell of shown.values()) if (!cell.isConnected) this.space.append(cell);
    this.cells = shown;
    if (this.names.length) box.setAttribute("aria-activedescendant", `cell-${this.focused}`);
    else box.removeAttribute("aria-activedescendant");
  }

  cell(name) {
    const source = `studio/thumbnails/${pathOf(name)}`;
    const image = element("img", { alt: "", loading: "lazy", decoding: "async", src: source });
    image.addEventListener("error", () => image.remove(), { once: true });
    const caption = element("span", { class: "caption" });
    return element("div", { class: "cell", role: "option" }, image, caption);
  }

  write(cell, name, index) {
    const { label, guess, problem, dropped, note } = this.describe(name);
    const guessed = guess && `${guess[0].join(", ") || "none"}? ${Math.round(100 * guess[1])}%`;
    const text = problem ?? note ?? label ?? guessed ?? "";
    if (cell.lastChild.textContent !== text) cell.lastChild.textContent = text;
    cell.title = nameOf(name);
    cell.setAttribute("aria-label", `${nameOf(name)}${text ? `, ${text}` : ", no label"}`);
    cell.setAttribute("aria-selected", this.selected.has(name));
    cell.classList.toggle("guessed", !label && !problem);
    cell.classList.toggle("dropped", dropped);
    cell.classList.toggle("focused", index === this.focused);
  }

  select(names) {
    this.selected = new Set(names);
    this.draw();
    this.changed(this.selected);
  }

  range(from, to) {
    return this.names.slice(Math.min(from, to), Math.max(from, to) + 1);
  }

  focus(index, { extend = false } = {}) {
    if (!this.names.length) return;
    this.focused = Math.max(0, Math.min(this.names.length - 1, index));
    if (!extend) this.anchor = this.focused;
    const top = Math.floor(this.focused / this.columns) * ROW;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    const bottom = top + ROW - this.box.clientHeight;
    if (bottom > this.box.scrollTop) this.box.scrollTop = bottom;
    this.select(this.range(this.anchor, this.focused));
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW));
    const steps = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -this.columns,
      ArrowDown: this.columns,
      PageUp: -page * this.columns,
      PageDown: page * this.columns,
      Home: -this.names.length,
      End: this.names.length,
    };
    if (event.key in steps) {
      const first = !this.selected.size && event.key.startsWith("Arrow");
      this.focus(first ? this.focused : this.focused + steps[event.key], { extend: event.shiftKey });
    } else if (event.key === " " && this.names.length) this.toggle(this.names[this.focused]);
    else if (event.key === "Enter" && this.names.length) this.open(this.names[this.focused]);
    else if (event.key === "a" && (event.ctrlKey || event.metaKey)) this.select(this.names);
    else if (event.key === "Escape") this.select([]);
    else return;
    event.preventDefault();
  }

  // A click selects; a drag over free space or images selects what a rubber band touches; a drag
  // that begins on a selected image carries what is selected to a class.
  press(event) {
    if (event.button) return;
    const start = this.point(event);
    const cell = event.target.closest("[data-index]");
    const carries = cell && this.selected.has(this.names[cell.dataset.index]) && event.pointerType === "mouse";
    const before = event.ctrlKey || event.metaKey ? new Set(this.selected) : new Set();
    let dragged = false;
    const ends = new AbortController();
    const move = (moved) => {
      const now = this.point(moved);
      dragged ||= Math.hypot(now.x - start.x, now.y - start.y) > 6;
      document.body.classList.toggle("carrying", dragged && carries);
      if (dragged && !carries && event.pointerType === "mouse") this.stretch(start, now, before);
    };
    const end = (released) => {
      ends.abort();
      document.body.classList.remove("carrying");
      this.band.hidden = true;
      if (released.type === "pointercancel") return; // A finger scrolls.
      if (dragged && carries) {
        document.elementFromPoint(released.clientX, released.clientY)?.closest?.(".assign")?.click();
      }
      if (dragged) return;
      if (!cell) this.select([]);
      else this.click(Number(cell.dataset.index), event);
    };
    document.addEventListener("pointermove", move, ends);
    document.addEventListener("pointerup", end, ends);
    document.addEventListener("pointercancel", end, ends);
  }

  click(index, event) {
    const name = this.names[index];
    const toggles = event.ctrlKey || event.metaKey || event.pointerType === "touch";
    if (event.shiftKey) this.focus(index, { extend: true });
    else if (toggles) {
      this.focused = this.anchor = index;
      this.toggle(name);
    } else this.focus(index);
  }

  toggle(name) {
    const chosen = new Set(this.selected);
    if (!chosen.delete(name)) chosen.add(name);
    this.select(chosen);
  }

  point(event) {
    const box = this.box.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top + this.box.scrollTop };
  }

  stretch(start, now, before) {
    const [left, right] = [Math.min(start.x, now.x), Math.max(start.x, now.x)];
    const [top, bottom] = [Math.min(start.y, now.y), Math.max(start.y, now.y)];
    Object.assign(this.band.style, {
      left: `${left}px`,
      top: `${top}px`,
      width: `${right - left}px`,
      height: `${bottom - top}px`,
    });
    this.band.hidden = false;
    const { columns } = this;
    const touched = this.names.filter((_, index) => {
      const x = (index % columns) * (SIDE + GAP);
      const y = Math.floor(index / columns) * ROW;
      return x < right && x + SIDE > left && y < bottom && y + SIDE + CAPTION > top;
    });
    this.select([...before, ...touched]);
  }
}
