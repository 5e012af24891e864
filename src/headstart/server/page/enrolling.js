// The panel that enrols photos in a gallery, and removes labels from it.
import { named } from "./adding.js";
import { byId, closable, element, say } from "./dom.js";
import { keepPreview, smallPicture } from "./previews.js";
import { suffixOf } from "./thumbnails.js";
import { count } from "./words.js";

const MOST = 100;
// So many labels are proposed while one is typed.
const PROPOSED = 1000;

// opened() is the open image; changed(text) is called when the gallery has other images than before.
export function makePanel({ api, opened, changed }) {
  let gallery = null;
  let counts = {};
  let photos = []; // As they are listed: { file, name, item }.
  let busy = false;

  const tell = (text) => (byId("enrol-status").textContent = text);
  const label = () => byId("enrol-label").value.trim();
  const known = () => counts[label()] ?? 0;

  function refresh() {
    const able = !busy && gallery?.can.change;
    byId("enrol-send").disabled = !able || !photos.length || !label();
    byId("enrol-send").textContent = photos.length
      ? `Enrol ${count(photos.length, "photo")}`
      : "Enrol photos";
    byId("enrol-remove").disabled = !able || !known();
    say(byId("enrol-known"), known() && `${count(known(), "image")} enrolled under this label.`);
    const entry = opened();
    byId("enrol-opened").hidden = !entry || photos.some(({ file }) => file === entry.file);
    byId("enrol-photos").hidden = !photos.length;
  }

  function add(files) {
    if (!gallery?.can.change || !files.length) return;
    const room = Math.max(0, MOST - photos.length);
    tell(files.length > room ? `At most ${count(MOST, "photo")} at a time.` : "");
    for (const { file, name } of files.slice(0, room)) {
      const photo = { file, name: name.split("/").pop() };
      photo.item = drawn(photo);
      byId("enrol-photos").append(photo.item);
      photos.push(photo);
    }
    refresh();
  }

  function drawn(photo) {
    const holder = element("span", { class: "thumbnail" }, suffixOf(photo.name));
    const button = element("button", { type: "button" }, "×");
    button.setAttribute("aria-label", `Leave out ${photo.name}`);
    button.addEventListener("click", () => {
      forget([photo]);
      byId("enrol-choose").focus();
    });
    smallPicture(photo.file).then((source) => {
      if (source) holder.replaceChildren(element("img", { src: source, alt: photo.name }));
    });
    return element("li", {}, holder, button);
  }

  function forget(some) {
    for (const { item } of some) item.remove();
    photos = photos.filter((one) => !some.includes(one));
    refresh();
  }

  // Runs a change; the panel waits for it.
  async function change(work) {
    busy = true;
    tell("In progress …");
    refresh();
    try {
      const text = await work();
      tell(text);
      changed(text);
    } catch (error) {
      if (!error.reason) throw error;
      tell(error.message);
    } finally {
      busy = false;
      refresh();
    }
  }

  const enrol = () =>
    change(async () => {
      const sent = photos;
      const done = await api.enrol(gallery.name, label(), columns(), sent);
      await Promise.all(sent.map(({ file, name }) => keepPreview(`${done.label}/${name}`, file)));
      forget(sent);
      byId("enrol-label").value = byId("enrol-columns").value = "";
      const before = done.enrolled_before.length;
      const added = `Enrolled ${count(done.changed, "photo")} as “${done.label}”.`;
      return before ? `${added} ${count(before, "photo")} had been enrolled before.` : added;
    });

  const remove = () =>
    change(async () => {
      const done = await api.remove(gallery.name, label());
      byId("enrol-label").value = "";
      return `Removed “${done.label}” with ${count(done.changed, "image")}.`;
    });

  for (const id of ["enrol-label", "enrol-columns"])
    byId(id).addEventListener("input", () => (tell(""), refresh()));
  byId("enrol-choose").addEventListener("click", () => byId("enrol-files").click());
  byId("enrol-files").addEventListener("change", (event) => {
    add(Array.from(event.target.files, (file) => named(file)));
    event.target.value = "";
  });
  byId("enrol-opened").addEventListener("click", () => {
    add([opened()]);
    byId("enrol-label").focus();
  });
  byId("enrol-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!byId("enrol-send").disabled) enrol();
  });
  byId("enrol-remove").addEventListener("click", () => {
    byId("remove-label").textContent = label();
    byId("remove-count").textContent = count(known(), "image");
    byId("remove").showModal();
  });
  closable(byId("remove"));
  byId("remove-now").addEventListener("click", () => {
    byId("remove").close();
    remove();
  });

  return {
    add,
    refresh,
    // Shows the panel of a gallery, or hides it for a model. Returns the number of images by label.
    async show(one) {
      if (one?.name !== gallery?.name) byId("enrol").hidden = true;
      gallery = one;
      if (!one) return null;
      const found = (await api.gallery(one.name)).images_of;
      if (gallery !== one) return null;
      counts = found;
      byId("enrol").hidden = false;
      byId("enrol-form").hidden = !one.can.change;
      byId("enrol-off").hidden = one.can.change;
      byId("enrol-labels").replaceChildren(
        ...Object.keys(counts)
          .slice(0, PROPOSED)
          .map((value) => element("option", { value })),
      );
      refresh();
      return counts;
    },
  };
}

// Other columns, one a line: "price: 3.20".
function columns() {
  const lines = byId("enrol-columns").value.split("\n");
  const pairs = lines.map((line) => line.split(/:(.*)/s).map((part) => part?.trim()));
  return Object.fromEntries(pairs.filter(([name, value]) => name && value));
}
