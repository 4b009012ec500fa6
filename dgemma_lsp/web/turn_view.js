/**
 * One turn of a conversation -> an element, with what can be done with it. It keeps no state but
 * that of its own slider; what is done is the caller's.
 *
 * @typedef {import("./types.js").Turn} Turn
 * @typedef {import("./types.js").Frame} Frame
 * @typedef {{edit: (turn: Turn) => void, regenerate: (turn: Turn) => void,
 *   branch: (turn: Turn) => void, choose: (turn: number) => void}} Acts
 */

import { draw } from "./answer_view.js";
import { button, copyButton, make } from "./dom.js";
import { replay } from "./replay.js";
import { bytes, size } from "./text_file.js";

/**
 * Draw a turn that is not being written.
 * @param {Turn} turn
 * @param {Frame[]} frames what was seen while it was written
 * @param {boolean} busy an answer is being written: nothing but copying can be done
 * @param {Acts} acts
 * @returns {HTMLElement}
 */
export function drawTurn(turn, frames, busy, acts) {
  const asked = turn.role === "user";
  const article = make("article", { class: `turn ${turn.role}`, "data-turn": `${turn.turn}` });
  const body = make("div", { class: "body" }, ...(asked ? [turn.text] : drawAnswer(turn)));
  article.append(
    make("h2", { class: "who" }, asked ? "You" : turn.model || "Answer"),
    ...attachments(turn),
    ...notices(turn),
    body,
    ...remarks(turn),
  );
  const foot = make("div", { class: "actions" }, ...siblings(turn, busy, acts), copyButton(() => turn.text, asked ? "Copy your message" : "Copy the answer"));
  const act = asked
    ? button("Edit", () => acts.edit(turn), "Edit your message")
    : button("Regenerate", () => acts.regenerate(turn), "Answer once more");
  const branch = button("Branch", () => acts.branch(turn), "A new conversation from here on");
  for (const one of [act, branch]) one.disabled = busy;
  foot.append(act, branch, make("span", { class: "hint" }, usage(turn, frames)));
  article.append(foot);
  if (frames.length > 1) article.append(settling(frames, body));
  return article;
}

/**
 * Draw an answer that is being written; `update` shows its next frame.
 * @param {Turn} turn
 * @param {() => boolean} still whether only what is final shall be shown
 * @returns {{element: HTMLElement, update: (turn: Turn, frame: Frame) => void}}
 */
export function drawWriting(turn, still) {
  const body = make("div", { class: "body" });
  const progress = make("p", { class: "hint writing" }, "Waiting for the model …");
  const element = make(
    "article",
    { class: "turn assistant", "data-turn": `${turn.turn}`, "aria-busy": "true" },
    make("h2", { class: "who" }, turn.model || "Answer"),
    ...notices(turn),
    body,
    progress,
  );
  const update = (/** @type {Turn} */ now, /** @type {Frame} */ frame) => {
    const shown = still() ? { ...frame, text: now.text } : frame;
    body.replaceChildren(...draw(shown, false));
    progress.textContent = frame.step ? `Writing: block ${frame.block + 1}, step ${frame.step}` : "Writing …";
  };
  return { element, update };
}

/**
 * What went with a question, to be looked at.
 * @param {Turn} turn
 */
function attachments(turn) {
  return (turn.attachments ?? []).map(({ name, text }) =>
    make("details", { class: "attached" }, make("summary", {}, make("span", { class: "name" }, name), make("span", { class: "hint" }, size(bytes(text)))), make("pre", {}, text)),
  );
}

/** @param {Turn} turn */
function drawAnswer(turn) {
  const end = turn.text.length;
  if (!turn.text.trim()) return [make("p", { class: "hint" }, "The model wrote nothing.")];
  return draw({ text: turn.text, final: end, settled: end, block: 0, step: 0 }, true);
}

/** @param {Turn} turn */
function notices(turn) {
  return (turn.notices ?? []).map((text) => make("p", { class: "notice" }, text));
}

/**
 * What became of the answer, where that is not plain.
 * @param {Turn} turn
 */
function remarks(turn) {
  switch (turn.state) {
    case "stopped":
      return [make("p", { class: "hint" }, "Stopped.")];
    case "failed":
      return [make("p", { class: "error" }, turn.message || turn.reason || "The model failed.")];
    case "interrupted":
      return [make("p", { class: "error" }, `${turn.message || "The daemon ended"}: what was final is kept. Regenerate answers once more.`)];
  }
  if (turn.reason !== "length") return [];
  return [make("p", { class: "hint" }, "Cut at its largest length, chat.max_tokens in the configuration.")];
}

/**
 * The other turns with the same parent, to go to.
 * @param {Turn} turn
 * @param {boolean} busy
 * @param {Acts} acts
 */
function siblings(turn, busy, acts) {
  const all = turn.siblings ?? [];
  const place = all.indexOf(turn.turn);
  if (all.length < 2 || place < 0) return [];
  const what = turn.role === "user" ? "wording" : "answer";
  const before = button("‹", () => acts.choose(all[place - 1]), `The ${what} before`);
  const after = button("›", () => acts.choose(all[place + 1]), `The next ${what}`);
  before.disabled = busy || place === 0;
  after.disabled = busy || place === all.length - 1;
  const told = make("span", { "aria-label": `${what} ${place + 1} of ${all.length}` }, `${place + 1}/${all.length}`);
  return [make("span", { class: "siblings" }, before, told, after)];
}

/**
 * What the answer took; and why there is no slider, where it was written unseen by this page.
 * @param {Turn} turn
 * @param {Frame[]} frames
 */
function usage({ usage }, frames) {
  if (!usage?.tokens) return "";
  const { tokens, steps = 0, tokens_per_step = 0, tokens_per_s = 0 } = usage;
  const told = `${tokens} tokens in ${steps} steps · ${tokens_per_step.toFixed(1)} a step · ${tokens_per_s.toFixed(0)} a second`;
  return steps > 1 && frames.length < 2 ? `${told} · its drafts were not kept` : told;
}

/**
 * A slider over what was seen while the answer was written; at its end stands the answer.
 * @param {Frame[]} frames
 * @param {HTMLElement} body where it is shown
 */
function settling(frames, body) {
  const last = frames.length - 1;
  const place = (/** @type {number} */ at) => `block ${frames[at].block + 1}, step ${frames[at].step}`;
  const show = (/** @type {number} */ at) => body.replaceChildren(...draw(frames[at], at === last));
  return replay("Denoising steps of this answer", { first: 0, last }, place, show);
}
