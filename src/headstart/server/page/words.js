// Numbers and lists in English, as the HTML report writes them.

// 0.0% and 100.0% appear only if they are exact.
export function percent(fraction) {
  const text = (100 * fraction).toFixed(1);
  if (text === "100.0" && fraction < 1 - 1e-9) return ">\u00a099.9%";
  if (text === "0.0" && fraction > 1e-9) return "<\u00a00.1%";
  return `${text}%`;
}

export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

export function listed(items, word) {
  if (items.length < 2) return items.join("");
  return `${items.slice(0, -1).join(", ")} ${word} ${items[items.length - 1]}`;
}

export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

// The classes of the objects that were found, the most frequent first. Each name is isolated, as it
// may be written from right to left.
export function kinds(boxes) {
  const numbers = new Map();
  for (const { label } of boxes) numbers.set(label, (numbers.get(label) ?? 0) + 1);
  return [...numbers]
    .sort(([, one], [, other]) => other - one)
    .map(([label, number]) => `\u2068${label}\u2069${number > 1 ? `\u00a0×\u00a0${number}` : ""}`);
}

// What an answer says in a few words.
export function verdict(answer) {
  if (answer.boxes) return { text: objects(answer.boxes), value: "" };
  if (answer.hits) return match(answer);
  if (!answer.labels) return { text: answer.label, value: percent(answer.probability) };
  const [first, ...others] = answer.labels;
  if (!first) return { text: "no label", value: "" };
  const text = [first, ...others].map(({ label }) => label).join(", ");
  return { text, value: others.length ? "" : percent(first.probability) };
}

function match({ labels: [nearest], unknown }) {
  if (unknown) return { text: `Nearest: ${nearest.label}`, value: "" };
  const { label, probability } = nearest;
  return { text: label, value: probability === null ? "" : percent(probability) };
}

// So many classes are named in a few words.
const NAMED = 3;

function objects(boxes) {
  if (!boxes.length) return "No objects found";
  const all = kinds(boxes);
  const others = all.length - NAMED;
  return [...all.slice(0, NAMED), ...(others > 0 ? [`${others} more`] : [])].join(", ");
}
