/** Elements: made, found, filled. Text comes in as text only, never as markup. */

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string | boolean | EventListener>} [properties] attributes; `on...` listens
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (typeof value === "boolean") element.toggleAttribute(key, value);
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/**
 * Make a plain button.
 * @param {string} text
 * @param {() => void} act
 * @param {string} [label] what a screen reader says, where the text alone does not tell
 * @returns {HTMLButtonElement}
 */
export function button(text, act, label = text) {
  return make("button", { type: "button", class: "quiet", "aria-label": label, onclick: act }, text);
}

/**
 * Return the element of this page with this id.
 * @template {HTMLElement} Kind
 * @param {string} id
 * @param {new () => Kind} kind
 * @returns {Kind}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return found;
}

/**
 * Show a line where the person looks, or nothing.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function tell(element, text) {
  element.hidden = !text;
  element.textContent = text;
  if (text) announce(text);
}

/**
 * Have a screen reader say something when it is done with what it says now.
 * @param {string} text
 */
export function announce(text) {
  byId("announce", HTMLElement).textContent = text;
}

/**
 * Make a button that copies a text, and tells that it did.
 * @param {() => string} text
 * @param {string} label
 * @returns {HTMLButtonElement}
 */
export function copyButton(text, label) {
  const copies = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(text());
      copies.textContent = "Copied";
    } catch (error) {
      copies.textContent = "Cannot copy";
    }
    copies.addEventListener("blur", () => (copies.textContent = "Copy"), { once: true });
  }, label);
  return copies;
}
