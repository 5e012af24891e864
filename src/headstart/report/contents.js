// Links to the sections, below the title.
for (const contents of document.querySelectorAll(".contents")) {
  for (const heading of document.querySelectorAll("main section > h2:not(.sr)")) {
    const link = document.createElement("a");
    link.href = `#${heading.id}`;
    link.textContent = heading.textContent;
    const entry = document.createElement("li");
    entry.append(link);
    contents.querySelector("ul").append(entry);
  }
  contents.hidden = false;
}
