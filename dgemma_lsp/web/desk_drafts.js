/**
 * What a rewriting says while it is written: a card for each variant, part by part. It asks nobody
 * and keeps what was seen, to go through it again afterwards.
 *
 * @typedef {{variant: number, part: number, step: number, text: string, settled: number,
 *   final: boolean}} Draft
 */

import { make } from "./dom.js";
import { units } from "./conversation.js";

export class DeskDrafts {
  /** @param {{text: string, kept?: boolean}[]} parts the text as it was; drafts replace what is not kept */
  constructor(parts) {
    this.parts = parts;
    /** @type {Draft[]} */
    this.seen = [];
    this.element = make("div", { class: "variants" });
    /** @type {Map<number, HTMLElement[]>} */
    this.spans = new Map();
  }

  /**
   * Take in a draft, and show it.
   * @param {Draft} draft
   * @param {boolean} still whether only what is final shall be shown
   */
  take(draft, still) {
    this.seen.push(draft);
    if (draft.final || !still) this.#show(draft);
  }

  /**
   * Show what was seen when so many drafts had come.
   * @param {number} count
   */
  goTo(count) {
    for (const spans of this.spans.values()) spans.forEach((span, part) => this.#begin(span, part));
    const newest = new Map(this.seen.slice(0, count).map((draft) => [`${draft.variant} ${draft.part}`, draft]));
    for (const draft of newest.values()) this.#show(draft);
  }

  /**
   * Where the drafts were after so many of them, for the person.
   * @param {number} count
   */
  place(count) {
    const { part, step } = this.seen[count - 1];
    const parts = this.seen.reduce((most, draft) => Math.max(most, draft.part + 1), this.parts.length);
    return parts > 1 ? `part ${part + 1} of ${parts}, step ${step}` : `step ${step}`;
  }

  /** @param {Draft} draft */
  #show({ variant, part, text, settled, final }) {
    const spans = this.spans.get(variant) ?? this.#card(variant);
    while (spans.length <= part) spans.push(this.#span(spans[0].parentElement, spans.length));
    show(spans[part], text, final ? text.length : 0, units(text, settled));
  }

  /** @param {number} variant */
  #card(variant) {
    const body = make("div", { class: "diff" });
    const card = make("article", { class: "variant", "aria-label": `Variant ${variant + 1}, being written`, "aria-busy": "true" }, make("h2", {}, `Variant ${variant + 1}`), body);
    const spans = Array.from({ length: Math.max(this.parts.length, 1) }, (_, part) => this.#span(body, part));
    this.spans.set(variant, spans);
    const numbers = [...this.spans.keys()].sort((a, b) => a - b);
    this.element.insertBefore(card, this.element.children[numbers.indexOf(variant)] ?? null);
    return spans;
  }

  /**
   * @param {HTMLElement | null} body
   * @param {number} part
   */
  #span(body, part) {
    const span = make("span");
    this.#begin(span, part);
    body?.append(span);
    return span;
  }

  /**
   * Show what stands there before the first draft.
   * @param {HTMLElement} span
   * @param {number} part
   */
  #begin(span, part) {
    const { text, kept } = this.parts[part] ?? { text: "" };
    show(span, text, kept ? text.length : 0);
  }
}

/**
 * Fill a span with a text of which the first UTF-16 units are final, or settled.
 * @param {HTMLElement} span
 * @param {string} text
 * @param {number} final
 * @param {number} settled
 */
function show(span, text, final, settled = final) {
  const pieces = [
    { kind: "", text: text.slice(0, final) },
    { kind: "settled", text: text.slice(final, settled) },
    { kind: "provisional", text: text.slice(Math.max(final, settled)) },
  ];
  span.replaceChildren(
    ...pieces.filter((piece) => piece.text).map((piece) => make("span", piece.kind ? { class: piece.kind } : {}, piece.text)),
  );
}
