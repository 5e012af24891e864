// What the page knows of the project, kept up to date by the server. Two tabs see the same.
const byName = new Intl.Collator(undefined, { numeric: true }).compare;
const PAUSE = 30; // Milliseconds between answers: progress comes often.
const GONE = "The studio does not answer. If it was ended, start it again and open its new address.";

export class Project extends EventTarget {
  constructor() {
    super();
    Object.assign(this, { number: -1, version: 0, kind: "single", classes: [], problems: {} });
    this.items = new Map();
    this.names = []; // Of all images, sorted.
    this.job = { name: "" };
    this.finished = this.study = null;
    this.learnt = { version: -1, guesses: {}, doubts: [], next: [], alike: [], duplicates: [] };
    this.history = []; // [images, score] after each refit.
    this.waiting = []; // Who waits for an act to be shown.
    this.turn = Promise.resolve();
  }

  // Asks for changes again and again; the server answers as soon as there are some.
  async follow() {
    for (;;) {
      let pause = PAUSE;
      try {
        const { number, version, learnt } = this;
        const path = `studio/state?since=${number}&seen=${version}&learnt=${learnt.version}`;
        this.take(await answered(await fetch(path)));
        this.tell("connection", "");
      } catch (error) {
        this.tell("connection", error instanceof TypeError ? GONE : error.message);
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
    this.waiting = this.waiting.filter(({ number, done }) => number > this.number || done());
  }

  // Of each kind, the last message is shown: "connection" or "act".
  tell(kind, text) {
    this.dispatchEvent(new CustomEvent("message", { detail: { kind, text } }));
  }

  complain(text) {
    this.tell("act", text);
  }

  // One thing after the other: the next one finds what the last one has left.
  inTurn(work) {
    this.turn = this.turn.then(work).catch((error) => this.complain(error.message));
    return this.turn;
  }

  // Resolves when the page shows the act, with whether it was done.
  async act(row) {
    const answer = await this.send("studio/acts", row);
    if (answer && answer.number > this.number) {
      await new Promise((done) => this.waiting.push({ number: answer.number, done }));
    }
    return Boolean(answer);
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
      this.complain(error instanceof TypeError ? GONE : error.message);
      return null;
    }
  }

  add(file, { name = file.name, label = "", group = "" } = {}) {
    const query = new URLSearchParams({ name, label, group });
    return ask(`studio/files?${query}`, file);
  }

  // The prediction for an image, which is not kept.
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

// Where the project keeps what was dropped says nothing to a person.
export const nameOf = (path) => path.replace(/^\.studio\/(images|archives\/[^/]+)\//, "");

export const pathOf = (name) => name.split("/").map(encodeURIComponent).join("/");
