/** The shortcuts, listed and heard. With Alt, as screen readers and typing take single letters. */

import { show } from "./dialog.js";
import { make } from "./dom.js";

/** @type {[string, string][]} */
const ALWAYS = [
  ["Enter", "send the message"],
  ["Shift+Enter", "a new line in it"],
  ["Esc", "stop what is being written"],
];

/**
 * Listen for keys.
 * @param {Record<string, {text: string, act: () => void}>} shortcuts by the key's letter, with Alt
 * @param {() => void} stop
 */
export function listen(shortcuts, stop) {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) stop();
    if (!event.altKey || event.ctrlKey || event.metaKey) return;
    // By its place: on some keyboards Alt makes another letter of it.
    const shortcut = shortcuts[event.code.replace(/^Key/, "")];
    if (!shortcut) return;
    event.preventDefault();
    shortcut.act();
  });
}

/**
 * Show all of them.
 * @param {Record<string, {text: string}>} shortcuts
 */
export function showKeys(shortcuts) {
  const rows = [...Object.entries(shortcuts).map(([key, { text }]) => [`Alt+${key}`, text]), ...ALWAYS];
  const list = rows.flatMap(([key, text]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, text)]);
  show("Keys", make("dl", { class: "keys" }, ...list));
}
