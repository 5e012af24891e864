// The file that "Save as CSV" writes: for labels, with the columns of `headstart predict --out`.
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

const nearest = (cell) => ({ answer }) => (answer ? cell(answer) : "");

const MATCHES = [
  ["image", ({ name }) => text(name)],
  ["label", nearest(({ label }) => text(label ?? ""))],
  ["probability", nearest(({ labels: [first] }) => String(first.probability ?? ""))],
  ["unknown", nearest(({ unknown }) => String(unknown))],
  ["nearest", nearest(({ hits: [first] }) => text(first.image))],
  ["distance", nearest(({ hits: [first] }) => String(first.distance))],
  ["error", ({ reason }) => (reason ? text(reason) : "")],
];

const cornerOf = (number) => (row) => (row.box ? String(row.box.box[number]) : "");

// A row for each box, so that the file can also be read as labelled boxes.
const BOXES = [
  ["image", ({ name }) => text(name)],
  ...["x1", "y1", "x2", "y2"].map((title, number) => [title, cornerOf(number)]),
  ["label", ({ box }) => (box ? text(box.label) : "")],
  ["probability", ({ box }) => (box ? String(box.probability) : "")],
  ["error", ({ reason }) => (reason ? text(reason) : "")],
];

// An image without any box has a row too.
function rowsOf(entry) {
  const boxes = entry.answer?.boxes ?? [];
  return boxes.length ? boxes.map((box) => ({ ...entry, box })) : [entry];
}

// Entries have a name and an answer, or the reason why there is none.
export function toCsv(entries, model, coverage) {
  const finds = model.task === "boxes";
  const searches = model.task === "search";
  const table = finds ? BOXES : searches ? MATCHES : columns(entries, model, coverage);
  const rows = (finds ? entries.flatMap(rowsOf) : entries).map((row) =>
    table.map(([, cell]) => cell(row)),
  );
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
