// The studio's page: it shows the project, and sends what a person does.
import { byId, closable, element, say } from "../../page/dom.js";
import { Grid } from "./grid.js";
import { Project } from "./project.js";
import { ALL, viewsOf } from "./views.js";

const project = new Project();
let view = ALL;
let views = [];

const grid = new Grid(byId("grid"), { describe, changed: showSelection, open: openLarge });

function describe(name) {
  const item = project.items.get(name);
  return {
    label: item?.labels.join(", ") || undefined,
    guess: project.learnt.guesses[name],
    problem: project.problems[name],
    dropped: Boolean(item?.dropped),
  };
}

function show() {
  views = viewsOf(project);
  document.title = `${project.name} – Headstart studio`;
  byId("name").textContent = project.name;
  byId("undo").disabled = !project.undo;
  byId("redo").disabled = !project.redo;
  showProgress();
  showFinish();
  showClasses();
  showViews();
  const shown = views.find(({ id }) => id === view) ?? views[0];
  view = shown.id;
  byId("view").value = view;
  grid.show(view === "next" ? selectedFirst(shown.names) : shown.names);
  say(byId("empty"), shown.names.length ? "" : emptyText(shown));
}

// New suggestions come all the time; what a person is about to label stays where it is.
function selectedFirst(names) {
  const selected = names.filter((name) => grid.selected.has(name));
  return [...selected, ...names.filter((name) => !grid.selected.has(name))];
}

function emptyText({ id }) {
  if (!project.items.size) return "Drop images or folders anywhere on this page, or paste a picture.";
  if (id === "next" || id === "alike") return "Nothing is left to label, or the images are still being looked at.";
  if (id === "doubts") return "No label looks wrong.";
  return "There are no such images.";
}

function showProgress() {
  const { learnt, lookedAt, images } = project;
  const left = images - lookedAt;
  const learning = learnt.number !== project.number;
  byId("progress").textContent = left
    ? `Looking at the images: ${lookedAt.toLocaleString()} of ${images.toLocaleString()}.`
    : learning
      ? "Learning from the labels …"
      : "";
  byId("verdict").textContent = learnt.verdict
    ? `${learnt.verdict} on ${learnt.images.toLocaleString()} labelled images, each predicted by a model that was not shown its label. Test images are kept aside.`
    : learnt.why_not || "Label a few images of two classes, and a model learns from them at once.";
}

function showFinish() {
  const { running, error, run, number } = project.finish;
  byId("finish").disabled = running || !project.learnt.verdict;
  byId("finish").textContent = running ? "Training …" : "Finish";
  byId("finished").hidden = !run || running;
  byId("stale").hidden = number === project.number;
  byId("where").textContent = run ?? "";
  if (error) say(byId("problem"), error);
}

function showClasses() {
  const counts = new Map(views.filter(({ label }) => label).map(({ label, names }) => [label, names.length]));
  const rows = project.classes.map((name, index) => {
    const key = index < 9 ? element("kbd", {}, String(index + 1)) : "";
    const assign = element("button", { type: "button", class: "assign" }, key, element("bdi", {}, name));
    assign.addEventListener("click", () => label(name));
    const rename = element("button", { type: "button", class: "link" }, "Rename");
    rename.setAttribute("aria-label", `Rename ${name}`);
    rename.addEventListener("click", () => renameClass(name));
    const count = element("span", { class: "quiet" }, counts.get(name).toLocaleString());
    return element("li", {}, assign, count, rename);
  });
  byId("classes").replaceChildren(...rows);
}

function showViews() {
  const shown = views.filter(({ id, names }) => names.length || id === ALL || id === view);
  const options = shown.map(({ id, title, names }) =>
    element("option", { value: id }, `${title} (${names.length.toLocaleString()})`),
  );
  byId("view").replaceChildren(...options);
}

function showSelection(selected) {
  const count = selected.size;
  byId("selected").textContent = count ? `${count.toLocaleString()} selected` : "None selected";
  for (const button of document.querySelectorAll(".assign")) button.disabled = !count;
}

async function label(name) {
  const images = [...grid.selected];
  if (!images.length) return;
  const labels = Object.fromEntries(images.map((image) => [image, name ? [name] : []]));
  await project.act({ act: "label", labels });
}

async function renameClass(name) {
  const given = prompt(`A new name for “${name}”. The name of another class merges the two.`, name);
  const chosen = given?.trim();
  if (!chosen || chosen === name) return;
  if (project.classes.includes(chosen) && !confirm(`Merge “${name}” into “${chosen}”?`)) return;
  await project.act({ act: "rename_class", name, new: chosen });
}

function openLarge(name) {
  byId("large-title").textContent = name;
  byId("picture").src = `studio/pictures/${name.split("/").map(encodeURIComponent).join("/")}`;
  byId("picture").alt = name;
  const { label: own, guess, problem } = describe(name);
  const taken = guess ? `The model takes it for ${guess[0]} (${Math.round(100 * guess[1])}%).` : "";
  byId("facts").textContent = problem ?? (own ? `Label: ${own}.` : `No label. ${taken}`);
  byId("large").showModal();
}

async function addFiles(files) {
  const chosen = views.find(({ id }) => id === view)?.label ?? "";
  let done = 0;
  for (const file of files) {
    done += 1;
    byId("progress").textContent = `Adding file ${done.toLocaleString()} of ${files.length.toLocaleString()}.`;
    try {
      await project.add(file, chosen);
    } catch (error) {
      say(byId("problem"), `${file.name}: ${error.message}`);
    }
  }
}

// Files of a drop, those in folders included.
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  const files = [];
  const read = async (entry) => {
    if (entry.isFile) files.push(await new Promise((resolve, fail) => entry.file(resolve, fail)));
    else {
      const reader = entry.createReader();
      for (;;) {
        const part = await new Promise((resolve, fail) => reader.readEntries(resolve, fail));
        if (!part.length) break;
        for (const child of part) await read(child);
      }
    }
  };
  for (const entry of entries) await read(entry);
  return files;
}

byId("undo").addEventListener("click", () => project.act({ act: "undo" }));
byId("redo").addEventListener("click", () => project.act({ act: "redo" }));
byId("choose").addEventListener("click", () => byId("files").click());
byId("files").addEventListener("change", (event) => {
  addFiles([...event.target.files]);
  event.target.value = "";
});
byId("finish").addEventListener("click", () => project.finishNow());
byId("view").addEventListener("change", (event) => {
  view = event.target.value;
  grid.select([]);
  byId("grid").scrollTop = 0;
  show();
});
byId("new-class").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = byId("class-name").value.trim();
  if (name && (await project.act({ act: "add_class", name }))) byId("class-name").value = "";
});
document.addEventListener("keydown", (event) => {
  if (event.target.closest?.("input, select, textarea") || byId("large").open) return;
  const command = event.ctrlKey || event.metaKey;
  const redo = event.key === "y" || (event.key.toLowerCase() === "z" && event.shiftKey);
  if (command && redo) project.act({ act: "redo" });
  else if (command && event.key === "z") project.act({ act: "undo" });
  else if (command || event.altKey) return;
  else if (/^[1-9]$/.test(event.key)) label(project.classes[Number(event.key) - 1]);
  else if (event.key === "0" || event.key === "Backspace") label("");
  else if (event.key === "Delete" && grid.selected.size)
    project.act({ act: "drop", images: [...grid.selected], dropped: view !== "dropped" });
  else return;
  event.preventDefault();
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  addFiles(await dropped(event.dataTransfer));
});
document.addEventListener("paste", (event) => addFiles([...event.clipboardData.files]));
closable(byId("large"));
project.addEventListener("change", show);
project.addEventListener("problem", ({ detail }) => say(byId("problem"), detail));
project.follow();
