// What a gallery finds: the labels of the nearest enrolled images, and these images.
import { byId, element, say } from "./dom.js";
import { previewOf } from "./previews.js";
import { count, percent } from "./words.js";

export function showFoundItems(answer, model) {
  const [first] = answer.labels;
  byId("kind").textContent = answer.unknown ? "Not found" : "Found";
  byId("label").replaceChildren(
    ...(answer.unknown
      ? [element("span", {}, "Unknown")]
      : [element("bdi", {}, answer.label), " ", element("span", { class: "value" }, sure(first))]),
  );
  byId("label").classList.toggle("doubtful", answer.unknown);
  for (const id of ["unknown", "differs", "set", "kinds"]) byId(id).hidden = true;
  byId("stranger").hidden = !answer.unknown;
  byId("like").replaceChildren(
    element("bdi", {}, first.label),
    ` at distance ${first.distance.toFixed(3)}`,
  );
  showLabels(answer);
  byId("hits").replaceChildren(...answer.hits.map((hit) => row(hit, answer)));
  byId("hits-title").textContent = `Nearest enrolled ${answer.hits.length === 1 ? "image" : "images"}`;
  say(byId("hits-foot"), scale(model));
}

const sure = ({ probability }) => (probability === null ? "" : percent(probability));

function scale({ unknown_beyond: limit }) {
  const range = "Distance: 0 is the same picture, 2 the opposite.";
  if (limit === null) return `${range} This gallery is too small to say from where an image is unknown.`;
  return `${range} Beyond ${limit.toFixed(3)}, an image is unknown.`;
}

function showLabels({ labels, unknown }) {
  const known = labels.filter(({ probability }) => probability !== null);
  byId("items").hidden = !known.length;
  byId("item-bars").replaceChildren(
    ...known.map(({ label, probability }, rank) => {
      const fill = element("span", { class: "fill" });
      fill.style.width = `${100 * probability}%`;
      return element(
        "li",
        { class: rank || unknown ? "bar" : "bar chosen" },
        element("bdi", { class: "what" }, label),
        element("span", { class: "track", "aria-hidden": "true" }, fill),
        element("span", { class: "value" }, percent(probability)),
      );
    }),
  );
}

function row(hit, { label }) {
  const named = element("span", { class: "words" });
  named.append(
    element("bdi", { class: hit.label === label ? "what chosen" : "what" }, hit.label),
    element("bdi", { class: "file" }, fileOf(hit)),
  );
  const fields = Object.entries(hit.fields ?? {});
  if (fields.length) named.append(columns(fields));
  return element(
    "li",
    { class: "hit" },
    pictureOf(hit),
    named,
    element("span", { class: "far" }, element("small", {}, "distance"), ` ${hit.distance.toFixed(3)}`),
  );
}

// In a folder of an item, the label is in the name already.
const fileOf = ({ image, label }) =>
  image.startsWith(`${label}/`) ? image.slice(label.length + 1) : image;

function columns(fields) {
  const list = element("dl", { class: "fields" });
  for (const [name, value] of fields)
    list.append(
      element("div", {}, element("dt", {}, name), " ", element("dd", {}, element("bdi", {}, value))),
    );
  return list;
}

// A gallery keeps no pictures: they come from the server's folder, or from this visit.
function pictureOf(hit) {
  const source = hit.picture ?? previewOf(hit.image);
  if (source) return element("img", { src: source, alt: "" });
  return element("span", { class: "no-thumbnail", "aria-hidden": "true" }, hit.label.trim().charAt(0));
}

// What a gallery is, in sentences.
export function describeGallery({ images, labels, unknown_beyond: limit, false_accepts: share }) {
  const said = [`Finds out which of ${count(labels, "label")} an image shows, by comparing it with ${count(images, "enrolled image")}.`];
  said.push(
    limit === null
      ? "There are too few images to tell when one shows something else."
      : `What is farther than ${limit.toFixed(3)} from all of them is unknown; about ${Math.round(100 * share)} in 100 strangers are nearer.`,
  );
  return said;
}
