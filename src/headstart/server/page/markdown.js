// A model card: the part of Markdown that cards use. Everything else appears as it is written.
import { element } from "./dom.js";

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)/g;

function inline(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    const [whole, code, strong, label, address] = found;
    parts.push(text.slice(end, found.index));
    if (code) parts.push(element("code", {}, code));
    else if (strong) parts.push(element("strong", {}, strong));
    else
      parts.push(
        element("a", { href: address, rel: "noreferrer noopener", target: "_blank" }, label),
      );
    end = found.index + whole.length;
  }
  return [...parts, text.slice(end)];
}

const cells = (line) =>
  line
    .replace(/^\s*\||\|\s*$/g, "")
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll("\\|", "|"));

function table([head, rule, ...rows]) {
  const aligned = cells(rule).map((cell) => (cell.endsWith(":") ? { class: "number" } : {}));
  const row = (line, first) =>
    element(
      "tr",
      {},
      ...cells(line).map((cell, column) =>
        first || column === 0
          ? element("th", { scope: first ? "col" : "row", ...aligned[column] }, ...inline(cell))
          : element("td", aligned[column] ?? {}, ...inline(cell)),
      ),
    );
  const made = element(
    "table",
    {},
    element("thead", {}, row(head, true)),
    element("tbody", {}, ...rows.map((line) => row(line, false))),
  );
  return element(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" },
    made,
  );
}

const KINDS = [
  [
    /^#{1,6} /,
    (lines) =>
      lines.map((line) => {
        const [, marks, title] = line.match(/^(#+) (.*)$/);
        return element(`h${Math.min(marks.length + 2, 6)}`, {}, ...inline(title));
      }),
  ],
  [
    /^[-*] /,
    (lines) => [
      element("ul", {}, ...lines.map((line) => element("li", {}, ...inline(line.slice(2))))),
    ],
  ],
  [/^\|/, (lines) => (lines.length > 1 ? [table(lines)] : [element("p", {}, ...lines)])],
  [/^/, (lines) => [element("p", {}, ...inline(lines.join(" ")))]],
];

const kindOf = (line) => KINDS.find(([pattern]) => pattern.test(line));

export function render(markdown) {
  // Before the text, cards have a block for programs.
  const lines = markdown.replace(/^---\n[\s\S]*?\n---\n/, "").split(/\r?\n/);
  const blocks = [];
  while (lines.length) {
    const line = lines.shift();
    if (!line.trim()) continue;
    if (line.startsWith("```")) {
      const end = lines.findIndex((other) => other.startsWith("```"));
      const code = lines.splice(0, end < 0 ? lines.length : end);
      lines.shift();
      blocks.push(element("pre", { tabindex: "0" }, element("code", {}, code.join("\n"))));
      continue;
    }
    const kind = kindOf(line);
    const same = [line];
    while (
      lines.length &&
      lines[0].trim() &&
      !lines[0].startsWith("```") &&
      kindOf(lines[0]) === kind
    ) {
      same.push(lines.shift());
    }
    blocks.push(...kind[1](same));
  }
  return blocks;
}
