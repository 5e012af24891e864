// The image that is open, and the answer to it.
import { showBoxes } from "./boxes.js";
import { byId, element, say } from "./dom.js";
import { showFoundItems } from "./search.js";
import { suffixOf } from "./thumbnails.js";
import { count, kinds, listed, percent, verdict } from "./words.js";

const SHOWN = 5;
const STATES = { waiting: "This image waits for its turn.", working: "In progress …" };

let shown = null;
let address = "";

const revoke = () => {
  if (address) URL.revokeObjectURL(address);
  address = "";
};

export function showNothing() {
  revoke();
  shown = null;
  byId("picture").removeAttribute("src");
  showBoxes(null);
}

export function showResult(entry, model, coverage) {
  if (entry !== shown) {
    shown = entry;
    byId("name").textContent = entry.name;
    byId("more").open = false;
    revoke();
    address = URL.createObjectURL(entry.file);
  }
  showPicture(entry);
  byId("result").setAttribute("aria-busy", String(!entry.answer && !entry.error));
  say(byId("state"), STATES[entry.state]);
  byId("error").hidden = entry.state !== "failed";
  byId("error").querySelector("p").textContent = entry.error ?? "";
  byId("again").hidden = !entry.passing;
  byId("answer").hidden = !entry.answer;
  const finds = model.task === "boxes";
  byId("result").classList.toggle("finds", finds);
  const searches = model.task === "search";
  byId("details").hidden = !entry.answer || finds || searches;
  byId("result").classList.toggle("searches", searches);
  byId("matches").hidden = byId("items").hidden = !entry.answer || !searches;
  byId("stranger").hidden = true;
  showBoxes(finds ? entry.answer : null, model);
  if (!entry.answer) return;
  if (finds) showFound(entry.answer);
  else if (searches) showFoundItems(entry.answer, model);
  else showAnswer(entry.answer, model, coverage);
}

function showFound({ boxes }) {
  byId("kind").textContent = "Found";
  const text = boxes.length ? count(boxes.length, "object") : "No objects found";
  byId("label").replaceChildren(text);
  byId("label").classList.toggle("doubtful", !boxes.length);
  for (const id of ["unknown", "differs", "set"]) byId(id).hidden = true;
  say(byId("kinds"), kinds(boxes).join(", "));
}

function showPicture(entry) {
  const picture = byId("picture");
  const heat = entry.heatShown && entry.heat;
  const source = heat || address;
  if (picture.getAttribute("src") !== source) {
    picture.hidden = false;
    byId("no-picture").hidden = true;
    picture.src = source;
  }
  const explained = heat && explainedLabel(entry.answer);
  picture.alt = heat ? `Heat map of ${entry.name} for ${explained}` : entry.name;
  say(byId("caption"), captionOf(entry, explained));
  const button = byId("heat");
  button.hidden = !entry.answer || Boolean(entry.answer.boxes || entry.answer.hits);
  button.setAttribute("aria-disabled", String(entry.drawing));
  button.setAttribute("aria-pressed", String(Boolean(heat)));
}

function captionOf(entry, explained) {
  if (entry.drawing) return "Drawing the heat map. This takes a few seconds.";
  if (entry.heatProblem) return entry.heatProblem;
  return explained && `Orange parts support “${explained}”, blue parts speak against it.`;
}

// A heat map is that of the label, or of the most probable one of several.
const explainedLabel = (answer) => answer.label ?? answer.top[0].label;

export function watchPicture() {
  byId("picture").addEventListener("error", () => {
    if (!shown) return;
    byId("picture").hidden = true;
    const kind = suffixOf(shown.name);
    const what = kind === "FILE" ? "such files" : `${kind} files`;
    say(
      byId("no-picture"),
      shown.state === "failed"
        ? "No picture"
        : `This browser cannot show ${what}, but the model can read them.`,
    );
  });
}

function showAnswer(answer, model, coverage) {
  const { text, value } = verdict(answer);
  const several = model.task === "multi";
  byId("kind").textContent = several ? "Labels" : "Label";
  byId("kinds").hidden = true;
  byId("label").replaceChildren(
    ...(several && !answer.labels.length
      ? [element("span", {}, "None reaches its threshold")]
      : [element("bdi", {}, text), " ", element("span", { class: "value" }, value)]),
  );
  byId("label").classList.toggle("doubtful", Boolean(answer.unknown));
  byId("unknown").hidden = !answer.unknown;
  byId("advice").textContent = several ? "these labels" : "this label";
  const other = !several && answer.label !== answer.top[0].label;
  say(
    byId("differs"),
    other && `Not the most probable label: the operating point (${model.operating_point}) decides.`,
  );
  say(byId("set"), coverage && answer.set && setSentence(answer.set, coverage));
  showBars(answer);
  showNearest(answer, model);
}

function setSentence(labels, coverage) {
  const share = `${Math.round(100 * coverage)}% coverage`;
  if (!labels.length) return `With ${share}, no label is likely enough.`;
  return `With ${share}: ${listed(labels, "or")}.`;
}

function showBars(answer) {
  const chosen = new Set(answer.labels ? answer.labels.map(({ label }) => label) : [answer.label]);
  const bars = answer.top.map(({ label, probability }) => {
    const fill = element("span", { class: "fill" });
    fill.style.width = `${100 * probability}%`;
    return element(
      "li",
      { class: chosen.has(label) ? "bar chosen" : "bar" },
      element("bdi", { class: "what" }, label),
      element("span", { class: "track", "aria-hidden": "true" }, fill),
      element("span", { class: "value" }, percent(probability)),
    );
  });
  byId("bars").replaceChildren(...bars.slice(0, SHOWN));
  const rest = bars.slice(SHOWN);
  const more = byId("more");
  more.hidden = !rest.length;
  more.querySelector("summary").textContent = `${count(rest.length, "more label")}`;
  more.querySelector("ul").replaceChildren(...rest);
}

function showNearest(answer, model) {
  const near = answer.nearest ?? [];
  const several = model.task === "multi";
  byId("near").hidden = !near.length;
  const pictured = near.some(({ picture }) => picture);
  byId("nearest").classList.toggle("pictured", pictured);
  byId("nearest").replaceChildren(
    ...near.map(({ label, distance, picture }) =>
      element(
        "li",
        {},
        ...(picture ? [element("img", { src: picture, alt: "" })] : []),
        element("bdi", {}, several ? label.replaceAll("|", ", ") : label),
        element("small", {}, `distance ${distance.toFixed(2)}`),
      ),
    ),
  );
  const from = pictured ? "Among the training images whose pictures the model keeps. " : "";
  const scale = model.can.unknown ? "At a mean distance of 1, an image counts as unknown." : "";
  say(byId("near-foot"), from + scale);
}
