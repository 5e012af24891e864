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

const SHOWN = 3; // Messages of files that could not be added.
const HINTS = {
  doubts: "The model predicts another label for these. K keeps the label, R takes the predicted one, a number gives another, Delete leaves the image out.",
  copies: "These are copies of each other, or almost; they are never divided between training and test images, and not used if they are labelled differently. K keeps them, Delete leaves one out.",
  next: "The first ones teach most: the model is unsure of them, and no two are alike.",
  dropped: "Delete takes images in again.",
};

// Views whose order changes with each refit.
const CHANGING = ["unlabelled", "next", "doubts"];

// Views from which images go when they are labelled: then the next one is selected.
const ADVANCING = [...CHANGING, "copies"];

const project = new Project();
let view = ALL;
let views = [];
let kept = { id: "", names: [] }; // The list that is shown: a refit does not change it under a person's hand.
let group = 0; // The number of the next group of those that look alike.
let advance = false; // Whether the person has just done something with what is selected.

const grid = new Grid(byId("grid"), { describe, changed: showSelection, open: (name) => large.open(name) });
const large = new Large(project, grid, { describe, press });
const classes = new Classes(project, { label: (name) => project.inTurn(() => labelImages([...grid.selected], name)), selected: () => grid.selected });
const model = new Model(project);
const camera = new Camera(project);

function describe(name) {
  const item = project.items.get(name);
  const boxes = item?.boxes.length ? `${item.boxes.length} × ` : "";
  const label = item?.labels && (boxes + item.labels.join(", ") || "none");
  return {
    label: label ?? undefined,
    guess: project.learnt.guesses[name],
    problem: project.problems[name],
    dropped: Boolean(item?.dropped),
    note: view === "doubts" ? noteOf(name) : view === "copies" ? differenceOf(name) : undefined,
  };
}

function noteOf(name) {
  const doubts = doubtsOf(project).filter(({ image }) => image === name);
  return doubts.map(({ label, suggested }) => `${label} → ${suggested}?`).join(", ") || undefined;
}

// Copies whose labels contradict each other are not used in training.
function differenceOf(name) {
  const labels = (image) => (project.items.get(image).labels ?? ["no label"]).join(", ") || "none";
  const copies = copiesOf(project).find((names) => names.includes(name)) ?? [name];
  return copies.some((other) => labels(other) !== labels(name)) ? `${labels(name)}: labels differ` : undefined;
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
  if (view !== shown.id) byId("view").value = view = shown.id;
  const whole = shown.groups && !kept.names.some((name) => isUnlabelled(name));
  const names = shown.groups ? groupOf(shown) : stable(shown);
  grid.show(names, { advance: advance && ADVANCING.includes(view) });
  if (whole) grid.select(names);
  byId("group").hidden = !shown.groups || !names.length;
  byId("group-text").textContent = `These ${names.length.toLocaleString()} look alike. Take out what does not belong with Ctrl and a click, or with Space; then press the number of a class.`;
  say(byId("hint"), names.length ? HINTS[view] : "");
  say(byId("empty"), names.length ? "" : emptyText(shown));
}

const isUnlabelled = (name) => {
  const item = project.items.get(name);
  return item && !item.labels && !item.dropped;
};

// The images of a view that changes with each refit stay in their order; new ones come last.
function stable({ id, names }) {
  if (!CHANGING.includes(id)) return names;
  const there = new Set(names);
  const stays = (name) => there.has(name) || (id === "next" && isUnlabelled(name));
  const old = kept.id === id ? kept.names.filter(stays) : [];
  const known = new Set(old);
  kept = { id, names: [...old, ...names.filter((name) => !known.has(name))] };
  if (id === "doubts") project.doubted = doubtsOf(project);
  return kept.names;
}

// A group stays until all of its images are labelled, or another one is asked for.
function groupOf({ id, groups }) {
  const left = kept.id === id ? kept.names.filter(isUnlabelled) : [];
  group %= Math.max(1, groups.length);
  kept = { id, names: left.length ? left : (groups[group] ?? []) };
  return kept.names;
}

function emptyText({ id }) {
  if (!project.items.size) return "Drop images, folders or a zip file anywhere on this page, or paste a picture.";
  if (["next", "alike", "unlabelled"].includes(id)) {
    return project.looked_at < project.images ? "The images are still being looked at." : "Nothing is left to label.";
  }
  if (id === "doubts") return "No label looks wrong.";
  return "There are no such images.";
}

function showProgress() {
  const { learnt, looked_at: lookedAt, images, lesson } = project;
  const left = images - lookedAt;
  byId("progress").textContent = left
    ? `Looking at the images: ${lookedAt.toLocaleString()} of ${images.toLocaleString()}.`
    : learnt.lesson !== lesson
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

// Does something with images; when they have left the view, the next one is selected.
async function act(row) {
  advance = true;
  await project.act(row);
  advance = false;
}

// Gives images a label: a name, null for no label yet, or "" for none of the classes.
async function labelImages(images, name) {
  if (!images.length || name === undefined) return;
  if (project.kind === "boxes" && name !== null) {
    if (name === "") for (const image of images) await act({ act: "draw", image, boxes: [] });
    return;
  }
  const labels = Object.fromEntries(images.map((image) => [image, labelsWith(images, image, name)]));
  await act({ act: "label", labels });
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
async function relabel(images) {
  const labels = {};
  for (const { image, suggested, about } of doubtsOf(project)) {
    if (!images.includes(image)) continue;
    const own = labels[image] ?? project.items.get(image).labels;
    if (!about) labels[image] = [suggested];
    else labels[image] = suggested.endsWith("present") ? [...own, about] : own.filter((each) => each !== about);
  }
  if (Object.keys(labels).length) await act({ act: "label", labels });
}

// Copies are kept together: those of the chosen images, too.
async function keep(images) {
  if (view !== "copies") return act({ act: "keep", images });
  const chosen = new Set(images);
  for (const names of copiesOf(project)) if (names.some((name) => chosen.has(name))) names.forEach((name) => chosen.add(name));
  return act({ act: "keep", images: [...chosen], copies: true });
}

// Adds files to the class that is shown, if their folders do not say another one.
async function addFiles(files) {
  const chosen = views.find(({ id }) => id === view)?.label ?? "";
  const failed = [];
  for (const [index, { file, label }] of files.entries()) {
    const wanted = project.kind === "boxes" ? "" : label || chosen;
    const place = wanted ? ` to “${wanted}”` : "";
    byId("progress").textContent = `Adding file ${(index + 1).toLocaleString()} of ${files.length.toLocaleString()}${place}.`;
    try {
      await project.add(file, { name: nameOfFile(file), label: wanted });
    } catch (error) {
      failed.push(error.message);
    }
  }
  const more = failed.length > SHOWN ? ` And ${(failed.length - SHOWN).toLocaleString()} more files.` : "";
  project.complain(failed.slice(0, SHOWN).join(" ") + more);
}

// Browsers call every pasted picture the same.
const nameOfFile = ({ name, type }) =>
  name && name !== "image.png" ? name : `pasted-${new Date().toISOString().replace(/[:.]/g, "-")}.${type.split("/")[1] || "png"}`;

byId("undo").addEventListener("click", () => project.inTurn(() => project.act({ act: "undo" })));
byId("redo").addEventListener("click", () => project.inTurn(() => project.act({ act: "redo" })));
byId("choose").addEventListener("click", () => byId("files").click());
byId("files").addEventListener("change", (event) => {
  addFiles(Array.from(event.target.files, (file) => ({ file })));
  event.target.value = "";
});
byId("other-group").addEventListener("click", () => {
  group += 1;
  kept = { id: "", names: [] };
  showImages();
});
byId("view").addEventListener("change", (event) => {
  view = event.target.value;
  kept = { id: "", names: [] };
  project.doubted = [];
  group = 0;
  grid.reset();
  showImages();
  byId("grid").focus();
  if (ADVANCING.includes(view) && grid.names.length) grid.focus(0);
});
document.addEventListener("keydown", (event) => {
  if (event.target.closest?.("input, select, textarea") || document.querySelector("dialog[open]")) return;
  press(event, null);
});

// Does what a key says with images, or with those that are selected when its turn comes.
function press(event, names) {
  const command = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  const reviews = ["doubts", "copies"].includes(view);
  const withImages = (work) =>
    project.inTurn(async () => {
      const images = names ?? [...grid.selected];
      if (images.length) await work(images);
    });
  if (command && (key === "y" || (key === "z" && event.shiftKey))) project.inTurn(() => project.act({ act: "redo" }));
  else if (command && key === "z") project.inTurn(() => project.act({ act: "undo" }));
  else if (command || event.altKey) return;
  else if (/^[1-9]$/.test(key)) withImages((images) => labelImages(images, project.classes[Number(key) - 1]));
  else if (key === "0") withImages((images) => labelImages(images, null));
  else if (key === "n" && project.kind !== "single") withImages((images) => labelImages(images, ""));
  else if (key === "k" && reviews) withImages(keep);
  else if (key === "r" && view === "doubts") withImages(relabel);
  else if (key === "delete" || key === "backspace" || (key === "d" && reviews))
    withImages((images) => act({ act: "drop", images, dropped: view !== "dropped" }));
  else return;
  event.preventDefault();
}

document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  try {
    addFiles(await filesOf(event.dataTransfer));
  } catch {
    project.complain("The browser cannot read what was dropped.");
  }
});
document.addEventListener("paste", (event) =>
  addFiles(Array.from(event.clipboardData.files, (file) => ({ file }))),
);
project.addEventListener("change", show);
project.addEventListener("message", ({ detail: { kind, text } }) => {
  for (const place of document.querySelectorAll(`.${kind}.alert`)) say(place, text);
});
project.follow();
