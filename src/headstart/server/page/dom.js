// Elements. Text only ever becomes text: no markup is made from data.
export const byId = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Shows a text in an element, or hides the element if there is no text.
export function say(target, text) {
  target.textContent = text || "";
  target.hidden = !text;
}

// A dialog closes with its button and with Escape.
export function closable(dialog) {
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
}
