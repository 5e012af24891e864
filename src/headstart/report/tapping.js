// Screens without a pointer show no tooltips: tapping a box shows what it is below the picture.
if (matchMedia("(hover: none)").matches) {
  for (const box of document.querySelectorAll(".drawing g")) {
    box.addEventListener("click", () => {
      const caption = box.closest("figure").querySelector("figcaption");
      let shown = caption.querySelector(".tapped");
      if (!shown) {
        shown = document.createElement("p");
        shown.className = "tapped";
        shown.setAttribute("role", "status");
        caption.prepend(shown);
      }
      shown.textContent = box.querySelector("title").textContent;
    });
  }
}
