/**
 * Markdown -> a tree, for the part of it that answers are made of. Pure: it makes no element.
 *
 * Every piece of text knows where it stands in the source, so that what is provisional can be shown
 * as such. Whatever is not understood stays text; HTML is text too.
 *
 * @typedef {{kind: "text" | "code", text: string, at: number}} Leaf
 * @typedef {Leaf | {kind: "strong" | "em", inside: Inline[]}
 *   | {kind: "link", href: string, inside: Inline[]}} Inline
 * @typedef {{kind: "paragraph", inside: Inline[]} | {kind: "heading", level: number, inside: Inline[]}
 *   | {kind: "fence", language: string, lines: Leaf[]} | {kind: "quote", blocks: Block[]}
 *   | {kind: "list", start: number | null, items: Block[][]} | {kind: "rule"}} Block
 * @typedef {{text: string, at: number}} Line
 */

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^(#{1,6})\s+(?=\S)/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(\s+)(?=\S)/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const SAFE = /^(https?:\/\/|mailto:)[^\s]+$/i;

/**
 * Read a text.
 * @param {string} source
 * @returns {Block[]}
 */
export function parse(source) {
  let at = 0;
  const lines = source.split("\n").map((text) => {
    const line = { text, at };
    at += text.length + 1;
    return line;
  });
  return blocks(lines);
}

/**
 * @param {Line[]} lines
 * @returns {Block[]}
 */
function blocks(lines) {
  /** @type {Block[]} */
  const found = [];
  let next = 0;
  while (next < lines.length) {
    const { text } = lines[next];
    const reader = !text.trim() ? null : readers.find(([begins]) => begins.test(text))?.[1];
    if (reader) next = reader(lines, next, found);
    else if (text.trim()) next = paragraph(lines, next, found);
    else next += 1;
  }
  return found;
}

/** @typedef {(lines: Line[], first: number, found: Block[]) => number} Reader adds a block, returns the line behind it */
/** @type {[RegExp, Reader][]} */
const readers = [
  [FENCE, fence],
  [HEADING, heading],
  [RULE, (_, first, found) => (found.push({ kind: "rule" }), first + 1)],
  [QUOTE, quote],
  [ITEM, list],
];

/** @type {Reader} */
function fence(lines, first, found) {
  const [, marks, language] = FENCE.exec(lines[first].text) ?? ["", "```", ""];
  const closing = new RegExp(`^ {0,3}${marks[0]}{${marks.length},}\\s*$`);
  let end = first + 1;
  while (end < lines.length && !closing.test(lines[end].text)) end += 1;
  const inner = lines.slice(first + 1, end);
  /** @type {Leaf[]} */
  const leaves = inner.map(({ text, at }, index) => ({
    kind: "code",
    text: index < inner.length - 1 ? `${text}\n` : text,
    at,
  }));
  found.push({ kind: "fence", language: language.trim().split(/\s/)[0], lines: leaves });
  return end + 1;
}

/** @type {Reader} */
function heading(lines, first, found) {
  const { text, at } = lines[first];
  const [all, marks] = HEADING.exec(text) ?? ["# ", "#"];
  const rest = { text: text.slice(all.length).replace(/\s+#+\s*$/, ""), at: at + all.length };
  found.push({ kind: "heading", level: marks.length, inside: inline([rest]) });
  return first + 1;
}

/** @type {Reader} */
function quote(lines, first, found) {
  let end = first;
  while (end < lines.length && QUOTE.test(lines[end].text)) end += 1;
  const inner = lines.slice(first, end).map(({ text, at }) => {
    const marker = QUOTE.exec(text)?.[0].length ?? 0;
    return { text: text.slice(marker), at: at + marker };
  });
  found.push({ kind: "quote", blocks: blocks(inner) });
  return end;
}

/** @type {Reader} */
function list(lines, first, found) {
  const marker = ITEM.exec(lines[first].text)?.[2] ?? "-";
  const ordered = /\d/.test(marker);
  /** @type {Line[][]} */
  const items = [];
  let next = first;
  for (let opened; next < lines.length && (opened = opens(lines[next].text, ordered)); ) {
    const item = [cut(lines[next], opened)];
    next += 1;
    // What is indented at least as far as the item's text belongs to it, and blank lines between.
    for (let end = next; end < lines.length; end += 1) {
      const { text } = lines[end];
      if (text.trim() && indent(text) < Math.min(opened, 2)) break;
      if (!text.trim()) continue;
      item.push(...lines.slice(next, end + 1).map((line) => cut(line, Math.min(opened, indent(line.text)))));
      next = end + 1;
    }
    while (next < lines.length - 1 && !lines[next].text.trim() && opens(lines[next + 1].text, ordered)) next += 1;
    items.push(item);
  }
  found.push({ kind: "list", start: ordered ? parseInt(marker, 10) : null, items: items.map(blocks) });
  return next;
}

/**
 * How long the marker of a list's item is, 0 where none begins here.
 * @param {string} text
 * @param {boolean} ordered
 */
function opens(text, ordered) {
  const match = ITEM.exec(text);
  return match && !RULE.test(text) && /\d/.test(match[2]) === ordered ? match[0].length : 0;
}

/** @param {string} text */
function indent(text) {
  return text.length - text.trimStart().length;
}

/**
 * @param {Line} line
 * @param {number} length
 * @returns {Line}
 */
function cut(line, length) {
  return { text: line.text.slice(length), at: line.at + length };
}

/** @type {Reader} */
function paragraph(lines, first, found) {
  let end = first + 1;
  while (end < lines.length && lines[end].text.trim() && !readers.some(([begins]) => begins.test(lines[end].text))) end += 1;
  found.push({ kind: "paragraph", inside: inline(lines.slice(first, end)) });
  return end;
}

/**
 * What begins a piece that is no plain text: code, strong, em, link, address.
 */
const SPANS =
  /(`+)(?!`)(.+?)(?<!`)\1(?!`)|\*\*(?=\S)(.+?)(?<=\S)\*\*(?!\*)|__(?=\S)(.+?)(?<=\S)__(?!\w)|(?<![\w*])\*(?=[^\s*])(.+?)(?<=[^\s*])\*(?![\w*])|(?<![\w_])_(?=[^\s_])(.+?)(?<=[^\s_])_(?![\w_])|\[([^[\]]+)\]\(([^()\s]+)\)|https?:\/\/[^\s<>()[\]"'`]*[^\s<>()[\]"'`.,;:!?]/gs;

/**
 * @param {Line[]} lines
 * @returns {Inline[]}
 */
function inline(lines) {
  const text = lines.map((line) => line.text).join("\n");
  return pieces(text, 0, lines);
}

/**
 * @param {string} text a part of the lines, joined
 * @param {number} from where it begins in them
 * @param {Line[]} lines
 * @returns {Inline[]}
 */
function pieces(text, from, lines) {
  /** @type {Inline[]} */
  const found = [];
  let done = 0;
  for (const match of text.matchAll(SPANS)) {
    found.push(...leaves("text", text.slice(done, match.index), from + done, lines));
    found.push(...span(match, from + match.index, lines));
    done = match.index + match[0].length;
  }
  found.push(...leaves("text", text.slice(done), from + done, lines));
  return found;
}

/**
 * @param {RegExpMatchArray} match
 * @param {number} at
 * @param {Line[]} lines
 * @returns {Inline[]}
 */
function span(match, at, lines) {
  const [all, ticks, code, strong, strong2, em, em2, label, href] = match;
  if (ticks) return leaves("code", code, at + ticks.length, lines);
  const bold = strong ?? strong2;
  if (bold !== undefined) return [{ kind: "strong", inside: pieces(bold, at + 2, lines) }];
  const slanted = em ?? em2;
  if (slanted !== undefined) return [{ kind: "em", inside: pieces(slanted, at + 1, lines) }];
  if (label === undefined) return [{ kind: "link", href: all, inside: leaves("text", all, at, lines) }];
  if (!SAFE.test(href)) return leaves("text", all, at, lines);
  return [{ kind: "link", href, inside: leaves("text", label, at + 1, lines) }];
}

/**
 * Cut a text at the ends of its lines, as only inside of a line it stands in one piece.
 * @param {"text" | "code"} kind
 * @param {string} text
 * @param {number} from
 * @param {Line[]} lines
 * @returns {Leaf[]}
 */
function leaves(kind, text, from, lines) {
  /** @type {Leaf[]} */
  const found = [];
  let begin = 0;
  for (const line of lines) {
    const end = begin + line.text.length + 1;
    const [first, last] = [Math.max(begin, from), Math.min(end, from + text.length)];
    if (first < last) {
      found.push({ kind, text: text.slice(first - from, last - from), at: line.at + first - begin });
    }
    begin = end;
  }
  return found;
}
