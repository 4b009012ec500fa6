/**
 * The writing desk: a text, what to do with it, and the variants to choose from.
 *
 * @typedef {{mode: string, title: string, way: string, strength: number, needs: string[],
 *   refusal: string}} Mode
 * @typedef {{text: string, told: boolean, left: number}} Variant
 */

import { takeDropped } from "./attachments.js";
import { points } from "./conversation.js";
import { DeskDrafts } from "./desk_drafts.js";
import { diff } from "./diff.js";
import { announce, button, byId, copyButton, make, tell } from "./dom.js";
import { replay } from "./replay.js";
import { read } from "./text_file.js";

const NEEDS = /** @type {Record<string, string>} */ ({
  to: "Into which language",
  instruction: "What is to be done",
  problem: "What is wrong",
});

export class DeskView {
  constructor() {
    this.text = byId("desk-text", HTMLTextAreaElement);
    this.mode = byId("desk-mode", HTMLSelectElement);
    this.strength = byId("desk-strength", HTMLInputElement);
    this.need = byId("desk-need", HTMLInputElement);
    this.error = byId("desk-error", HTMLElement);
    this.progress = byId("desk-progress", HTMLElement);
    this.variants = byId("desk-variants-shown", HTMLElement);
    this.undo = byId("desk-undo", HTMLButtonElement);
    /** @type {Mode[]} */
    this.modes = [];
    this.before = "";
    /** @type {AbortController | null} */
    this.asking = null;
    this.drafts = new DeskDrafts([]);
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.text.value = sessionStorage.getItem("desk") ?? "";
    this.text.addEventListener("input", () => sessionStorage.setItem("desk", this.text.value));
    takeDropped(this.text, (files) => void this.#read(files));
    this.mode.addEventListener("change", () => this.#choose());
    this.strength.addEventListener("input", () => this.#tellStrength());
    byId("desk-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.write();
    });
    byId("desk-stop", HTMLButtonElement).addEventListener("click", () => this.stop());
    this.undo.addEventListener("click", () => this.#take(this.before));
  }

  /**
   * Put what stands in files where the cursor is.
   * @param {File[]} files
   */
  async #read(files) {
    try {
      for (const file of files) {
        const { text, language } = await read(file);
        this.text.setRangeText(text, this.text.selectionStart, this.text.selectionEnd, "end");
        const kind = /** @type {Record<string, string>} */ ({ py: "python", md: "markdown", markdown: "markdown" })[language];
        byId("desk-language", HTMLSelectElement).value = kind ?? "plaintext";
      }
      tell(this.error, "");
    } catch (error) {
      tell(this.error, readable(error));
    }
    sessionStorage.setItem("desk", this.text.value);
  }

  /** Ask which modes there are, once. */
  async open() {
    if (this.modes.length) return;
    try {
      const answer = await fetch("modes");
      if (!answer.ok) return; // the page itself tells what is wrong with the connection
      this.modes = (await answer.json()).modes;
    } catch (error) {
      return;
    }
    this.mode.replaceChildren(...this.modes.map(({ mode, title }) => make("option", { value: mode }, title)));
    this.mode.value = (this.modes.find(({ refusal }) => !refusal) ?? this.modes[0]).mode;
    this.#choose();
  }

  /** Take back what is being written. */
  stop() {
    this.asking?.abort();
  }

  get busy() {
    return this.asking !== null;
  }

  async write() {
    if (this.asking || !this.modes.length) return;
    const asking = new AbortController();
    this.#begin(asking);
    try {
      const { text, start, end } = this.#wanted();
      const answer = await fetch("write", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        signal: asking.signal,
        body: JSON.stringify(this.#request(text, start, end)),
      });
      if (!answer.ok || !answer.body) throw new Error((await answer.json()).error.message);
      for await (const line of lines(answer.body)) this.#hear(line, text);
    } catch (error) {
      const stopped = error instanceof DOMException && error.name === "AbortError";
      tell(this.error, stopped ? "" : readable(error));
      if (stopped) announce("Stopped");
    }
    this.#end();
  }

  /** @param {AbortController} asking */
  #begin(asking) {
    this.asking = asking;
    tell(this.error, "");
    this.drafts = new DeskDrafts([]);
    this.variants.replaceChildren();
    this.progress.textContent = "Writing …";
    this.#buttons();
  }

  #end() {
    this.asking = null;
    this.drafts.element.remove(); // where nothing came of them
    this.progress.textContent = "";
    this.#buttons();
  }

  #buttons() {
    byId("desk-stop", HTMLElement).hidden = !this.asking;
    byId("desk-go", HTMLButtonElement).disabled = this.asking !== null || Boolean(this.#chosen()?.refusal);
  }

  /** The text, and which part of it is meant: what is selected, else all. */
  #wanted() {
    const { value: text, selectionStart, selectionEnd } = this.text;
    const whole = selectionStart === selectionEnd;
    // A text is continued, and a docstring written, at its end or where the cursor stands.
    const at = this.#chosen()?.way === "hole" && this.mode.value === "continue" ? text.length : selectionStart;
    if (this.#chosen()?.way === "hole") return { text, start: whole ? at : selectionStart, end: whole ? at : selectionEnd };
    return { text, start: whole ? 0 : selectionStart, end: whole ? text.length : selectionEnd };
  }

  /**
   * @param {string} text
   * @param {number} start
   * @param {number} end
   */
  #request(text, start, end) {
    const need = this.#chosen()?.needs[0];
    return {
      mode: this.mode.value,
      text,
      start: points(text, start),
      end: points(text, end),
      language: byId("desk-language", HTMLSelectElement).value,
      variants: Number(byId("desk-variants", HTMLSelectElement).value),
      strength: this.strength.valueAsNumber,
      // Asked once more, it writes something else.
      seed: crypto.getRandomValues(new Uint32Array(1))[0],
      ...(need ? { [need]: this.need.value } : {}),
    };
  }

  /**
   * @param {import("./types.js").Message} line
   * @param {string} text what was rewritten
   */
  #hear(line, text) {
    if (line.type === "progress" && line.of) this.progress.textContent = `${line.done} of ${line.of} parts are written`;
    if (line.type === "parts") this.drafts = new DeskDrafts(line.parts);
    if (line.type === "draft") this.#draft(/** @type {any} */ (line));
    if (line.type === "failed") tell(this.error, line.message);
    if (line.type === "variants") this.#show(line.variants, text);
  }

  /** @param {import("./desk_drafts.js").Draft} draft */
  #draft(draft) {
    this.drafts.take(draft, this.still.matches);
    if (!this.drafts.element.isConnected) this.variants.replaceChildren(this.drafts.element);
  }

  /**
   * @param {Variant[]} variants
   * @param {string} text
   */
  #show(variants, text) {
    const worth = variants.filter((one) => one.told || one.text !== text);
    if (!worth.length) {
      const kept = variants.some(({ left }) => left);
      tell(this.error, kept ? "The text stays as it is: the new one would change its structure." : "The text stays as it is: the model wrote nothing else.");
      return;
    }
    const cards = make("div", { class: "variants" }, ...worth.map((one, index) => this.#card(one, text, index + 1)));
    this.variants.replaceChildren(cards);
    if (this.drafts.seen.length > 1) this.variants.append(settling(this.drafts, cards));
    announce(worth.length === 1 ? "One variant is written" : `${worth.length} variants are written`);
  }

  /**
   * @param {Variant} variant
   * @param {string} text
   * @param {number} number
   */
  #card(variant, text, number) {
    const pieces = variant.told ? [variant.text] : diff(text, variant.text).map(drawPiece);
    const actions = make("div", { class: "actions" }, copyButton(() => variant.text, `Copy variant ${number}`));
    if (!variant.told) {
      const takes = button("Take this", () => this.#take(variant.text), `Take variant ${number}`);
      takes.classList.add("accent");
      actions.prepend(takes);
    }
    const left = variant.left ? [make("p", { class: "hint" }, `${variant.left} paragraphs stay as they are: the new ones would change the structure.`)] : [];
    return make(
      "article",
      { class: "variant", "aria-label": `Variant ${number}` },
      make("h2", {}, `Variant ${number}`),
      make("div", { class: "diff" }, ...pieces),
      ...left,
      actions,
    );
  }

  /** @param {string} text */
  #take(text) {
    this.before = this.text.value;
    this.text.value = text;
    sessionStorage.setItem("desk", text);
    this.undo.hidden = false;
    this.variants.replaceChildren();
    this.text.focus();
  }

  #chosen() {
    return this.modes.find(({ mode }) => mode === this.mode.value);
  }

  #choose() {
    const mode = this.#chosen();
    if (!mode) return;
    const [need] = mode.needs;
    byId("desk-need-field", HTMLElement).hidden = !need;
    byId("desk-need-label", HTMLElement).textContent = need ? NEEDS[need] : "";
    byId("desk-strength-field", HTMLElement).hidden = mode.way !== "in_place";
    if (mode.mode === "docstring") byId("desk-language", HTMLSelectElement).value = "python";
    this.strength.value = `${mode.strength}`;
    this.#tellStrength();
    tell(byId("desk-refusal", HTMLElement), mode.refusal);
    this.#buttons();
  }

  #tellStrength() {
    const value = this.strength.valueAsNumber;
    const told = value <= 0.3 ? "a touch" : value < 0.8 ? "half" : "anew";
    byId("desk-strength-told", HTMLOutputElement).textContent = told;
    this.strength.setAttribute("aria-valuetext", told);
  }
}

/**
 * A slider over what was seen while the variants were written; at its end they stand themselves.
 * @param {DeskDrafts} drafts
 * @param {HTMLElement} cards
 */
function settling(drafts, cards) {
  const last = drafts.seen.length;
  const show = (/** @type {number} */ at) => {
    if (at < last) drafts.goTo(at);
    const [shown, hidden] = at < last ? [drafts.element, cards] : [cards, drafts.element];
    if (hidden.isConnected) hidden.replaceWith(shown);
  };
  return replay("Denoising steps of these variants", { first: 1, last }, (at) => drafts.place(at), show);
}

/**
 * @param {import("./diff.js").Piece} piece
 * @returns {Node | string}
 */
function drawPiece({ kind, text }) {
  if (kind === "same") return text;
  return make(kind === "added" ? "ins" : "del", {}, text);
}

/**
 * The lines of JSON in a stream, each as soon as it is whole.
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} stream
 * @returns {AsyncGenerator<import("./types.js").Message>}
 */
async function* lines(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const whole = (rest + part.value).split("\n");
    rest = whole.pop() ?? "";
    for (const line of whole) yield JSON.parse(line);
  }
}

/** @param {unknown} error */
function readable(error) {
  if (error instanceof TypeError) return "The daemon does not answer: what was being written is lost. Try again when it is back.";
  return error instanceof Error ? error.message : `${error}`;
}
