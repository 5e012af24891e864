// Small pictures of the photos that were enrolled in this visit, as a gallery keeps none.
import { squareOf } from "./thumbnails.js";

const SIDE = 160;
const previews = new Map();

export const previewOf = (image) => previews.get(image);

export async function keepPreview(image, file) {
  const made = await smallPicture(file);
  if (made) previews.set(image, made);
}

// Returns a data URL, or null if the browser cannot show the file.
export async function smallPicture(file) {
  const canvas = await squareOf(file, SIDE);
  return canvas && canvas.toDataURL("image/jpeg", 0.85);
}
