// Small pictures of the photos that were enrolled in this visit, as a gallery keeps none.
const SIDE = 160;
const previews = new Map();

export const previewOf = (image) => previews.get(image);

export async function keepPreview(image, file) {
  const made = await smallPicture(file);
  if (made) previews.set(image, made);
}

// Returns a data URL, or null if the browser cannot show the file.
export async function smallPicture(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return null;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const scale = SIDE / Math.min(bitmap.width, bitmap.height);
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
  bitmap.close();
  return canvas.toDataURL("image/jpeg", 0.85);
}
