// The ways by which images come to the page: chosen, dropped anywhere, pasted.
import { byId } from "./dom.js";

export function listenForFiles(add) {
  for (const input of [byId("files"), byId("capture")]) {
    input.addEventListener("change", () => {
      add(Array.from(input.files, named));
      input.value = "";
    });
  }
  byId("choose").addEventListener("click", () => byId("files").click());
  listenForDrops(add);
  document.addEventListener("paste", (event) => {
    const files = Array.from(event.clipboardData?.files ?? []);
    if (!files.length || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    add(files.map((file) => named(file, "image.png", "pasted")));
  });
}

const numbers = {};

// What came without a name of its own is numbered.
export function named(file, anonymous, word) {
  if (file.name && file.name !== anonymous) return { file, name: file.name };
  return { file, name: numbered(word || "image", file.type.split("/")[1] || "png") };
}

export function numbered(word, suffix) {
  numbers[word] = (numbers[word] ?? 0) + 1;
  return `${word}-${numbers[word]}.${suffix}`;
}

function listenForDrops(add) {
  const cover = byId("dropping");
  let depth = 0;
  const carriesFiles = (event) => Array.from(event.dataTransfer?.types ?? []).includes("Files");
  const leave = () => {
    depth = 0;
    cover.hidden = true;
  };
  document.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth += 1;
    cover.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (carriesFiles(event) && --depth <= 0) leave();
  });
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  document.addEventListener("drop", async (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    leave();
    if (document.querySelector("dialog[open]")) return;
    // Both must be read before the event is over.
    const files = Array.from(event.dataTransfer.files);
    const roots = Array.from(event.dataTransfer.items, (item) => item.webkitGetAsEntry?.());
    const folders = roots.some((root) => root?.isDirectory);
    const { target } = event;
    const found = folders ? await filesBelow(roots.filter(Boolean)) : files.map((file) => named(file));
    add(found, target);
  });
}

// Of a folder, what lies beside its images is left out.
const BESIDE = /^(text|audio|video)\/|^application\/(json|pdf|xml|zip)$/;

async function filesBelow(entries) {
  const found = [];
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    if (entry.isDirectory) {
      found.push(...(await filesBelow(await inside(entry))));
    } else {
      const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
      if (file && !BESIDE.test(file.type))
        found.push({ file, name: entry.fullPath.replace(/^\//, "") });
    }
  }
  return found;
}

async function inside(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    // A reader gives the entries in portions, the last of which is empty.
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length)
      return all.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
    all.push(...some);
  }
}
