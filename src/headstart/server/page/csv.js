// The file that "Save as CSV" writes, with the columns of `headstart predict --out`.
const MARK = "\ufeff";

// Spreadsheets compute text that begins like a formula, even if it is quoted.
function text(value) {
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return `"${safe.replaceAll('"', '""')}"`;
}

const joined = (labels) => text(labels.join("|"));

function columns(entries, model, coverage) {
  const given = new Map(
    entries.map(({ answer, id }) => [
      id,
      new Map(answer?.top.map(({ label, probability }) => [label, probability])),
    ]),
  );
  const named = new Set([...given.values()].flatMap((top) => [...top.keys()]));
  const answered =
    model.task === "multi"
      ? [["labels", ({ labels }) => joined(labels.map(({ label }) => label))]]
      : [
          ["label", ({ label }) => text(label)],
          ["probability", ({ probability }) => String(probability)],
        ];
  if (coverage) answered.push(["set", ({ set }) => (set ? joined(set) : "")]);
  if (model.can.unknown) answered.push(["unknown", ({ unknown }) => String(Boolean(unknown))]);
  return [
    ["image", ({ name }) => text(name)],
    ...answered.map(([title, cell]) => [title, ({ answer }) => (answer ? cell(answer) : "")]),
    ...model.classes
      .filter((name) => named.has(name))
      .map((name) => [`p_${name}`, ({ id }) => String(given.get(id).get(name) ?? "")]),
    ["error", ({ reason }) => (reason ? text(reason) : "")],
  ];
}

// Entries have a name and an answer, or the reason why there is none.
export function toCsv(entries, model, coverage) {
  const table = columns(entries, model, coverage);
  const rows = entries.map((entry) => table.map(([, cell]) => cell(entry)));
  const lines = [table.map(([title]) => text(title)), ...rows].map((cells) => cells.join(","));
  return `${MARK}${lines.join("\r\n")}\r\n`;
}

export function save(content, name) {
  const address = URL.createObjectURL(new Blob([content], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
