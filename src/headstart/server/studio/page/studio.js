// The studio's page: it shows the project, and sends what a person does.
import { byId, element, say } from "../../page/dom.js";
import { Camera } from "./camera.js";
import { Classes } from "./classes.js";
import { filesOf } from "./files.js";
import { Grid } from "./grid.js";
import { Large } from "./large.js";
import { Model } from "./model.js";
import { Project } from "./project.js";
import { ALL, copiesOf, doubtsOf, viewsOf } from "./views.js";

const HINTS = {
  doubts: "The model takes these for something else. K keeps the label, R takes the model's, a number gives another, Delete leaves the image out.",
  copies: "These are copies of each other, or almost; they are never divided between training and test images. K keeps them, Delete leaves one out.",
  next: "These teach most: the model is unsure of them, and no two are alike.",
};

const project = new Project();
let view = ALL;
let views = [];
let group = 0; // The number of the group that is shown of those that look alike.
let chosenGroup; // The first image of the group that was selected as a whole.

const grid = new Grid(byId("grid"), { describe, changed: showSelection, open: (name) => large.open(name) });
const large = new Large(project, grid, { describe, label: (name) => labelImages([large.name], name) });
const classes = new Classes(project, { label: (name) => labelImages([...grid.selected], name), selected: () => grid.selected });
const model = new Model(project);
const camera = new Camera(project);

function describe(name) {
  const item = project.items.get(name);
  const label = item?.labels && (item.labels.join(", ") || "none");
  return {
    label: label ?? undefined,
    guess: project.learnt.guesses[name],
    problem: project.problems[name],
    dropped: Boolean(item?.dropped),
    note: view === "doubts" ? noteOf(name) : undefined,
  };
}

function noteOf(name) {
  const doubt = project.learnt.doubts.find(({ image }) => image === name);
  return doubt && `${doubt.label} → ${doubt.suggested}?`;
}

function show() {
  views = viewsOf(project);
  document.title = `${project.name} – Headstart studio`;
  byId("name").textContent = project.name;
  byId("undo").disabled = !project.undo;
  byId("redo").disabled = !project.redo;
  showProgress();
  model.show();
  classes.show(views);
  camera.show();
  showViews();
  showImages();
  large.show();
}

function showImages() {
  const shown = views.find(({ id }) => id === view) ?? views[0];
  const changed = view !== shown.id;
  view = shown.id;
  if (changed) byId("view").value = view;
  let { names } = shown;
  if (shown.groups) {
    group %= Math.max(1, shown.groups.length);
    names = shown.groups[group] ?? [];
  }
  byId("group").hidden = !shown.groups || !names.length;
  byId("group-text").textContent = `These ${names.length.toLocaleString()} look alike (group ${group + 1} of ${(shown.groups?.length ?? 0).toLocaleString()}). Take out what does not belong with Ctrl and a click, then press a class.`;
  const first = shown.groups ? names[0] : undefined;
  grid.show(view === "next" ? selectedFirst(names) : names);
  if (first !== undefined && first !== chosenGroup) grid.select(names);
  chosenGroup = first;
  say(byId("hint"), names.length ? HINTS[view] : "");
  say(byId("empty"), names.length ? "" : emptyText(shown));
}

// New suggestions come all the time; what a person is about to label stays where it is.
function selectedFirst(names) {
  const selected = names.filter((name) => grid.selected.has(name));
  return [...selected, ...names.filter((name) => !grid.selected.has(name))];
}

function emptyText({ id }) {
  if (!project.items.size) return "Drop images, folders or a zip file anywhere on this page, or paste a picture.";
  if (id === "next" || id === "alike") return "Nothing is left to label, or the images are still being looked at.";
  if (id === "doubts") return "No label looks wrong.";
  return "There are no such images.";
}

function showProgress() {
  const { learnt, looked_at: lookedAt, images, number } = project;
  const left = images - lookedAt;
  byId("progress").textContent = left
    ? `Looking at the images: ${lookedAt.toLocaleString()} of ${images.toLocaleString()}.`
    : learnt.number !== number
      ? "Learning from the labels …"
      : "";
}

// The list is rewritten only if it has changed, so that it stays open under a person's hand.
function showViews() {
  const shown = views.filter(({ id, names }) => names.length || id === ALL || id === view);
  const text = ({ title, names }) => `${title} (${names.length.toLocaleString()})`;
  const select = byId("view");
  const same = select.options.length === shown.length && shown.every(({ id }, index) => select.options[index].value === id);
  if (same) shown.forEach((each, index) => {
    if (select.options[index].text !== text(each)) select.options[index].text = text(each);
  });
  else {
    select.replaceChildren(...shown.map((each) => element("option", { value: each.id }, text(each))));
    select.value = view;
  }
}

function showSelection(selected) {
  const count = selected.size;
  byId("selected").textContent = count ? `${count.toLocaleString()} selected` : "None selected";
  byId("split-hint").hidden = !count || project.kind === "boxes";
  const draws = project.kind === "boxes";
  for (const button of document.querySelectorAll(".assign")) button.disabled = !count || draws;
}

// Gives images a label: a name, null for no label yet, or "" for none of the classes.
async function labelImages(images, name) {
  if (!images.length || name === undefined) return;
  if (project.kind === "boxes" && name !== null) {
    if (name === "") for (const image of images) await project.act({ act: "draw", image, boxes: [] });
    return;
  }
  const labels = Object.fromEntries(images.map((image) => [image, labelsWith(images, image, name)]));
  await project.act({ act: "label", labels });
}

// Where an image has several labels, a class is added, or taken away if all images have it.
function labelsWith(images, image, name) {
  if (name === null) return null;
  if (name === "") return [];
  if (project.kind === "single") return [name];
  const own = (each) => project.items.get(each).labels ?? [];
  const everywhere = images.every((each) => own(each).includes(name));
  const without = own(image).filter((each) => each !== name);
  return everywhere ? without : [...without, name];
}

// In a review, takes the labels that the model suggests.
async function relabel() {
  const labels = {};
  for (const { image, suggested, about } of doubtsOf(project)) {
    if (!grid.selected.has(image)) continue;
    const own = project.items.get(image).labels;
    if (!about) labels[image] = [suggested];
    else labels[image] = suggested.endsWith("present") ? [...own, about] : own.filter((each) => each !== about);
  }
  if (Object.keys(labels).length) await project.act({ act: "label", labels });
}

// Copies are kept together: those of the selected images, too.
async function keep() {
  const chosen = new Set(grid.selected);
  if (view === "copies") {
    for (const names of copiesOf(project)) if (names.some((name) => chosen.has(name))) names.forEach((name) => chosen.add(name));
  }
  await project.act({ act: "keep", images: [...chosen] });
}

async function addFiles(files) {
  const chosen = views.find(({ id }) => id === view)?.label ?? "";
  const boxed = project.kind === "boxes";
  for (const [index, { file, label }] of files.entries()) {
    byId("progress").textContent = `Adding file ${(index + 1).toLocaleString()} of ${files.length.toLocaleString()}.`;
    try {
      await project.add(file, { label: boxed ? "" : label || chosen });
    } catch (error) {
      project.complain(`${file.name}: ${error.message}`);
    }
  }
}

byId("undo").addEventListener("click", () => project.act({ act: "undo" }));
byId("redo").addEventListener("click", () => project.act({ act: "redo" }));
byId("choose").addEventListener("click", () => byId("files").click());
byId("files").addEventListener("change", (event) => {
  addFiles(Array.from(event.target.files, (file) => ({ file })));
  event.target.value = "";
});
byId("other-group").addEventListener("click", () => {
  group += 1;
  showImages();
});
byId("view").addEventListener("change", (event) => {
  view = event.target.value;
  grid.select([]);
  byId("grid").scrollTop = 0;
  showImages();
});
document.addEventListener("keydown", (event) => {
  if (event.target.closest?.("input, select, textarea") || document.querySelector("dialog[open]")) return;
  const command = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  const images = [...grid.selected];
  if (command && (key === "y" || (key === "z" && event.shiftKey))) project.act({ act: "redo" });
  else if (command && key === "z") project.act({ act: "undo" });
  else if (command || event.altKey) return;
  else if (/^[1-9]$/.test(key)) labelImages(images, project.classes[Number(key) - 1]);
  else if (key === "0" || key === "backspace") labelImages(images, null);
  else if (key === "n" && project.kind !== "single") labelImages(images, "");
  else if (key === "k" && images.length && ["doubts", "copies"].includes(view)) keep();
  else if (key === "r" && view === "doubts") relabel();
  else if ((key === "delete" || (key === "d" && ["doubts", "copies"].includes(view))) && images.length)
    project.act({ act: "drop", images, dropped: view !== "dropped" });
  else return;
  event.preventDefault();
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  addFiles(await filesOf(event.dataTransfer));
});
document.addEventListener("paste", (event) =>
  addFiles(Array.from(event.clipboardData.files, (file) => ({ file }))),
);
project.addEventListener("change", show);
project.addEventListener("problem", ({ detail }) => say(byId("problem"), detail));
project.follow();
