// What the page says about the model: above, in the footer, and its card.
import { byId, element, say } from "./dom.js";
import { render } from "./markdown.js";
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
  const many = model.classes.length > NAMED;
  byId("classes").hidden = !many;
  byId("classes").querySelector("summary").textContent =
    `All ${count(model.classes.length, "label")}`;
  byId("classes")
    .querySelector("ul")
    .replaceChildren(...(many ? model.classes : []).map((name) => element("li", {}, name)));
  say(byId("problem"), model.problem);
  byId("origin").replaceChildren(
    ...[
      `Model ${model.name}`,
      `version ${model.version}`,
      `backbone ${model.backbone}`,
      ...(model.test ? [`test ${model.test}`] : []),
    ].map((text) => element("span", {}, text)),
  );
  byId("read-card").hidden = false;
}

function purpose(model) {
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
    text.replaceChildren(...render(await api.card(model.name)));
  } catch (error) {
    if (!error.reason) throw error;
    text.replaceChildren(element("p", {}, error.reason));
  }
}
