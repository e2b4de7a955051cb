"use strict";
for (const plane of document.querySelectorAll(".plane")) {
  const slider = plane.querySelector("input");
  const shown = plane.querySelector("output");
  const labels = JSON.parse(plane.dataset.labels);
  const show = () => {
    const index = Number(slider.value);
    plane.style.setProperty("--slice", index);
    shown.textContent = labels[index];
    slider.setAttribute("aria-valuetext", labels[index]);
  };
  slider.hidden = labels.length < 2; // without this script no slider would do anything
  slider.addEventListener("input", show);
  show(); // a page that is opened again may remember where its sliders stood
}
const board = document.getElementById("board");
const moveBoard = () => document.querySelector("main").style.setProperty("--shift", `${board.value / 4}%`);
board.addEventListener("input", moveBoard);
moveBoard();
board.closest(".alignment").hidden = false; // without this script nothing would move
