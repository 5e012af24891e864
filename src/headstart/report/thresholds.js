// The slider moves the point on both curves and shows what its threshold gives.
for (const section of document.querySelectorAll(".thresholds")) {
  const steps = JSON.parse(section.dataset.steps);
  const positives = Number(section.dataset.positives);
  const negatives = Number(section.dataset.negatives);
  const slider = section.querySelector("input");
  const share = (count, total) => {
    if (!total) return "–";
    const text = ((100 * count) / total).toFixed(1);
    if (text === "100.0" && count < total) return "> 99.9%";
    return text === "0.0" && count > 0 ? "< 0.1%" : `${text}%`;
  };
  const write = (kind, name, text) => {
    section.querySelector(`[data-${kind}="${name}"]`).textContent = text;
  };
  const move = (name, x, y) => {
    const point = section.querySelector(`[data-curve="${name}"]`);
    if (!point) return;
    point.style.visibility = Number.isFinite(y) ? "" : "hidden";
    if (!Number.isFinite(y)) return;
    point.setAttribute("cx", x);
    point.setAttribute("cy", 100 - y);
  };
  const show = () => {
    const [threshold, tp, fp] = steps[Number(slider.value)];
    const rates = {
      threshold: threshold.toFixed(3),
      recall: share(tp, positives),
      specificity: share(negatives - fp, negatives),
      precision: share(tp, tp + fp),
      accuracy: share(tp + negatives - fp, positives + negatives),
    };
    const counts = { tp, fp, fn: positives - tp, tn: negatives - fp };
    for (const [name, text] of Object.entries(rates)) write("rate", name, text);
    for (const [name, count] of Object.entries(counts)) write("count", name, count.toLocaleString("en"));
    move("roc", (100 * fp) / negatives, (100 * tp) / positives);
    move("precision", (100 * tp) / positives, (100 * tp) / (tp + fp));
    slider.setAttribute(
      "aria-valuetext",
      `${rates.threshold}: sensitivity ${rates.recall}, specificity ${rates.specificity}, precision ${rates.precision}`,
    );
  };
  slider.addEventListener("input", show);
  section.querySelector("button").addEventListener("click", (event) => {
    slider.value = event.currentTarget.dataset.value;
    show();
  });
  section.querySelector(".slider").hidden = false;
  show();
}
