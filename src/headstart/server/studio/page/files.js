// The files of a drop. Those of several folders get the names of their folders as labels.
export async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return Array.from(transfer.files, (file) => ({ file }));
  const found = [];
  for (const entry of entries) await read(entry, [], found);
  // The labels are the first folders that differ: those that were dropped, or those in a single one.
  let depth = 0;
  const at = () => new Set(found.map(({ folders }) => folders[depth] ?? ""));
  while (at().size === 1 && !at().has("")) depth += 1;
  const labelled = at().size > 1;
  return found.map(({ file, folders }) => ({ file, label: labelled ? folders[depth] : "" }));
}

async function read(entry, folders, found) {
  if (entry.name.startsWith(".")) return;
  if (entry.isFile) {
    found.push({ file: await new Promise((resolve, fail) => entry.file(resolve, fail)), folders });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, fail) => reader.readEntries(resolve, fail));
    if (!some.length) return;
    for (const child of some) await read(child, [...folders, entry.name], found);
  }
}
