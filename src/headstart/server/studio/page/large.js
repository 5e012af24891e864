// One image, enlarged: its label, why the model takes it for something, and its boxes.
import { byId, closable, element } from "../../page/dom.js";
import { Boxes } from "./boxes.js";
import { answered, pathOf } from "./project.js";

export class Large {
  // describe(name) is that of the grid; label(name) labels the image that is shown.
  constructor(project, grid, { describe, label }) {
    Object.assign(this, { project, grid, describe, label });
    this.name = "";
    this.dialog = byId("large");
    this.boxes = new Boxes(project, byId("boxes"));
    closable(this.dialog);
    byId("heat").addEventListener("click", () => this.explain());
    byId("earlier").addEventListener("click", () => this.step(-1));
    byId("later").addEventListener("click", () => this.step(1));
    this.dialog.addEventListener("keydown", (event) => this.key(event));
  }

  open(name) {
    this.name = name;
    this.dialog.showModal();
    this.fresh();
  }

  // Shows the image from the beginning.
  fresh() {
    const { name, project } = this;
    byId("large-title").textContent = name;
    byId("picture").src = `studio/pictures/${pathOf(name)}`;
    byId("picture").alt = name;
    byId("nearest").hidden = true;
    byId("heat").setAttribute("aria-pressed", "false");
    const draws = project.kind === "boxes";
    byId("heat").hidden = draws;
    byId("box-keys").hidden = !draws;
    this.boxes.open(draws ? name : null);
    this.show();
  }

  // Shows what has changed.
  show() {
    if (!this.dialog.open) return;
    const { label, guess, problem } = this.describe(this.name);
    const taken = guess ? `The model takes it for ${guess[0].join(", ") || "none of the classes"} (${Math.round(100 * guess[1])}%).` : "";
    byId("facts").textContent = problem ?? (label ? `Label: ${label}.` : `No label. ${taken}`);
    this.boxes.show();
  }

  step(by) {
    const { names } = this.grid;
    const next = names[names.indexOf(this.name) + by];
    if (!next) return;
    this.grid.focus(names.indexOf(next));
    this.name = next;
    this.fresh();
  }

  async explain() {
    const { name } = this;
    if (byId("heat").getAttribute("aria-pressed") === "true") return this.fresh();
    byId("facts").textContent = "Drawing the heat map …";
    try {
      const found = await answered(await fetch(`studio/explanations/${pathOf(name)}`));
      if (name !== this.name) return;
      byId("heat").setAttribute("aria-pressed", "true");
      byId("picture").src = found.picture;
      byId("picture").alt = `Heat map of ${name}`;
      this.show();
      byId("facts").textContent += " Orange parts support that, blue parts speak against it. These labelled images are most similar:";
      byId("nearest").replaceChildren(...found.nearest.map((other) => this.similar(other)));
      byId("nearest").hidden = false;
    } catch (error) {
      byId("facts").textContent = error.message;
    }
  }

  similar(name) {
    const image = element("img", { src: `studio/thumbnails/${pathOf(name)}`, alt: name });
    const label = this.project.items.get(name)?.labels?.join(", ") ?? "";
    return element("li", {}, image, element("span", {}, label));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { project } = this;
    if (project.kind === "boxes" && this.boxes.key(event)) return event.preventDefault();
    if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "ArrowRight") this.step(1);
    else if (event.key.toLowerCase() === "h") this.explain();
    else if (/^[1-9]$/.test(event.key)) this.label(project.classes[Number(event.key) - 1]);
    else if (event.key === "0") this.label(null);
    else return;
    event.preventDefault();
  }
}
