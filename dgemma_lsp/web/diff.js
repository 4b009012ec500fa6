/**
 * Two texts -> what they share and what they do not, by words. Pure.
 *
 * @typedef {{kind: "same" | "added" | "removed", text: string}} Piece
 */

// Of so many pairs of words the table would be slow to fill; such parts are shown as replaced.
const MOST_PAIRS = 4_000_000;

const words = new Intl.Segmenter(undefined, { granularity: "word" });

/**
 * Compare two texts.
 * @param {string} before
 * @param {string} after
 * @returns {Piece[]} in order; what is removed stands before what is added
 */
export function diff(before, after) {
  const [old, now] = [before, after].map((text) => [...words.segment(text)].map(({ segment }) => segment));
  let head = 0;
  while (head < Math.min(old.length, now.length) && old[head] === now[head]) head += 1;
  let tail = 0;
  while (tail < Math.min(old.length, now.length) - head && old.at(-1 - tail) === now.at(-1 - tail)) tail += 1;
  const inner = middle(old.slice(head, old.length - tail), now.slice(head, now.length - tail));
  return joined([
    ...old.slice(0, head).map((text) => piece("same", text)),
    ...inner,
    ...old.slice(old.length - tail).map((text) => piece("same", text)),
  ]);
}

/**
 * @param {Piece["kind"]} kind
 * @param {string} text
 * @returns {Piece}
 */
function piece(kind, text) {
  return { kind, text };
}

/**
 * The longest common subsequence, read off its table.
 * @param {string[]} old
 * @param {string[]} now
 * @returns {Piece[]}
 */
function middle(old, now) {
  if (old.length * now.length > MOST_PAIRS) {
    return [...old.map((text) => piece("removed", text)), ...now.map((text) => piece("added", text))];
  }
  const width = now.length + 1;
  const longest = new Uint32Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = now.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] =
        old[i] === now[j]
          ? longest[(i + 1) * width + j + 1] + 1
          : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  const found = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < now.length) {
    if (i < old.length && j < now.length && old[i] === now[j]) {
      found.push(piece("same", old[i]));
      [i, j] = [i + 1, j + 1];
    } else if (j >= now.length || (i < old.length && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) {
      found.push(piece("removed", old[i++]));
    } else {
      found.push(piece("added", now[j++]));
    }
  }
  return found;
}

/**
 * Put neighbours of one kind together. A blank between two changes is no common ground: it goes with
 * them, so that whole phrases are shown as replaced.
 * @param {Piece[]} pieces
 * @returns {Piece[]}
 */
function joined(pieces) {
  /** @type {Piece[]} */
  const found = [];
  let [removed, added] = ["", ""];
  const flush = () => {
    if (removed) found.push(piece("removed", removed));
    if (added) found.push(piece("added", added));
    [removed, added] = ["", ""];
  };
  pieces.forEach(({ kind, text }, index) => {
    const between = (removed || added) && /^ +$/.test(text) && pieces[index + 1] && pieces[index + 1].kind !== "same";
    if (kind === "removed") removed += text;
    else if (kind === "added") added += text;
    else if (between) [removed, added] = [removed + text, added + text];
    else {
      flush();
      const last = found.at(-1);
      if (last?.kind === "same") last.text += text;
      else found.push(piece("same", text));
    }
  });
  flush();
  return found;
}
