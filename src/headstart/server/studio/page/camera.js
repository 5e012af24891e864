// The camera: predictions for its picture, and recordings for a class.
import { byId, closable, element } from "../../page/dom.js";

const REASONS = {
  NotAllowedError: "The browser does not let this page use the camera. Allow it in the settings of the page.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program.",
};
const LOOK = 320; // Pixels of the longer side of what the model is asked about.
const KEPT = 1280; // The same of what is recorded.
const EVERY = 100; // Milliseconds between the images of a recording.
const GROUP = 2000; // Milliseconds of a recording that are one group.

export class Camera {
  constructor(project) {
    Object.assign(this, { project, stream: null, recording: false, looking: false, taken: 0, kept: 0 });
    Object.assign(this, { dialog: byId("camera"), video: byId("video"), sending: Promise.resolve() });
    closable(this.dialog);
    this.dialog.addEventListener("close", () => this.stop());
    byId("try").addEventListener("click", () => this.dialog.showModal());
    byId("start-camera").addEventListener("click", () => (this.stream ? this.stop() : this.start()));
    byId("try-file").addEventListener("click", () => byId("tried-file").click());
    byId("tried-file").addEventListener("change", ({ target }) => {
      if (target.files[0]) this.tryFile(target.files[0]);
      target.value = "";
    });
    byId("shoot").addEventListener("click", () => this.keep(`camera ${new Date().toISOString()}`));
    const button = byId("record");
    button.addEventListener("pointerdown", ({ pointerId }) => {
      if (pointerId) button.setPointerCapture(pointerId); // It may be released elsewhere.
      this.record();
    });
    button.addEventListener("keydown", ({ key, repeat }) => [" ", "Enter"].includes(key) && !repeat && this.record());
    for (const name of ["pointerup", "pointercancel", "keyup", "blur"]) button.addEventListener(name, () => (this.recording = false));
    navigator.mediaDevices ?? (byId("start-camera").disabled = true);
  }

  // Shows what has changed in the project.
  show() {
    const { classes, kind } = this.project;
    const into = byId("into");
    if ([...into.options].map(({ value }) => value).join("\n") !== ["", ...classes].join("\n")) {
      const chosen = into.value;
      into.replaceChildren(element("option", { value: "" }, "without a label"), ...classes.map((name) => element("option", { value: name }, name)));
      into.value = classes.includes(chosen) ? chosen : "";
    }
    into.disabled = kind === "boxes";
  }

  async start() {
    if (this.starting) return;
    this.starting = true;
    this.tell("Starting the camera …");
    try {
      const wanted = { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: { ideal: "environment" } };
      this.stream = await navigator.mediaDevices.getUserMedia({ video: wanted });
      if (!this.dialog.open) return this.stop(); // It was closed before the browser had allowed it.
      this.video.srcObject = this.stream;
      await this.video.play();
    } catch (error) {
      this.stop();
      return this.tell(REASONS[error.name] ?? "The camera cannot be used.");
    } finally {
      this.starting = false;
    }
    this.tell("");
    this.showTried(null);
    byId("start-camera").textContent = "Stop the camera";
    byId("record").disabled = byId("shoot").disabled = false;
    this.follow();
  }

  stop() {
    this.recording = false;
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = this.video.srcObject = null;
    byId("start-camera").textContent = "Start the camera";
    byId("record").disabled = byId("shoot").disabled = true;
    byId("speed").textContent = "";
  }

  tell(text) {
    byId("camera-state").textContent = text;
  }

  async picture(side, quality) {
    const { videoWidth, videoHeight } = this.video;
    const scale = Math.min(1, side / Math.max(videoWidth, videoHeight));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.round(videoWidth * scale), Math.round(videoHeight * scale)];
    canvas.getContext("2d").drawImage(this.video, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
  }

  // Asks the model about one picture after the other while the camera runs.
  async follow() {
    const times = [];
    while (this.stream) {
      const began = performance.now();
      if (!this.recording && !document.hidden && this.project.learnt.verdict) {
        const answer = await this.ask(await this.picture(LOOK, 0.9));
        const now = performance.now();
        if (answer) {
          times.push(now);
          while (now - times[0] > 2000) times.shift();
          const rate = times.length > 1 ? (1000 * (times.length - 1)) / (now - times[0]) : 0;
          byId("speed").textContent = `${rate.toFixed(0)} images/s, each answered after ${Math.round(now - began)} ms`;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, Math.max(5, 33 - (performance.now() - began))));
    }
  }

  // Shows what the model takes a picture for; returns whether it has answered.
  async ask(blob) {
    this.asked = blob;
    try {
      const answer = await this.project.look(blob);
      if (this.asked !== blob) return false; // Another picture is shown meanwhile.
      this.tell("");
      byId("unknown").hidden = !answer.unknown;
      byId("answer").replaceChildren(...answer.top.map((each) => bar(each)));
      return true;
    } catch (error) {
      byId("answer").replaceChildren();
      byId("unknown").hidden = true;
      this.tell(error.message);
      await new Promise((resolve) => setTimeout(resolve, 500));
      return false;
    }
  }

  async tryFile(file) {
    this.stop();
    this.showTried(file);
    await this.ask(file);
  }

  showTried(file) {
    const image = byId("tried");
    if (image.src) URL.revokeObjectURL(image.src);
    image.hidden = !file;
    this.video.hidden = Boolean(file);
    if (file) image.src = URL.createObjectURL(file);
  }

  async record() {
    if (this.recording || !this.stream) return;
    this.recording = true;
    const began = Date.now();
    const name = new Date(began).toISOString();
    while (this.recording && this.stream) {
      const at = Date.now();
      await this.keep(`camera ${name} ${Math.floor((at - began) / GROUP) + 1}`);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, EVERY - (Date.now() - at))));
    }
  }

  // Adds the picture that the camera sees now.
  async keep(group) {
    const blob = await this.picture(KEPT, 0.92);
    const name = `camera-${new Date().toISOString().replace(/[:.]/g, "-")}.jpg`;
    const label = this.project.kind === "boxes" ? "" : byId("into").value;
    this.taken += 1;
    this.sending = this.sending
      .then(() => this.project.add(blob, { name, label, group }))
      .then(() => (this.kept += 1))
      .catch((error) => this.tell(error.message))
      .finally(() => (byId("recorded").textContent = `${this.kept} of ${this.taken} images added.`));
    byId("recorded").textContent = `${this.kept} of ${this.taken} images added.`;
  }
}

function bar({ label, probability }) {
  const percent = `${Math.round(100 * probability)}%`;
  const meter = element("meter", { min: 0, max: 1, value: probability, "aria-label": label });
  return element("li", {}, element("bdi", {}, label), meter, element("span", {}, percent));
}
