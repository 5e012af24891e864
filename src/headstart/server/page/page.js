// The page: images in, answers out, and a history of both until it is left.
import { showAbout, showCard, showClasses } from "./about.js";
import { listenForFiles } from "./adding.js";
import { connect } from "./api.js";
import { watchBoxes } from "./boxes.js";
import { offerCamera } from "./camera.js";
import { save, toCsv } from "./csv.js";
import { byId, closable, say } from "./dom.js";
import { makePanel } from "./enrolling.js";
import { addRows, makeRow, markOpened, updateRow } from "./history.js";
import { askForKey } from "./key.js";
import { makeQueue } from "./queue.js";
import { showNothing, showResult, watchPicture } from "./result.js";
import { count, verdict } from "./words.js";

const AT_ONCE = 4;
const MOST = 1000;
// More classes than these are not listed for each image.
const TOP = 100;
const NEAREST = 3;
// More labels of a gallery than these are not listed.
const LISTED = 1000;

const status = (text) => (byId("status").textContent = text);
const speak = (text) => (byId("spoken").textContent = text);

const api = connect({ askKey: askForKey, tell: status });
const versions = new Set();
let models = [];
let model = null;
let entries = []; // As they are listed.
let opened = null;
let numbered = 0;
let batch = { images: 0, failed: 0, unknown: 0 };
let asking = new AbortController();

const coverage = () => Number(byId("coverage").value) || null;
const queue = makeQueue(classify, AT_ONCE, showProgress);

const route = () => (model.task === "search" ? "search" : "predict");
const panel = makePanel({ api, opened: () => opened, changed: galleryChanged });

function query(entry) {
  if (model.task === "search")
    return { gallery: model.name, name: entry.name, pictures: model.can.pictures };
  if (model.task === "boxes") return { model: model.name, name: entry.name };
  const asked = { model: model.name, name: entry.name, top: Math.min(model.classes.length, TOP) };
  if (model.can.nearest) asked.nearest = NEAREST;
  if (model.can.sets && coverage()) asked.coverage = coverage();
  return asked;
}

async function classify(entry) {
  const { signal } = asking;
  entry.state = "working";
  update(entry);
  try {
    const { answer, version } = await api.ask(route(), entry.file, query(entry), signal);
    if (signal.aborted) return;
    Object.assign(entry, { state: "answered", answer });
    noticeVersion(version);
  } catch (error) {
    if (signal.aborted) return;
    if (!error.reason) throw error;
    fail(entry, error);
    // Without a key no other image is answered, and the question was closed.
    if (error.status === 401) for (const other of queue.drain()) finish(fail(other, error));
  }
  finish(entry);
}

function fail(entry, { message, reason, passing }) {
  return Object.assign(entry, { state: "failed", error: message, reason, passing });
}

function finish(entry) {
  batch.failed += entry.state === "failed";
  batch.unknown += Boolean(entry.answer?.unknown);
  update(entry);
  tally();
  if (entry === opened && batch.images === 1) speak(spoken(entry));
}

function spoken(entry) {
  if (entry.state === "failed") return `${entry.name}: ${entry.error}`;
  if (!entry.answer) return `${entry.name}: waiting`;
  const { text, value } = verdict(entry.answer);
  if (entry.answer.hits && entry.answer.unknown) return `${entry.name}: unknown. ${text}`;
  const unknown = entry.answer.unknown ? ". Unlike all training images: do not rely on this." : "";
  return `${entry.name}: ${text} ${value}${unknown}`;
}

function update(entry) {
  updateRow(entry);
  if (entry === opened) showResult(entry, model, coverage());
}

function open(entry) {
  opened = entry;
  markOpened(entries, entry);
  showResult(entry, model, coverage());
  const place = entries.indexOf(entry);
  byId("position").textContent = `${place + 1} of ${entries.length}`;
  byId("previous").disabled = place === 0;
  byId("next").disabled = place === entries.length - 1;
  panel.refresh();
}

function openAndSay(entry) {
  open(entry);
  speak(spoken(entry));
}

function step(by) {
  const entry = entries[entries.indexOf(opened) + by];
  if (!entry) return;
  openAndSay(entry);
  entry.button.scrollIntoView({ block: "nearest" });
  // A button that is disabled loses the focus.
  const [pressed, other] = by < 0 ? ["previous", "next"] : ["next", "previous"];
  if (byId(pressed).disabled) byId(other).focus();
}

function add(files, target) {
  if (target?.closest?.("#enrol")) panel.add(files);
  else search(files);
}

function search(files) {
  if (!model || !files.length) return;
  const room = Math.max(0, MOST - entries.length);
  const full = `This page takes ${count(MOST, "image")} a visit. For more, use headstart predict.`;
  status(files.length > room ? full : "");
  const added = files.slice(0, room).map(({ file, name }) => ({
    id: (numbered += 1),
    file,
    name,
    ...unanswered(),
  }));
  if (!added.length) return;
  for (const entry of added) makeRow(entry, chosenFromList);
  entries = [...added, ...entries];
  document.body.classList.add("started");
  byId("visit").hidden = false;
  addRows(added);
  open(added[0]);
  enqueue(added);
  byId("result").scrollIntoView({ block: "nearest" });
}

function chosenFromList(entry) {
  openAndSay(entry);
  byId("result").scrollIntoView({ block: "nearest" });
}

const unanswered = () => ({
  state: "waiting",
  answer: null,
  error: null,
  reason: null,
  passing: false,
  heat: null,
  heatShown: false,
  heatProblem: null,
  drawing: false,
});

function enqueue(some) {
  batch.images += some.length;
  tally();
  queue.add(some);
}

function tally() {
  const failed = entries.filter(({ state }) => state === "failed").length;
  const unknown = entries.filter(({ answer }) => answer?.unknown).length;
  const parts = [count(entries.length, "image")];
  if (unknown) parts.push(`${unknown} unknown`);
  if (failed) parts.push(count(failed, "error"));
  byId("tally").textContent = parts.join(", ");
  byId("save").disabled = !entries.some(isDone);
}

const isDone = ({ state }) => state === "answered" || state === "failed";

function showProgress({ done, total, left }) {
  byId("progress").hidden = !left || total < 2;
  const bar = byId("progress").querySelector("progress");
  [bar.max, bar.value] = [total || 1, done];
  byId("progress-text").textContent = `${done} of ${total}`;
  if (left) return;
  const { images, failed, unknown } = batch;
  batch = { images: 0, failed: 0, unknown: 0 };
  if (images < 2) return;
  const parts = [`${count(images, "image")} done`];
  if (unknown) parts.push(`${unknown} unknown`);
  if (failed) parts.push(`${failed} failed`);
  speak(`${parts.join(", ")}.`);
}

// Stops what runs. What has no answer then is asked again, or dropped.
function interrupt() {
  asking.abort();
  asking = new AbortController();
  queue.drain();
  batch = { images: 0, failed: 0, unknown: 0 };
}

function askAgain(some) {
  for (const entry of some) {
    Object.assign(entry, unanswered());
    update(entry);
  }
  enqueue(some);
}

function askAllAgain() {
  interrupt();
  if (entries.length) askAgain(entries);
}

function stop() {
  interrupt();
  keep(entries.filter(isDone));
  status("Stopped.");
  byId("choose").focus();
}

function keep(kept) {
  for (const entry of entries) if (!kept.includes(entry)) entry.row.remove();
  entries = kept;
  tally();
  if (entries.length) {
    open(entries.includes(opened) ? opened : entries[0]);
    return;
  }
  opened = null;
  showNothing();
  byId("visit").hidden = true;
  document.body.classList.remove("started");
}

function clear() {
  interrupt();
  keep([]);
  status("Cleared.");
  byId("choose").focus();
}

async function toggleHeat() {
  const entry = opened;
  if (entry.drawing) return;
  entry.heatProblem = null;
  if (entry.heat) {
    entry.heatShown = !entry.heatShown;
    update(entry);
    return;
  }
  entry.drawing = true;
  update(entry);
  speak("Drawing the heat map.");
  const { signal } = asking;
  try {
    const { answer } = await api.ask(route(), entry.file, { ...query(entry), explain: true }, signal);
    if (!signal.aborted) Object.assign(entry, { heat: answer.heat_map, heatShown: true });
    if (entry === opened) speak("The heat map is shown.");
  } catch (error) {
    if (!error.reason && !signal.aborted) throw error;
    entry.heatProblem = error.reason;
  }
  entry.drawing = false;
  update(entry);
}

// A model can be replaced while it is served. Then the earlier answers are not its answers.
async function noticeVersion(version) {
  if (!version || versions.has(version)) return;
  versions.add(version);
  try {
    await loadModels(model.name);
  } catch (error) {
    if (!error.reason) throw error;
    status(error.reason);
    return;
  }
  askAllAgain();
  status("The model was replaced. Your images are sent to the new one.");
}

function choose(name) {
  model = models.find((one) => one.name === name) ?? models[0];
  versions.add(model.version);
  showAbout(models, model);
  byId("options").hidden = !model.can.sets;
  showPanel();
}

async function showPanel() {
  try {
    const shown = model;
    const counts = await panel.show(shown.task === "search" ? shown : null);
    if (counts && shown === model) showClasses(Object.keys(counts).slice(0, LISTED), counts);
  } catch (error) {
    if (!error.reason) throw error;
    status(error.reason);
  }
}

// All images of the visit are searched again: what was unknown may now be known.
async function galleryChanged(text) {
  try {
    await loadModels(model.name);
  } catch (error) {
    if (!error.reason) throw error;
    status(error.reason);
    return;
  }
  askAllAgain();
  speak(text);
}

async function loadModels(name) {
  const [trained, galleries] = await Promise.all([api.models(), api.galleries()]);
  models = [...trained, ...galleries.map(asModel)];
  if (models.length) choose(name);
}

// A gallery has no classes that are known beforehand.
const asModel = (gallery) => ({ ...gallery, task: "search", classes: [] });

async function start() {
  byId("retry").hidden = true;
  status("");
  try {
    await loadModels();
    if (!models.length)
      throw Object.assign(new Error(), { reason: "No model is served at the moment." });
  } catch (error) {
    if (!error.reason) throw error;
    status(error.reason);
    byId("retry").hidden = false;
    return;
  }
  byId("choose").disabled = byId("photograph").disabled = false;
}

byId("retry").addEventListener("click", start);
byId("model").addEventListener("change", () => {
  choose(byId("model").value);
  askAllAgain();
});
byId("coverage").addEventListener("change", askAllAgain);
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
// What failed for one image, such as the network, probably failed for others.
byId("again").addEventListener("click", () => askAgain(entries.filter(({ passing }) => passing)));
byId("heat").addEventListener("click", toggleHeat);
byId("stop").addEventListener("click", stop);
byId("clear").addEventListener("click", clear);
byId("save").addEventListener("click", () => {
  const done = entries.filter(isDone).sort((a, b) => a.id - b.id);
  save(toCsv(done, model, coverage()), `${model.name}-predictions.csv`);
  speak(`${count(done.length, "result")} saved.`);
});
closable(byId("card"));
byId("read-card").addEventListener("click", () => showCard(api, model));
watchPicture();
watchBoxes();
listenForFiles(add);
offerCamera(add);
await start();
