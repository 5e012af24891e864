// Screens without a pointer show no tooltips, so selecting a box says below the picture what it is.
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
