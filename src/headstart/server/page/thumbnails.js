// Small pictures of the history, drawn one after another: a photo of a phone takes much memory.
const SIDE = 112;
let last = Promise.resolve();

export function drawThumbnail(entry, holder) {
  last = last.then(async () => {
    if (!holder.isConnected) return;
    const canvas = await squareOf(entry.file, SIDE);
    if (canvas) holder.replaceChildren(canvas);
  });
}

// Returns a canvas with the centre of a picture, or null if the browser cannot show the file.
export async function squareOf(file, side) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return null;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const scale = side / Math.min(bitmap.width, bitmap.height);
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (side - width) / 2, (side - height) / 2, width, height);
  bitmap.close();
  return canvas;
}

// What stands in for the picture of a file that the browser cannot show.
export function suffixOf(name) {
  const found = name.match(/\.([A-Za-z0-9]{1,8})$/);
  return found ? found[1].toUpperCase() : "FILE";
}
