// The question for the key of a server.
import { byId, closable } from "./dom.js";

let answer = null;

// Returns the key, or null if the question is closed.
export function askForKey(refused) {
  const field = byId("key-value");
  field.value = "";
  byId("key-refused").hidden = !refused;
  byId("key").showModal();
  field.focus();
  return new Promise((resolve) => (answer = resolve));
}

closable(byId("key"));
byId("key").addEventListener("close", () => answer?.(null));
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  answer?.(byId("key-value").value.trim());
  byId("key-value").value = "";
  byId("key").close();
});
