// What the page asks of the server. A busy server is asked again, and a key is asked for once.
const PAUSE = 2;
const LONGEST_PAUSE = 30;
const TRIES = 60;
const STORED = "headstart-key";

export class Refused extends Error {
  constructor(status, message, reason = message) {
    super(message);
    this.status = status;
    this.reason = reason;
    // What is wrong with a file stays wrong; anything else may go well the next time.
    this.passing = ![413, 415, 422].includes(status);
  }
}

const sleep = (seconds, signal) =>
  new Promise((resolve, reject) => {
    const stop = () => reject(new DOMException("Stopped", "AbortError"));
    if (signal?.aborted) stop();
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), stop()), { once: true });
  });

// askKey(again) gives a key or null; tell(text) shows why it takes long, or "" when it is over.
export function connect({ askKey, tell }) {
  let key = remembered();
  let asking = null;
  let pausedUntil = 0;
  let told = false;

  function remembered() {
    try {
      return sessionStorage.getItem(STORED);
    } catch {
      return null;
    }
  }

  function remember(value) {
    key = value;
    try {
      sessionStorage.setItem(STORED, value);
    } catch {
      // The key is then known until the page is left.
    }
  }

  // Requests that are refused at the same time share one question.
  async function newKey(used) {
    if (key !== used) return true;
    asking ??= askKey(Boolean(used)).finally(() => (asking = null));
    const given = await asking;
    if (given) remember(given);
    return Boolean(given);
  }

  async function send(path, options) {
    const headers = { ...options.headers, ...(key ? { "X-API-Key": key } : {}) };
    try {
      return await fetch(path, { ...options, headers, credentials: "same-origin" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, await whyNot(options.body));
    }
  }

  async function pause(seconds, signal) {
    pausedUntil = Math.max(pausedUntil, Date.now() + 1000 * seconds);
    const left = Math.max(1, Math.round((pausedUntil - Date.now()) / 1000));
    told = true;
    tell(`The server is busy. Trying again in ${left} s.`);
    await sleep((pausedUntil - Date.now()) / 1000, signal);
  }

  async function request(path, options = {}) {
    for (let tried = 1; ; tried += 1) {
      if (pausedUntil > Date.now()) await sleep((pausedUntil - Date.now()) / 1000, options.signal);
      const used = key;
      const response = await send(path, options);
      if (response.ok) {
        if (told) tell("");
        told = false;
        return response;
      }
      if (response.status === 401 && (await newKey(used))) continue;
      if (response.status === 503 && tried < TRIES) {
        const wait = Number(response.headers.get("Retry-After")) || PAUSE;
        await pause(Math.min(wait, LONGEST_PAUSE), options.signal);
        continue;
      }
      throw await refusal(response);
    }
  }

  return {
    models: async () => (await request("models")).json(),
    galleries: async () => (await request("galleries")).json(),
    gallery: async (name) => (await request(`galleries/${encodeURIComponent(name)}`)).json(),
    card: async (kind, name) =>
      (await (await request(`${kind}/${encodeURIComponent(name)}`)).json()).card,
    // Sends photos of one item: { file, name } each.
    enrol: async (gallery, label, fields, photos) => {
      const body = new FormData();
      body.append("label", label);
      if (Object.keys(fields).length) body.append("fields", JSON.stringify(fields));
      for (const { file, name } of photos) body.append("images", file, name);
      const path = `galleries/${encodeURIComponent(gallery)}/images`;
      return (await request(path, { method: "POST", body })).json();
    },
    remove: async (gallery, label) => {
      const path = `galleries/${encodeURIComponent(gallery)}/labels/${encodeURIComponent(label)}`;
      return (await request(path, { method: "DELETE" })).json();
    },
    // The route is "predict" or "search".
    ask: async (route, file, query, signal) => {
      if (!file.size) throw new Refused(422, "The file is empty.", "it is empty");
      const options = {
        method: "POST",
        body: file,
        headers: { "Content-Type": "application/octet-stream" },
        signal,
      };
      const response = await request(`${route}?${new URLSearchParams(query)}`, options);
      const [answer] = await response.json();
      return { answer, version: response.headers.get("X-Model-Version") };
    },
  };
}

async function refusal(response) {
  if (response.status === 401) return new Refused(401, "This server needs a key.");
  const { detail, images } = await response.json().catch(() => ({}));
  const reason = images?.[0]?.error;
  if (reason && /Nothing was added/.test(detail)) return new Refused(response.status, detail);
  if (reason) return new Refused(response.status, `This file cannot be read: ${reason}.`, reason);
  const text =
    typeof detail === "string" ? detail : `The server answered with status ${response.status}.`;
  return new Refused(response.status, text);
}

// A file can change or vanish after it was chosen; a server can close the connection or be gone.
async function whyNot(body) {
  try {
    await body?.slice?.(0, 1).arrayBuffer();
  } catch {
    return "The file cannot be read any more. Add it again.";
  }
  const large =
    body?.size > 5e7
      ? ` Or the file, of ${Math.round(body.size / 1e6)} MB, is too large for it.`
      : "";
  return `The server cannot be reached. Check that it is running.${large}`;
}
