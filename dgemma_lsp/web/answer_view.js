/**
 * A frame of an answer -> elements: Markdown, of which what may change still is marked.
 *
 * @typedef {import("./types.js").Frame} Frame
 * @typedef {Frame & {whole: boolean}} Shown
 * @typedef {import("./markdown.js").Block} Block
 * @typedef {import("./markdown.js").Inline} Inline
 * @typedef {import("./markdown.js").Leaf} Leaf
 */

import { copyButton, make } from "./dom.js";
import { parse } from "./markdown.js";

/**
 * Draw a frame; `whole` tells that it will not be replaced by the next one at once, so that there
 * is something to copy.
 * @param {Frame} frame
 * @param {boolean} whole
 * @returns {Node[]}
 */
export function draw(frame, whole) {
  return parse(frame.text).map((block) => drawBlock(block, { ...frame, whole }));
}

/**
 * @param {Block} block
 * @param {Shown} frame
 * @returns {HTMLElement}
 */
function drawBlock(block, frame) {
  switch (block.kind) {
    case "paragraph":
      return make("p", {}, ...drawAll(block.inside, frame));
    case "heading": {
      // The page and the conversation have the first two levels.
      const level = /** @type {"h3"} */ (`h${Math.min(block.level + 2, 6)}`);
      return make(level, {}, ...drawAll(block.inside, frame));
    }
    case "fence":
      return drawFence(block.language, block.lines, frame);
    case "quote":
      return make("blockquote", {}, ...block.blocks.map((inner) => drawBlock(inner, frame)));
    case "list": {
      const items = block.items.map((item) => make("li", {}, ...item.map((inner) => drawBlock(inner, frame))));
      return block.start === null ? make("ul", {}, ...items) : make("ol", { start: `${block.start}` }, ...items);
    }
    case "rule":
      return make("hr");
  }
}

/**
 * @param {string} language
 * @param {Leaf[]} lines
 * @param {Shown} frame
 */
function drawFence(language, lines, frame) {
  const code = lines.map((line) => line.text).join("");
  const head = make("div", { class: "code-head" }, make("span", {}, language || "code"));
  if (frame.whole) head.append(copyButton(() => code, "Copy this code"));
  // It may be wider than the page: a person without a mouse must be able to scroll it.
  const body = make("pre", { tabindex: "0" }, make("code", {}, ...lines.flatMap((leaf) => shades(leaf, frame))));
  return make("div", { class: "code" }, head, body);
}

/**
 * @param {Inline[]} inside
 * @param {Shown} frame
 * @returns {(Node | string)[]}
 */
function drawAll(inside, frame) {
  return inside.flatMap((piece) => {
    switch (piece.kind) {
      case "text":
        return shades(piece, frame);
      case "code":
        return [make("code", {}, ...shades(piece, frame))];
      case "strong":
      case "em":
        return [make(piece.kind, {}, ...drawAll(piece.inside, frame))];
      case "link":
        return drawLink(piece.href, drawAll(piece.inside, frame));
    }
  });
}

/**
 * A link stands with its target, so that nobody is led elsewhere by its words.
 * @param {string} href
 * @param {(Node | string)[]} words
 */
function drawLink(href, words) {
  const link = make("a", { href, rel: "noopener noreferrer", target: "_blank" }, ...words);
  return link.textContent === href ? [link] : [link, make("span", { class: "target" }, ` (${href})`)];
}

/**
 * Cut a text where it is final and where it has settled, and mark the parts.
 * @param {Leaf} leaf
 * @param {Frame} frame
 * @returns {(Node | string)[]}
 */
function shades({ text, at }, { final, settled }) {
  const ends = [final - at, settled - at, text.length].map((end) => Math.min(Math.max(end, 0), text.length));
  const parts = [text.slice(0, ends[0]), text.slice(ends[0], ends[1]), text.slice(ends[1])];
  const [sure, stable, open] = parts;
  return [
    ...(sure ? [sure] : []),
    ...(stable ? [make("span", { class: "settled" }, stable)] : []),
    ...(open ? [make("span", { class: "provisional" }, open)] : []),
  ];
}
