"use strict";
const MOST = 500; // rows on the screen until more are asked for: a browser takes seconds to lay out thousands
const table = document.getElementById("subjects");
const rows = Array.from(table.tBodies[0].rows); // in the order of the table
const filter = document.getElementById("filter");
const kind = document.getElementById("kind");
const found = document.getElementById("found");
const more = document.getElementById("more");
const headers = Array.from(table.tHead.rows[0].cells);
const collator = new Intl.Collator("en", { numeric: true });
const names = new Map(rows.map((row) => [row, row.cells[0].textContent.toLowerCase()]));
const columns = new Map(); // of those that were sorted by: the place of each row, or NaN
let limit = MOST;

function show() {
  const wanted = filter.value.trim().toLowerCase();
  let count = 0;
  for (const row of rows) {
    const fits = names.get(row).includes(wanted) && (!kind.value || row.dataset.kinds.split(" ").includes(kind.value));
    count += fits;
    row.classList.toggle("unfit", !fits);
    row.classList.toggle("later", fits && count > limit);
  }
  const shown = Math.min(count, limit);
  found.textContent = `${count} of ${rows.length} found` + (shown < count ? `, the first ${shown} shown` : "");
  more.hidden = shown === count;
}

function places(column) {
  if (!columns.has(column)) columns.set(column, new Map(placed(column)));
  return columns.get(column);
}

function placed(column) {
  const texts = rows.map((row) => row.cells[column].textContent);
  if (headers[column].classList.contains("number")) {
    return texts.map((text, index) => [rows[index], parseFloat(text.replace("\u25c6", ""))]);
  }
  const different = Array.from(new Set(texts)).sort(collator.compare); // each is compared once, not with every sorting
  const order = new Map(different.map((text, place) => [text, place]));
  return texts.map((text, index) => [rows[index], order.get(text)]);
}

function sort(column) {
  const header = headers[column];
  const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const place = places(column);
  const missing = (row) => Number.isNaN(place.get(row));
  rows.sort((first, second) => missing(first) - missing(second) || sign * (place.get(first) - place.get(second)) || 0);
  for (const each of headers) each.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  show();
  const sorted = document.createDocumentFragment();
  sorted.append(...rows);
  table.tBodies[0].append(sorted);
}

headers.forEach((header, column) => header.querySelector("button")?.addEventListener("click", () => sort(column)));
filter.addEventListener("input", show);
kind.addEventListener("change", show);
more.addEventListener("click", () => {
  limit = Infinity;
  show();
});
filter.closest(".filter").hidden = false;
show(); // a page that is opened again may remember what was filtered for
