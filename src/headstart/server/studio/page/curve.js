// A small chart of accuracy over the number of images.
const SVG = "http://www.w3.org/2000/svg";
const [LEFT, RIGHT, TOP, BOTTOM] = [34, 272, 8, 98];

function part(tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

// Points are [images, accuracy, low, high]; the last `expected` of them are a forecast.
export function drawCurve(svg, points, expected = 0) {
  const most = Math.max(...points.map(([images]) => images));
  const least = Math.max(0, Math.min(...points.map(([, accuracy, low]) => low ?? accuracy)) - 0.03);
  const x = (images) => LEFT + ((RIGHT - LEFT) * images) / most;
  const y = (accuracy) => BOTTOM - ((BOTTOM - TOP) * (accuracy - least)) / (1 - least || 1);
  const line = (some, name) =>
    part("polyline", { class: name, points: some.map(([images, value]) => `${x(images)},${y(value)}`).join(" ") });
  const measured = points.slice(0, points.length - expected);
  const marks = points.flatMap(([images, accuracy, low, high], index) => [
    ...(low === undefined
      ? []
      : [part("line", { class: "interval", x1: x(images), x2: x(images), y1: y(low), y2: y(high) })]),
    part("circle", { class: index < measured.length ? "" : "forecast", cx: x(images), cy: y(accuracy), r: 3 }),
  ]);
  svg.replaceChildren(
    part("line", { class: "axis", x1: LEFT, x2: RIGHT, y1: BOTTOM, y2: BOTTOM }),
    part("text", { x: LEFT - 4, y: BOTTOM, "text-anchor": "end" }, `${Math.round(100 * least)}%`),
    part("text", { x: LEFT - 4, y: TOP + 8, "text-anchor": "end" }, "100%"),
    part("text", { x: RIGHT, y: BOTTOM + 16, "text-anchor": "end" }, `${most.toLocaleString()} images`),
    line(measured, "line"),
    ...(expected ? [line(points.slice(measured.length - 1), "line forecast")] : []),
    ...marks,
  );
}
