/** A slider over what was seen while something was written. What is shown is its caller's. */

import { make } from "./dom.js";

/**
 * Make the slider; it stands at its end.
 * @param {string} label
 * @param {{first: number, last: number}} range
 * @param {(at: number) => string} place what a place before the end is called
 * @param {(at: number) => void} show
 * @returns {HTMLElement}
 */
export function replay(label, { first, last }, place, show) {
  const told = make("output", { class: "hint" });
  const slider = make("input", { type: "range", min: `${first}`, max: `${last}`, value: `${last}`, "aria-label": label });
  const say = () => {
    const at = slider.valueAsNumber;
    told.textContent = at === last ? "the end" : place(at);
    slider.setAttribute("aria-valuetext", told.textContent);
  };
  slider.addEventListener("input", () => {
    show(slider.valueAsNumber);
    say();
  });
  say();
  return make("label", { class: "replay" }, make("span", {}, "How it settled"), slider, told);
}
