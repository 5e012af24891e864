// What the page says about the model: above, in the footer, and its card.
import { byId, element, say } from "./dom.js";
import { render } from "./markdown.js";
import { describeGallery } from "./search.js";
import { count, listed, sentence } from "./words.js";

// So many classes are named in a sentence.
const NAMED = 4;

export function showAbout(models, model) {
  document.title = `${model.name} – Headstart`;
  byId("title").textContent = model.name;
  byId("models").hidden = models.length < 2;
  byId("model").replaceChildren(
    ...models.map(({ name }) => element("option", { value: name }, name)),
  );
  byId("model").value = model.name;
  byId("about").replaceChildren(...purpose(model).flatMap((one) => [one, " "]));
  showClasses(model.classes.length > NAMED ? model.classes : []);
  say(byId("problem"), model.problem);
  byId("origin").replaceChildren(
    ...[
      `${model.task === "search" ? "Gallery" : "Model"} ${model.name}`,
      `version ${model.version}`,
      `backbone ${model.backbone}`,
      ...(model.test ? [`test ${model.test}`] : []),
    ].map((text) => element("span", {}, text)),
  );
  byId("read-card").hidden = false;
  const what = model.task === "search" ? "Gallery" : "Model";
  byId("read-card").textContent = byId("card-title").textContent = `${what} card`;
  const kinds = new Set(models.map(({ task }) => task === "search"));
  byId("models").querySelector("label").textContent = kinds.size > 1 ? "Model or gallery" : what;
}

// Lists the classes of a model, or the labels of a gallery with the number of their images.
export function showClasses(names, counts) {
  byId("classes").hidden = !names.length;
  byId("classes").querySelector("summary").textContent = `All ${count(names.length, "label")}`;
  byId("classes")
    .querySelector("ul")
    .replaceChildren(
      ...names.map((name) => {
        const item = element("li", {}, element("bdi", {}, name));
        if (counts) item.append(" ", element("small", {}, count(counts[name], "image")));
        return item;
      }),
    );
}

function purpose(model) {
  if (model.task === "search") return describeGallery(model);
  const { classes, task, test, operating_point: point, can } = model;
  const noun = task === "multi" ? "labels" : "classes";
  const which = classes.length > NAMED ? `${classes.length} ${noun}` : listed(classes, "and");
  const does = {
    boxes: `Finds ${which} in images, and draws a box around each object.`,
    multi: `Finds ${which} in images.`,
  };
  const said = [does[task] ?? `Tells ${which} apart.`];
  if (test) said.push(sentence(`On held-out test images: ${test}`));
  if (point) said.push(`Operating point: ${point}.`);
  if (!can.unknown) said.push("It cannot tell when an image is unlike its training images.");
  return said;
}

export async function showCard(api, model) {
  const text = byId("card-text");
  text.replaceChildren(element("p", {}, "Loading …"));
  byId("card").showModal();
  byId("card").scrollTop = 0;
  try {
    const kind = model.task === "search" ? "galleries" : "models";
    const card = (await api.card(kind, model.name)) || "It was made without a card.";
    text.replaceChildren(...render(card));
  } catch (error) {
    if (!error.reason) throw error;
    text.replaceChildren(element("p", {}, error.reason));
  }
}
