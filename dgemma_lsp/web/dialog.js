/** The page's one dialog: asks for a line, asks whether, or shows something. */

import { byId, make } from "./dom.js";

/**
 * Ask for a line of text.
 * @param {string} title
 * @param {string} value what stands there at first
 * @returns {Promise<string | null>} null where the person gives it up
 */
export function askLine(title, value) {
  const field = make("input", { type: "text", value, "aria-label": title, maxlength: "200" });
  return open(title, field, "Save", field).then((yes) => (yes ? field.value : null));
}

/**
 * Ask for a text of some lines.
 * @param {string} title
 * @param {string} value what stands there at first
 * @param {string} hint
 * @returns {Promise<string | null>} null where the person gives it up
 */
export function askText(title, value, hint) {
  const field = make("textarea", { rows: "6", "aria-label": title });
  field.value = value;
  const content = make("div", {}, field, make("p", { class: "hint" }, hint));
  return open(title, content, "Save", field).then((yes) => (yes ? field.value : null));
}

/**
 * Ask whether to do something that cannot be undone.
 * @param {string} title
 * @param {string} text
 * @param {string} action what the button says that does it
 * @returns {Promise<boolean>}
 */
export function askWhether(title, text, action) {
  return open(title, make("p", {}, text), action);
}

/**
 * Show something until the person has read it.
 * @param {string} title
 * @param {HTMLElement} content
 */
export function show(title, content) {
  void open(title, content, "");
}

/**
 * @param {string} title
 * @param {HTMLElement} content
 * @param {string} action empty: there is nothing to do but close it
 * @param {HTMLInputElement | HTMLTextAreaElement | null} field what is filled in
 * @returns {Promise<boolean>} whether the action was chosen
 */
function open(title, content, action, field = null) {
  const dialog = byId("dialog", HTMLDialogElement);
  const actions = make("div", { class: "actions" });
  const close = make("button", { type: "submit", value: "", autofocus: true }, action ? "Cancel" : "Close");
  actions.append(close);
  if (action) actions.prepend(make("button", { type: "submit", value: "yes", class: "accent" }, action));
  const form = make("form", { method: "dialog" }, make("h2", { id: "dialog-title" }, title), content, actions);
  dialog.setAttribute("aria-labelledby", "dialog-title");
  dialog.replaceChildren(form);
  dialog.returnValue = "";
  dialog.showModal();
  field?.focus();
  field?.select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
