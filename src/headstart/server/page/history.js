// The images of this visit, newest first.
import { byId, element } from "./dom.js";
import { drawThumbnail, suffixOf } from "./thumbnails.js";
import { verdict } from "./words.js";

const STATES = { waiting: "Waiting", working: "In progress …" };

export function makeRow(entry, open) {
  const holder = element(
    "span",
    { class: "thumbnail", "aria-hidden": "true" },
    suffixOf(entry.name),
  );
  entry.said = element("span", { class: "said" });
  entry.button = element(
    "button",
    { type: "button", class: "entry" },
    holder,
    element("span", { class: "words" }, element("bdi", { class: "file" }, entry.name), entry.said),
  );
  entry.button.addEventListener("click", () => open(entry));
  entry.row = element("li", {}, entry.button);
  entry.draw = () => drawThumbnail(entry, holder);
  updateRow(entry);
}

export function updateRow(entry) {
  entry.button.classList.toggle("failed", entry.state === "failed");
  if (entry.state === "failed") {
    entry.said.replaceChildren(element("b", {}, "Error"));
  } else if (entry.answer) {
    const { text, value } = verdict(entry.answer);
    entry.said.replaceChildren(element("bdi", { class: "of" }, text), " ", element("b", {}, value));
    if (entry.answer.unknown)
      entry.said.append(" ", element("span", { class: "badge" }, "Unknown"));
  } else {
    entry.said.replaceChildren(STATES[entry.state]);
  }
}

export function markOpened(entries, opened) {
  for (const entry of entries) {
    if (entry === opened) entry.button.setAttribute("aria-current", "true");
    else entry.button.removeAttribute("aria-current");
  }
}

// Rows of a batch keep their order, above all earlier ones.
export function addRows(batch) {
  byId("entries").prepend(...batch.map((entry) => entry.row));
  for (const entry of batch) entry.draw();
}
