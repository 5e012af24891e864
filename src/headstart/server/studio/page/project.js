// What the page knows of the project, kept up to date by the server. Two tabs see the same.
const byName = new Intl.Collator(undefined, { numeric: true }).compare;
const PAUSE = 60; // Milliseconds between answers: progress comes often.

export class Project extends EventTarget {
  constructor() {
    super();
    Object.assign(this, { number: -1, version: 0, kind: "single", classes: [], problems: {} });
    this.items = new Map();
    this.names = []; // Of all images, sorted.
    this.job = { name: "" };
    this.finished = this.study = null;
    this.learnt = { version: -1, guesses: {}, doubts: [], next: [], alike: [], duplicates: [] };
    this.history = []; // [images, accuracy in percent] after each refit.
  }

  // Asks for changes again and again; the server answers as soon as there are some.
  async follow() {
    for (;;) {
      let pause = PAUSE;
      try {
        const { number, version, learnt } = this;
        const path = `studio/state?since=${number}&seen=${version}&learnt=${learnt.version}`;
        this.take(await answered(await fetch(path)));
      } catch (error) {
        this.complain(error.message);
        this.version = 0;
        pause = 2000;
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  take({ items, learnt, ...state }) {
    let fresh = !this.version;
    if (fresh) this.items.clear();
    for (const [name, item] of Object.entries(items)) {
      fresh ||= !item || !this.items.has(name);
      if (item) this.items.set(name, item);
      else this.items.delete(name);
    }
    if (fresh) this.names = [...this.items.keys()].sort(byName);
    Object.assign(this, state);
    if (learnt) this.learnt = learnt;
    this.dispatchEvent(new Event("change"));
  }

  complain(text) {
    this.dispatchEvent(new CustomEvent("problem", { detail: text }));
  }

  act(row) {
    return this.send("studio/acts", row);
  }

  // Returns the answer, or null if it is an error, which is shown.
  async send(path, row = {}) {
    try {
      const headers = { "Content-Type": "application/json" };
      const body = JSON.stringify(row);
      const answer = await answered(await fetch(path, { method: "POST", headers, body }));
      this.complain("");
      return answer;
    } catch (error) {
      this.complain(error.message);
      return null;
    }
  }

  add(file, { name = file.name || "pasted.png", label = "", group = "" } = {}) {
    const query = new URLSearchParams({ name, label, group });
    return ask(`studio/files?${query}`, file);
  }

  // What the model takes an image for, which is not kept.
  look(file) {
    return ask("studio/look", file);
  }
}

const ask = async (path, body) => answered(await fetch(path, { method: "POST", body }));

export async function answered(response) {
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new Error(body.detail || `The studio answered with status ${response.status}.`);
}

export const pathOf = (name) => name.split("/").map(encodeURIComponent).join("/");
