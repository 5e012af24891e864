// One image, enlarged: its label, the reasons for its prediction, and its boxes.
import { byId, closable, element, say } from "../../page/dom.js";
import { Boxes } from "./boxes.js";
import { answered, nameOf, pathOf } from "./project.js";

const WHY = "Orange parts support that, blue parts speak against it. These labelled images are most similar:";

export class Large {
  // describe(name) is that of the grid; press(event, names) does what a key says with images.
  constructor(project, grid, { describe, press }) {
    Object.assign(this, { project, grid, describe, press });
    this.name = "";
    this.index = 0; // Its place in the grid, which it may have left.
    this.dialog = byId("large");
    this.boxes = new Boxes(project, byId("boxes"));
    closable(this.dialog);
    this.dialog.addEventListener("close", () => this.boxes.open(null));
    byId("heat").addEventListener("click", () => this.explain());
    byId("earlier").addEventListener("click", () => this.step(-1));
    byId("later").addEventListener("click", () => this.step(1));
    this.dialog.addEventListener("keydown", (event) => this.key(event));
  }

  open(name) {
    this.dialog.showModal();
    this.fresh(name);
  }

  // Shows an image from the beginning.
  fresh(name) {
    const { project, grid } = this;
    this.name = name;
    this.index = Math.max(0, grid.names.indexOf(name));
    byId("large-title").textContent = nameOf(name);
    byId("picture").src = `studio/pictures/${pathOf(name)}`;
    byId("picture").alt = nameOf(name);
    byId("nearest").hidden = true;
    say(byId("why"), "");
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
    const taken = guess ? `Prediction: ${guess[0].join(", ") || "none of the classes"} (${Math.round(100 * guess[1])}%).` : "";
    byId("facts").textContent = problem ?? (label ? `Label: ${label}.` : `No label. ${taken}`);
    this.boxes.show();
  }

  // An image that has got its label may have left the grid: the next one is in its place.
  step(by) {
    const { names } = this.grid;
    const there = names.indexOf(this.name);
    const next = there >= 0 ? there + by : by > 0 ? this.index : this.index - 1;
    if (!names[next]) return;
    this.grid.focus(next);
    this.fresh(names[next]);
  }

  async explain() {
    const { name } = this;
    if (byId("heat").getAttribute("aria-pressed") === "true") return this.fresh(name);
    say(byId("why"), "Drawing the heat map …");
    try {
      const found = await answered(await fetch(`studio/explanations/${pathOf(name)}`));
      if (name !== this.name) return;
      byId("heat").setAttribute("aria-pressed", "true");
      byId("picture").src = found.picture;
      byId("picture").alt = `Heat map of ${nameOf(name)}`;
      say(byId("why"), `Explained: ${found.label} (${Math.round(100 * found.probability)}%). ${WHY}`);
      byId("nearest").replaceChildren(...found.nearest.map((other) => this.similar(other)));
      byId("nearest").hidden = false;
    } catch (error) {
      say(byId("why"), error.message);
    }
  }

  similar(name) {
    const image = element("img", { src: `studio/thumbnails/${pathOf(name)}`, alt: nameOf(name) });
    const label = this.project.items.get(name)?.labels?.join(", ") ?? "";
    return element("li", {}, image, element("span", {}, label));
  }

  key(event) {
    if (event.target.closest("select")) return;
    const command = event.ctrlKey || event.metaKey || event.altKey;
    if (!command && this.project.kind === "boxes" && this.boxes.key(event)) return event.preventDefault();
    if (command) this.press(event, [this.name]);
    else if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "ArrowRight") this.step(1);
    else if (event.key.toLowerCase() === "h" && this.project.kind !== "boxes") this.explain();
    else return this.press(event, [this.name]);
    event.preventDefault();
  }
}
