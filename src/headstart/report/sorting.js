"use strict";
// A click on a heading sorts the table by its column; another click reverses the order. Rows without
// a value stay at the end. Columns marked as unsorted have no order of their own.
for (const table of document.querySelectorAll("table.sorts")) {
  const headings = Array.from(table.tHead.rows[0].cells);
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? cell.dataset.value : cell.textContent.trim();
  };
  const compare = (first, second) => {
    const numbers = [Number(first), Number(second)];
    return numbers.some(Number.isNaN) ? first.localeCompare(second) : numbers[0] - numbers[1];
  };
  const sort = (column, sign) => {
    const keyed = Array.from(table.tBodies[0].rows, (row) => [keyOf(row, column), row]);
    keyed.sort(([first], [second]) => {
      if (first === "" || second === "") return (first === "") - (second === "");
      return sign * compare(first, second);
    });
    table.tBodies[0].append(...keyed.map(([, row]) => row));
  };
  headings.forEach((heading, column) => {
    if ("unsorted" in heading.dataset) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const ascending = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      sort(column, ascending ? 1 : -1);
    });
  });
}
