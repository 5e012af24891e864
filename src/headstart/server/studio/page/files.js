// The files of a drop. Those of several folders get the names of their folders as labels.
export async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return Array.from(transfer.files, (file) => ({ file }));
  const found = [];
  for (const entry of entries) await read(entry, "", found);
  const folders = new Set(found.map(({ folder }) => folder));
  return found.map(({ file, folder }) => ({ file, label: folders.size > 1 ? folder : "" }));
}

async function read(entry, folder, found) {
  if (entry.name.startsWith(".")) return;
  if (entry.isFile) {
    found.push({ file: await new Promise((resolve, fail) => entry.file(resolve, fail)), folder });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, fail) => reader.readEntries(resolve, fail));
    if (!some.length) return;
    for (const child of some) await read(child, entry.name, found);
  }
}
