// What has been learnt, and the work that makes a model of it.
import { byId, say } from "../../page/dom.js";
import { drawCurve } from "./curve.js";

const BEGIN = "Label a few images of two classes, and a model learns from them at once.";
const BOXES = "Draw boxes in some images, then press Finish to train a detector.";
const LIKE_TEST = "Each was predicted by a model that was not shown its label.";

export class Model {
  constructor(project) {
    this.project = project;
    const press = (id, path, row) => byId(id).addEventListener("click", () => project.send(path, row?.()));
    press("train", "studio/train");
    press("finish", "studio/finish", () => ({ tune: byId("tune").checked }));
    press("export", "studio/export", () => ({ format: byId("format").value }));
    press("cancel", "studio/job/cancel");
    byId("pause").addEventListener("click", () =>
      project.send(`studio/job/${project.job.paused ? "continue" : "pause"}`),
    );
  }

  show() {
    const { learnt, study, lesson, kind, job } = this.project;
    const fresh = study?.lesson === lesson ? study : null;
    const verdict = fresh?.verdict || learnt.verdict;
    const aside = learnt.tested ? ` ${learnt.tested.toLocaleString()} more are kept aside to test the model.` : "";
    const what = fresh ? "The full head" : "The live probe";
    byId("verdict").textContent = verdict
      ? `${what}: ${verdict}. ${LIKE_TEST}${aside}`
      : learnt.why_not || (kind === "boxes" ? BOXES : BEGIN);
    this.showCurve(fresh);
    say(byId("advice"), fresh?.advice);
    const boxed = kind === "boxes" && [...this.project.items.values()].some(({ boxes }) => boxes.length);
    byId("train").disabled = job.running || !learnt.verdict;
    byId("finish").disabled = job.running || !(learnt.verdict || boxed);
    this.showJob();
    this.showFinished();
  }

  showCurve(study) {
    const { learnt, history, kind } = this.project;
    if (learnt.score) {
      // After an undo, what was known of more images is no longer true.
      while (history.length && history.at(-1)[0] >= learnt.images) history.pop();
      history.push([learnt.images, learnt.score]);
    }
    const points = study?.points.length ? [...study.points, ...study.forecasts] : history;
    byId("curve").hidden = points.length < 2;
    if (points.length < 2) return;
    const expected = study?.points.length ? study.forecasts.length : 0;
    drawCurve(byId("curve").querySelector("svg"), points, expected);
    byId("curve-title").textContent = study?.points.length
      ? "Accuracy of linear heads that learnt from fewer images, and what to expect of more; 90% intervals"
      : `${kind === "multi" ? "Macro AUROC" : "Accuracy"} after each refit, on held-out folds`;
  }

  showJob() {
    const { job } = this.project;
    byId("job").hidden = !job.running;
    const bar = byId("bar");
    if (job.total) [bar.max, bar.value] = [job.total, job.done];
    else bar.removeAttribute("value");
    byId("stage").textContent = job.paused ? `Paused: ${job.stage}` : `${job.stage} …`;
    byId("pause").textContent = job.paused ? "Continue" : "Pause";
    const warnings = job.warnings.map((text) => `Warning: ${text}`);
    say(byId("failed"), [job.running ? "" : job.error, ...warnings].filter(Boolean).join(" "));
  }

  showFinished() {
    const { finished, lesson, job, kind } = this.project;
    byId("finished").hidden = !finished || (job.running && job.name === "finish");
    if (!finished) return;
    byId("stale").hidden = finished.lesson === lesson;
    byId("where").textContent = finished.run;
    byId("tested").textContent = finished.verdict ? `: ${finished.verdict}` : "";
    byId("export").disabled = job.running;
    const exported = byId("exported");
    exported.hidden = !finished.exported;
    const link = document.createElement("a");
    [link.href, link.download, link.textContent] = ["studio/archives/export", "", "Download the export"];
    const same = kind === "boxes" ? "boxes" : "labels";
    const done = job.name === "export" && !job.running && job.result;
    const checked = done ? `; it gives the same ${same} as the model for ${job.result.images.toLocaleString()} images.` : "";
    exported.replaceChildren(link, checked);
  }
}
