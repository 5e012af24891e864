// The list of classes: what images are labelled with.
import { byId, element } from "../../page/dom.js";

const ONE_GROUP = "All of one recording: record or add more, so that some can be test images.";

export class Classes {
  // label(name) labels what is selected.
  constructor(project, { label, selected }) {
    Object.assign(this, { project, label, selected });
    byId("new-class").addEventListener("submit", (event) => {
      event.preventDefault();
      this.add(byId("class-name").value.trim());
    });
    byId("kind").addEventListener("change", async (event) => {
      const kind = event.target.value;
      const lost = [...project.items.values()].filter(({ labels }) => kind === "single" && labels && labels.length !== 1);
      const asked = !lost.length || confirm(`${lost.length.toLocaleString()} images have several labels, or none of them, and would be without a label. Go on?`);
      if (!asked || !(await project.act({ act: "set_kind", kind }))) event.target.value = project.kind;
    });
  }

  // Images that are selected get the new class: that is how a class is split.
  async add(name) {
    if (!name) return;
    const splits = this.selected().size && this.project.kind !== "boxes" && !this.project.classes.includes(name);
    if (splits) await this.label(name);
    else if (!(await this.project.act({ act: "add_class", name }))) return;
    byId("class-name").value = "";
  }

  show(views) {
    const { project } = this;
    byId("kind").value = project.kind;
    document.body.dataset.kind = project.kind;
    const members = new Map(views.filter(({ label }) => label).map(({ label, names }) => [label, names]));
    // Rows are made anew only if they have changed, so that no click is lost.
    const now = JSON.stringify(project.classes.map((name) => [name, members.get(name).length, this.isOneGroup(members.get(name))]));
    if (now === this.shown) return;
    this.shown = now;
    const focused = document.activeElement?.closest?.("#classes button");
    const place = focused && [focused.closest("li").dataset.name, focused.className];
    byId("classes").replaceChildren(...project.classes.map((name, index) => this.row(name, index, members.get(name))));
    const again = place && [...byId("classes").children].find((row) => row.dataset.name === place[0]);
    again?.querySelector(`button.${place[1].split(" ")[0]}`)?.focus();
  }

  row(name, index, images) {
    const key = index < 9 ? element("kbd", {}, String(index + 1)) : "";
    const assign = element("button", { type: "button", class: "assign" }, key, element("bdi", {}, name));
    assign.addEventListener("click", () => this.label(name));
    const count = element("span", { class: "quiet" }, `${images.length.toLocaleString()} image${images.length === 1 ? "" : "s"}`);
    const row = element("li", {}, assign, count, this.button("Rename", name), this.button("Remove", name));
    row.dataset.name = name;
    if (this.isOneGroup(images)) row.append(element("p", { class: "hint" }, ONE_GROUP));
    return row;
  }

  button(word, name) {
    const made = element("button", { type: "button", class: `${word.toLowerCase()} link` }, word);
    made.setAttribute("aria-label", `${word} ${name}`);
    made.addEventListener("click", () => (word === "Rename" ? this.rename(name) : this.remove(name)));
    return made;
  }

  isOneGroup(images) {
    if (images.length < 2) return false;
    const first = this.project.items.get(images[0]).group;
    return first && images.every((name) => this.project.items.get(name).group === first);
  }

  async rename(name) {
    const { project } = this;
    const given = prompt(`A new name for “${name}”. The name of another class merges the two.`, name);
    const chosen = given?.trim();
    if (!chosen || chosen === name) return;
    if (project.classes.includes(chosen) && !confirm(`Merge “${name}” into “${chosen}”?`)) return;
    await project.act({ act: "rename_class", name, new: chosen });
  }

  async remove(name) {
    const used = [...this.project.items.values()].filter(({ labels }) => labels?.includes(name)).length;
    if (used && !confirm(`Remove “${name}” from ${used.toLocaleString()} images?`)) return;
    await this.project.act({ act: "remove_class", name });
  }
}
