// The map shows the picture of the nearest large mark: below the pointer, where it is tapped, or by
// the arrow keys. A name in the legend picks out the images of its class.
for (const map of document.querySelectorAll(".map")) {
  const field = map.querySelector(".field");
  const svg = field.querySelector("svg");
  const pick = map.querySelector(".pick");
  const target = svg.querySelector(".target");
  const marks = Array.from(svg.querySelectorAll("[data-shot-of]"), (path) => {
    const [x, y] = path.getAttribute("d").slice(1).split("m")[0].split(" ").map(Number);
    return { path, x, y };
  });
  let current = null;
  const show = (mark) => {
    if (!mark || mark === current) return;
    current = mark;
    target.setAttribute("visibility", "visible");
    target.setAttribute("cx", mark.x);
    target.setAttribute("cy", mark.y);
    const shot = document.querySelector(`figure[data-shot="${mark.path.dataset.shotOf}"]`);
    pick.replaceChildren(shot.cloneNode(true));
    pick.firstChild.removeAttribute("data-shot");
  };
  const nearest = (candidates, cost) => {
    let best = null;
    for (const mark of candidates) {
      const value = cost(mark);
      if (value < Infinity && (!best || value < best.value)) best = { mark, value };
    }
    return best && best.mark;
  };
  const under = (event) => {
    const box = svg.getBoundingClientRect();
    const scale = 1000 / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    const reach = 24 * scale;
    return nearest(marks, (mark) => {
      const distance = Math.hypot(mark.x - x, mark.y - y);
      return distance <= reach ? distance : Infinity;
    });
  };
  const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  // A neighbour in the direction of the key; what is off to the side counts as farther away.
  const beside = ([dx, dy]) =>
    nearest(marks, (mark) => {
      const [x, y] = [mark.x - current.x, mark.y - current.y];
      const ahead = x * dx + y * dy;
      const aside = Math.abs(x * dy) + Math.abs(y * dx);
      return mark === current || ahead <= 0 || aside > 2 * ahead ? Infinity : ahead + 2 * aside;
    });
  if (pick && marks.length) {
    field.tabIndex = 0;
    pick.hidden = map.querySelector(".help").hidden = false;
    for (const kind of ["pointermove", "pointerdown"]) {
      svg.addEventListener(kind, (event) => show(under(event)));
    }
    const middle = () =>
      nearest(marks, (mark) => Math.hypot(mark.x - 500, mark.y - svg.viewBox.baseVal.height / 2));
    field.addEventListener("focus", () => current || show(middle()));
    field.addEventListener("keydown", (event) => {
      if (!(event.key in directions) || !current) return;
      event.preventDefault();
      show(beside(directions[event.key]));
    });
  }
  for (const entry of map.querySelectorAll(".legend li[data-class]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.append(...entry.childNodes);
    entry.append(button);
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(pressed));
      for (const group of svg.querySelectorAll(`[data-class="${entry.dataset.class}"]`)) {
        group.classList.toggle("lit", pressed);
      }
      svg.classList.toggle("dimmed", svg.querySelector(".lit") !== null);
    });
  }
}
