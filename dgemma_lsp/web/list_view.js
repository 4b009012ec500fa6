/**
 * The list of conversations: asked for, searched, shown. What opens one is a link.
 *
 * @typedef {import("./types.js").Summary} Summary
 * @typedef {import("./link.js").Link} Link
 */

import { byId, make, tell } from "./dom.js";

const AT_ONCE = 1000;

export class ListView {
  /** @param {Link} link */
  constructor(link) {
    this.link = link;
    /** @type {Map<string, Summary>} */
    this.known = new Map();
    this.open = "";
    this.list = byId("list", HTMLElement);
    this.search = byId("search", HTMLInputElement);
    this.search.addEventListener("input", () => this.draw());
  }

  /** Ask for all of it. */
  async read() {
    /** @type {Map<string, Summary>} */
    const found = new Map();
    for (let more = true; more; ) {
      const message = { type: "list_conversations", skip: found.size, limit: AT_ONCE };
      const [told] = await this.link.ask(message);
      for (const about of told.conversations) found.set(about.conversation, about);
      more = Boolean(told.more);
    }
    this.known = found;
    this.draw();
  }

  /** @param {Summary} about */
  change(about) {
    const before = this.known.get(about.conversation);
    this.known.set(about.conversation, about);
    if (before?.title !== about.title || before.updated !== about.updated) this.draw();
  }

  /** @param {string} key */
  remove(key) {
    this.known.delete(key);
    this.draw();
  }

  /** @param {string} key the conversation that is open */
  mark(key) {
    this.open = key;
    this.draw();
  }

  /**
   * The conversation beside the open one in what is shown.
   * @param {1 | -1} step
   * @returns {string} empty where there is none
   */
  beside(step) {
    const keys = this.#shown().map(({ conversation }) => conversation);
    return keys[keys.indexOf(this.open) + step] ?? "";
  }

  draw() {
    const focused = document.activeElement?.getAttribute("href");
    const shown = this.#shown();
    this.list.replaceChildren(
      ...shown.map(({ conversation, title }) => {
        const link = make("a", { href: `#/c/${conversation}` }, title || "Untitled");
        if (conversation === this.open) link.setAttribute("aria-current", "page");
        if (link.getAttribute("href") === focused) queueMicrotask(() => link.focus());
        return make("li", {}, link);
      }),
    );
    const empty = this.known.size ? "No title has these words." : "No conversation yet.";
    const line = byId("list-empty", HTMLElement);
    if (shown.length) line.hidden = true;
    else if (line.hidden || line.textContent !== empty) tell(line, empty);
  }

  #shown() {
    const words = this.search.value.toLocaleLowerCase().split(/\s+/);
    return [...this.known.values()]
      .filter(({ title }) => words.every((word) => title.toLocaleLowerCase().includes(word)))
      .sort((one, other) => other.updated - one.updated);
  }
}
