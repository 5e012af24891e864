// What the page knows of the project, kept up to date by the server. Two tabs see the same.
export class Project extends EventTarget {
  constructor() {
    super();
    this.number = -1;
    this.version = 0;
    this.items = new Map();
    this.classes = [];
    this.problems = {};
    this.finish = {};
    this.learnt = { guesses: {}, doubts: [], next: [], alike: [], why_not: "", verdict: "" };
  }

  // Asks for changes again and again; the server answers as soon as there are some.
  async follow() {
    for (;;) {
      try {
        const path = `studio/state?since=${this.number}&seen=${this.version}`;
        this.take(await answered(await fetch(path)));
      } catch (error) {
        this.dispatchEvent(new CustomEvent("problem", { detail: error.message }));
        this.version = 0;
        await new Promise((resolve) => setTimeout(resolve, 2000));
      }
    }
  }

  take(state) {
    if (!this.version) this.items.clear();
    for (const [name, item] of Object.entries(state.items)) {
      if (item) this.items.set(name, item);
      else this.items.delete(name);
    }
    const { version, number, classes, problems, undo, redo, finish } = state;
    Object.assign(this, { version, number, classes, problems, undo, redo, finish });
    Object.assign(this, { name: state.name, lookedAt: state.looked_at, images: state.images });
    if (state.learnt) this.learnt = { ...this.learnt, ...state.learnt };
    this.dispatchEvent(new Event("change"));
  }

  async act(row) {
    return this.send("studio/acts", row);
  }

  // Trains the whole model, and reads the test part once.
  async finishNow() {
    return this.send("studio/finish", {});
  }

  async send(path, row) {
    try {
      const headers = { "Content-Type": "application/json" };
      const body = JSON.stringify(row);
      await answered(await fetch(path, { method: "POST", headers, body }));
      this.dispatchEvent(new CustomEvent("problem", { detail: "" }));
      return true;
    } catch (error) {
      this.dispatchEvent(new CustomEvent("problem", { detail: error.message }));
      return false;
    }
  }

  async add(file, label) {
    const query = new URLSearchParams({ name: file.name || "pasted.png", label });
    return answered(await fetch(`studio/files?${query}`, { method: "POST", body: file }));
  }
}

async function answered(response) {
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new Error(body.detail || `The studio answered with status ${response.status}.`);
}
