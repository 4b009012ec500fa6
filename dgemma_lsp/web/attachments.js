/**
 * The files that go with a message: read, listed, taken away again. It sends nothing.
 *
 * @typedef {import("./text_file.js").Attachment} Attachment
 */

import { announce, button, make } from "./dom.js";
import { MOST_BYTES, bytes, read, size } from "./text_file.js";

const MOST_FILES = 100; // PROTOCOL.md

export class Attachments {
  /** @param {Attachment[]} files that are there already */
  constructor(files = []) {
    this.files = files;
    this.element = make("ul", { class: "chips", "aria-label": "Attached files" });
    this.#draw();
  }

  /**
   * Read files and add them; throws an Error that names those that cannot go with a message. The
   * others are added.
   * @param {Iterable<File>} files
   */
  async add(files) {
    const wrong = [];
    for (const file of files) {
      try {
        this.#append(await read(file));
      } catch (error) {
        wrong.push(error instanceof Error ? error.message : `${error}`);
      }
    }
    this.#draw();
    if (wrong.length) throw new Error(`Not attached: ${wrong.join("; ")}.`);
  }

  /** @param {Attachment[]} sent what needs to go no more */
  remove(sent) {
    this.files = this.files.filter((file) => !sent.includes(file));
    this.#draw();
  }

  /** @param {Attachment} file */
  #append(file) {
    // Chosen once more it is a newer state of the same file.
    const others = this.files.filter(({ name }) => name !== file.name);
    if (others.length === MOST_FILES) throw new Error(`${file.name}: ${MOST_FILES} files go with a message at most`);
    const total = [...others, file].reduce((sum, { text }) => sum + bytes(text), 0);
    if (total > MOST_BYTES) throw new Error(`${file.name}: with it the files have ${size(total)}; a message takes ${size(MOST_BYTES)} at most`);
    this.files = [...others, file];
    announce(`${file.name} is attached`);
  }

  #draw() {
    this.element.hidden = !this.files.length;
    this.element.replaceChildren(...this.files.map((file) => this.#chip(file)));
  }

  /** @param {Attachment} file */
  #chip(file) {
    const leave = () => {
      this.remove([file]);
      announce(`${file.name} is not attached any more`);
      const next = this.element.querySelector("button");
      if (next) next.focus();
      else this.element.dispatchEvent(new Event("empty", { bubbles: true }));
    };
    return make("li", {}, make("span", { class: "name" }, file.name), make("span", { class: "hint" }, size(bytes(file.text))), button("✕", leave, `Remove ${file.name}`));
  }
}

/**
 * Take files that are dropped on an element, which shows while one is held over it that it does.
 * @param {HTMLElement} element
 * @param {(files: File[]) => void} take
 */
export function takeDropped(element, take) {
  let inside = 0; // an element within is entered before the one around it is left
  const show = (/** @type {number} */ change) => {
    inside = change ? inside + change : 0;
    element.classList.toggle("dropping", inside > 0);
  };
  element.addEventListener("dragenter", (event) => holdsFiles(event) && show(1));
  element.addEventListener("dragleave", (event) => holdsFiles(event) && show(-1));
  element.addEventListener("drop", (event) => {
    show(0);
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length) take(files);
  });
}

/** Keep a browser from leaving the page for a file that is dropped beside all that takes one. */
export function keepPage() {
  for (const kind of ["dragover", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (event instanceof DragEvent && holdsFiles(event)) event.preventDefault();
    });
  }
}

/** @param {DragEvent} event */
function holdsFiles(event) {
  return event.dataTransfer?.types.includes("Files") ?? false;
}
