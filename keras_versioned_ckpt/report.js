"use strict";
// Sorts and filters the table of versions. All text is on the page already; nothing is
// made out of it but text.
(() => {
  const table = document.querySelector("#versions table");
  if (table === null) return;
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const found = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const texts = new Intl.Collator("en", { numeric: true });

  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.sort ?? cell.textContent;
  };

  const sort = (head) => {
    const column = heads.indexOf(head);
    const rising = head.getAttribute("aria-sort") !== "ascending";
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const numeric = head.dataset.kind === "number";
    const sign = rising ? 1 : -1;
    const keys = new Map(rows.map((row) => [row, key(row, column)]));
    rows.sort((a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      // What is missing comes last, whichever way round.
      if (x === "" || y === "") return (x === "") - (y === "");
      return sign * (numeric ? Number(x) - Number(y) : texts.compare(x, y));
    });
    body.append(...rows);
  };

  const filter = document.querySelector("#filter");
  const onlyThere = document.querySelector("#only-there");
  const count = document.querySelector("#count");
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of rows) {
      const gone = onlyThere.checked && row.classList.contains("gone");
      row.hidden = gone || !words.every((word) => found.get(row).includes(word));
      shown += row.hidden ? 0 : 1;
    }
    const noun = rows.length === 1 ? "version" : "versions";
    count.textContent = `${shown} of ${rows.length} ${noun}`;
  };

  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(head));
    head.replaceChildren(button);
  }
  filter.addEventListener("input", show);
  onlyThere.addEventListener("change", show);
  document.querySelector("#controls").hidden = false;
  show();
})();
