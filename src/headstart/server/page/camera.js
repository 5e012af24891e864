// A photo by the camera. Where a page may not use it, as over HTTP, phones offer their own app.
import { byId, closable } from "./dom.js";
import { numbered } from "./adding.js";

const REASONS = {
  NotAllowedError:
    "The browser does not let this page use the camera. Allow it in the settings of the page.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program.",
};

export function offerCamera(add) {
  const button = byId("photograph");
  const dialog = byId("camera");
  const video = byId("video");
  let stream = null;
  let opened = 0;
  let facing = "environment";

  const tell = (text) => (byId("camera-state").textContent = text);

  const stop = () => {
    opened += 1;
    stream?.getTracks().forEach((track) => track.stop());
    stream = video.srcObject = null;
    byId("shoot").disabled = true;
  };

  async function start() {
    stop();
    const mine = opened;
    tell("Starting the camera …");
    try {
      const wanted = {
        facingMode: { ideal: facing },
        width: { ideal: 1920 },
        height: { ideal: 1080 },
      };
      const given = await navigator.mediaDevices.getUserMedia({ video: wanted });
      if (mine !== opened) {
        given.getTracks().forEach((track) => track.stop());
        return;
      }
      stream = video.srcObject = given;
      await video.play();
      if (mine !== opened) return;
      tell("");
      byId("shoot").disabled = false;
      byId("shoot").focus();
      const devices = (await navigator.mediaDevices.enumerateDevices?.()) ?? [];
      byId("turn").hidden = devices.filter(({ kind }) => kind === "videoinput").length < 2;
    } catch (error) {
      if (mine !== opened) return;
      tell(REASONS[error.name] ?? "The camera cannot be used.");
    }
  }

  async function shoot() {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    dialog.close();
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
    const name = numbered("photo", "jpg");
    add([{ file: new File([blob], name, { type: blob.type }), name }]);
  }

  closable(dialog);
  dialog.addEventListener("close", stop);
  byId("shoot").addEventListener("click", shoot);
  byId("turn").addEventListener("click", () => {
    facing = facing === "environment" ? "user" : "environment";
    start();
  });
  if (navigator.mediaDevices?.getUserMedia) {
    button.hidden = false;
    button.addEventListener("click", () => {
      dialog.showModal();
      start();
    });
  } else if (matchMedia("(pointer: coarse)").matches) {
    button.hidden = false;
    button.addEventListener("click", () => byId("capture").click());
  }
}
