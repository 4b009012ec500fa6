/**
 * One conversation as the daemon tells it: its turns, the path that is shown, the draft under way.
 * Pure: no element and no connection. PROTOCOL.md says what each message does.
 *
 * @typedef {import("./types.js").Summary} Summary
 * @typedef {import("./types.js").Turn} Turn
 * @typedef {import("./types.js").Frame} Frame
 * @typedef {import("./types.js").Message} Message
 */

export class Conversation {
  /** @param {string} key */
  constructor(key) {
    this.key = key;
    /** @type {Summary | null} */
    this.about = null;
    /** @type {Map<number, Turn>} never changed in place: another object is another state */
    this.turns = new Map();
    /** @type {Map<number, Frame[]>} what was seen of each answer while it was written */
    this.frames = new Map();
    /** @type {{turn: number, frame: Frame} | null} */
    this.draft = null;
  }

  /**
   * Take in what came.
   * @param {Message} message
   */
  take(message) {
    switch (message.type) {
      case "conversation":
        this.about = message.conversation;
        break;
      case "turn":
        this.#put(message.turn);
        break;
      case "draft":
        this.#takeDraft(message);
        break;
      case "block":
        this.#takeBlock(message);
        break;
      case "turn_ended":
        this.#end(message);
        break;
    }
  }

  /**
   * The turns that are shown, the oldest first.
   * @returns {Turn[]}
   */
  path() {
    const found = [];
    let number = this.about?.head ?? 0;
    for (let turn = this.turns.get(number); turn; turn = this.turns.get(number)) {
      found.push(turn);
      number = turn.parent ?? 0;
    }
    return found.reverse();
  }

  /**
   * The newest turn of the path that was not told yet, 0 where all were.
   * @returns {number}
   */
  missing() {
    const [oldest] = this.path();
    return oldest ? (oldest.parent ?? 0) : (this.about?.head ?? 0);
  }

  /**
   * What to watch from, so that nothing is told twice and nothing is lost.
   * @returns {{after_turn: number, after_block: number}}
   */
  seen() {
    const last = this.path().at(-1);
    return { after_turn: last?.turn ?? 0, after_block: last?.blocks ?? 0 };
  }

  /**
   * What is to be shown of a turn now.
   * @param {Turn} turn
   * @returns {Frame}
   */
  frame(turn) {
    return this.draft?.turn === turn.turn ? this.draft.frame : finished(turn);
  }

  /** @param {Turn} turn */
  #put(turn) {
    this.turns.set(turn.turn, turn);
    for (const number of turn.siblings ?? []) {
      const other = this.turns.get(number);
      if (other && other !== turn) this.turns.set(number, { ...other, siblings: turn.siblings });
    }
  }

  /** @param {Message} message */
  #takeDraft(message) {
    const turn = this.turns.get(message.turn);
    if (!turn || (turn.blocks ?? 0) !== message.block) return;
    const final = turn.text.length;
    const settled = final + units(message.text, message.stable ?? 0);
    const { block, step } = message;
    const frame = { text: turn.text + message.text, final, settled, block, step };
    this.draft = { turn: turn.turn, frame };
    this.#keep(turn.turn, frame);
  }

  /** @param {Message} message */
  #takeBlock(message) {
    const turn = this.turns.get(message.turn);
    if (!turn || (turn.blocks ?? 0) !== message.block) return;
    const grown = { ...turn, text: turn.text + message.text, blocks: message.block + 1 };
    this.turns.set(turn.turn, grown);
    this.draft = null;
    this.#keep(turn.turn, { ...finished(grown), block: message.block, step: message.steps ?? 0 });
  }

  /** @param {Message} message */
  #end(message) {
    const turn = this.turns.get(message.turn);
    if (!turn) return;
    const { state, reason = "", message: said = "", notices = [], usage = null } = message;
    this.turns.set(turn.turn, { ...turn, state, reason, message: said, notices, usage });
    this.draft = null;
  }

  /**
   * @param {number} turn
   * @param {Frame} frame
   */
  #keep(turn, frame) {
    const frames = this.frames.get(turn) ?? [];
    frames.push(frame);
    this.frames.set(turn, frames);
  }
}

/**
 * The frame of a turn without a draft.
 * @param {Turn} turn
 * @returns {Frame}
 */
export function finished(turn) {
  const end = turn.text.length;
  return { text: turn.text, final: end, settled: end, block: turn.blocks ?? 0, step: 0 };
}

/**
 * How many UTF-16 units the first code points of a text have.
 * @param {string} text
 * @param {number} points
 * @returns {number}
 */
export function units(text, points) {
  let length = 0;
  for (const character of text) {
    if (points-- <= 0) break;
    length += character.length;
  }
  return length;
}

/**
 * How many code points stand in the first UTF-16 units of a text.
 * @param {string} text
 * @param {number} length
 * @returns {number}
 */
export function points(text, length) {
  return [...text.slice(0, length)].length;
}
