// Small pictures of the history, drawn one after another: a photo of a phone takes much memory.
const SIDE = 112;
let last = Promise.resolve();

export function drawThumbnail(entry, holder) {
  last = last.then(async () => {
    if (!holder.isConnected) return;
    const bitmap = await createImageBitmap(entry.file).catch(() => null);
    if (!bitmap) return;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIDE;
    const scale = SIDE / Math.min(bitmap.width, bitmap.height);
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
    bitmap.close();
    holder.replaceChildren(canvas);
  });
}

// What stands in for the picture of a file that the browser cannot show.
export function suffixOf(name) {
  const found = name.match(/\.([A-Za-z0-9]{1,8})$/);
  return found ? found[1].toUpperCase() : "FILE";
}
