/**
 * The conversation that is open: follows it, shows it, and does what a person wants of it.
 * What a message means is `conversation.js`'s, what a turn looks like `turn_view.js`'s.
 *
 * @typedef {import("./types.js").Summary} Summary
 * @typedef {import("./types.js").Turn} Turn
 * @typedef {import("./types.js").Message} Message
 * @typedef {import("./link.js").Link} Link
 */

import { Attachments, takeDropped } from "./attachments.js";
import { Conversation } from "./conversation.js";
import { askLine, askText, askWhether } from "./dialog.js";
import { announce, button, byId, make, tell } from "./dom.js";
import { drawTurn, drawWriting } from "./turn_view.js";

const CLOSE_TO_END_PX = 80;
const NO_PICTURE_MS = 250;

export class ChatView {
  /**
   * @param {Link} link
   * @param {{go: (key: string) => void, changed: (about: Summary) => void, gone: (key: string) => void}} tells
   */
  constructor(link, tells) {
    this.link = link;
    this.tells = tells;
    this.conversation = new Conversation("");
    /** @type {ReturnType<Link["watch"]> | null} */
    this.watching = null;
    /** @type {Map<number, {turn: Turn, busy: boolean, element: HTMLElement, update?: ReturnType<typeof drawWriting>["update"]}>} */
    this.drawn = new Map();
    this.editing = 0;
    this.sending = false;
    this.system = ""; // of a conversation that is not begun yet
    this.attached = new Attachments();
    this.wanted = false; // a drawing
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.turns = byId("turns", HTMLElement);
    this.message = byId("message", HTMLTextAreaElement);
    this.error = byId("chat-error", HTMLElement);
    byId("composer", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
    this.message.addEventListener("input", () => fit(this.message));
    this.message.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      void this.send();
    });
    byId("stop", HTMLButtonElement).addEventListener("click", () => this.stop());
    this.#takeFiles();
  }

  /** The answer that is being written, 0 where there is none. */
  get writing() {
    return this.conversation.about?.writing ?? 0;
  }

  /**
   * Show a conversation, or with an empty key the beginning of one.
   * @param {string} key
   */
  open(key) {
    if (key !== this.conversation.key) {
      this.leave();
      this.conversation = new Conversation(key);
      this.drawn.clear();
      this.editing = 0;
      this.turns.replaceChildren();
      tell(this.error, "");
    }
    this.follow();
    this.plan();
  }

  /** Hear nothing any more. */
  leave() {
    this.watching?.leave();
    this.watching = null;
  }

  /** Watch from what is known already; to be called whenever the connection is back. */
  follow() {
    const { conversation } = this;
    if (!conversation.key || this.watching || !this.link.ready) return;
    const watching = this.link.watch(
      { type: "watch_conversation", conversation: conversation.key, ...conversation.seen() },
      (message) => this.#hear(conversation, message),
    );
    this.watching = watching;
    watching.ended.then(
      () => this.tells.gone(conversation.key),
      (error) => {
        if (this.watching !== watching) return;
        this.watching = null;
        if (error.code === "not_found") this.tells.gone(conversation.key);
        else if (error.code) tell(this.error, error.message);
      },
    );
  }

  /** The connection is lost: what was watched is asked for again when it is back. */
  lost() {
    this.watching = null;
  }

  // What a person does

  async send() {
    const text = this.message.value;
    const attachments = this.attached.files;
    if (!text.trim() || this.writing || this.sending) return;
    this.sending = true;
    await this.#try(async () => {
      const key = this.conversation.key || (await this.#begin());
      await this.#once({ type: "send_turn", conversation: key, text, attachments });
      if (this.message.value === text) this.message.value = "";
      this.attached.remove(attachments);
      fit(this.message);
    });
    this.sending = false;
  }

  /** Have the system's dialog choose files for the next message. */
  attach() {
    byId("files", HTMLInputElement).click();
  }

  /** Files come from the system's dialog, from the clipboard, and by being dropped. */
  #takeFiles() {
    const chooser = byId("files", HTMLInputElement);
    const composer = byId("composer", HTMLFormElement);
    const take = async (/** @type {File[]} */ files) => {
      await this.#try(() => this.attached.add(files));
      this.message.focus();
    };
    composer.insertBefore(this.attached.element, this.message.parentElement);
    this.attached.element.addEventListener("empty", () => this.message.focus());
    byId("attach", HTMLButtonElement).addEventListener("click", () => this.attach());
    chooser.addEventListener("change", () => {
      void take([...(chooser.files ?? [])]);
      chooser.value = ""; // the same file chosen once more is a change
    });
    this.message.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (!files.length) return;
      event.preventDefault();
      void take(files);
    });
    takeDropped(byId("chat", HTMLElement), (files) => void take(files));
  }

  stop() {
    if (!this.writing) return;
    void this.#try(() => this.link.ask({ type: "stop_answer", conversation: this.conversation.key }));
  }

  /** @param {number} [turn] an answer; the last one where it is left out */
  regenerate(turn = 0) {
    if (!this.conversation.key || this.writing) return;
    void this.#try(() => this.#once({ type: "regenerate", conversation: this.conversation.key, turn }));
  }

  /** @param {Turn} [turn] a question; the last one where it is left out */
  edit(turn = this.conversation.path().findLast(({ role }) => role === "user")) {
    if (!turn || this.writing) return;
    this.editing = turn.turn;
    this.drawn.delete(turn.turn);
    this.plan();
  }

  async rename() {
    const { about, key } = this.conversation;
    if (!about) return;
    const title = await askLine("Rename this conversation", about.title);
    if (title === null || title === about.title) return;
    await this.#try(() => this.link.ask({ type: "change_conversation", conversation: key, title }));
  }

  /** Ask for what the model is told before all that is said. */
  async instruct() {
    const { key, about } = this.conversation;
    const known = about ? (about.system ?? "") : this.system;
    const system = await askText("Instructions for the model", known, "Read before each answer, from the next one on. Empty: chat.system of the configuration.");
    if (system === null || system.trim() === known || key !== this.conversation.key) return;
    await this.#try(async () => {
      if (key) await this.link.ask({ type: "change_conversation", conversation: key, system: system.trim() });
      else this.system = system.trim();
    });
    this.plan();
  }

  async remove() {
    const { about, key } = this.conversation;
    if (!about) return;
    const sure = await askWhether("Delete this conversation?", `“${about.title}” is removed for good.`, "Delete");
    if (sure) await this.#try(() => this.link.ask({ type: "delete_conversation", conversation: key }));
  }

  /** @param {"markdown" | "json"} format */
  async export(format) {
    const { about, key } = this.conversation;
    if (!about) return;
    await this.#try(async () => {
      const parts = await this.link.ask({ type: "export_conversation", conversation: key, format });
      const [ending, type] = format === "json" ? ["json", "application/json"] : ["md", "text/markdown"];
      const address = URL.createObjectURL(new Blob(parts.map(({ text }) => text), { type }));
      const name = about.title.replace(/[^\p{L}\p{N} _-]+/gu, "").trim() || "conversation";
      make("a", { href: address, download: `${name}.${ending}` }).click();
      URL.revokeObjectURL(address);
    });
  }

  /** @param {Turn} turn */
  async #branch(turn) {
    await this.#try(async () => {
      const message = { type: "branch_conversation", conversation: this.conversation.key, turn: turn.turn };
      const [{ conversation }] = await this.link.ask(message);
      this.tells.changed(conversation);
      this.tells.go(conversation.conversation);
    });
  }

  /** @param {number} turn */
  #choose(turn) {
    void this.#try(() => this.link.ask({ type: "choose_turn", conversation: this.conversation.key, turn }));
  }

  /** @returns {Promise<string>} the key of a new conversation, which is open then */
  async #begin() {
    const [{ conversation }] = await this.link.ask({ type: "new_conversation", system: this.system || null });
    this.system = "";
    this.conversation = new Conversation(conversation.conversation);
    this.conversation.about = conversation;
    this.follow();
    this.tells.go(conversation.conversation);
    return conversation.conversation;
  }

  /**
   * Ask for something that must not happen twice, even where the connection breaks meanwhile.
   * @param {Record<string, any>} message
   */
  #once(message) {
    return this.link.ask({ ...message, once: crypto.randomUUID() }, { again: true });
  }

  /** @param {() => Promise<unknown>} act */
  async #try(act) {
    tell(this.error, "");
    try {
      await act();
    } catch (error) {
      tell(this.error, error instanceof Error ? error.message : `${error}`);
    }
  }

  // What is shown

  /**
   * @param {Conversation} conversation
   * @param {Message} message
   */
  #hear(conversation, message) {
    if (conversation !== this.conversation) return;
    // An end is told again to a page that comes back, but said once.
    const ends = message.type === "turn_ended" && conversation.turns.get(message.turn)?.state === "writing";
    conversation.take(message);
    if (message.type === "conversation") this.tells.changed(message.conversation);
    if (ends) this.#announce(message.turn);
    if (message.type === "caught_up") void this.#complete(conversation);
    this.plan();
  }

  /**
   * Read what is missing of the path; it is older than what a watch tells.
   * @param {Conversation} conversation
   */
  async #complete(conversation) {
    for (let turn = conversation.missing(); turn; turn = conversation.missing()) {
      const told = await this.link.ask({ type: "read_turns", conversation: conversation.key, turn });
      if (!told.length || conversation !== this.conversation) return;
      for (const message of told) conversation.take(message);
      this.plan();
    }
  }

  /** @param {number} number */
  #announce(number) {
    const turn = this.conversation.turns.get(number);
    if (turn) announce(`${turn.state === "stopped" ? "Stopped" : "Answer"}: ${turn.message || turn.text}`);
  }

  /** Draw with the next picture, however much comes until then; a page in the back gets none. */
  plan() {
    if (this.wanted) return;
    this.wanted = true;
    const draw = () => {
      if (!this.wanted) return;
      this.wanted = false;
      clearTimeout(late);
      cancelAnimationFrame(next);
      this.draw();
    };
    const next = requestAnimationFrame(draw);
    const late = setTimeout(draw, NO_PICTURE_MS);
  }

  draw() {
    const { about, key } = this.conversation;
    const path = this.conversation.path();
    byId("title", HTMLElement).textContent = about?.title || "New conversation";
    document.title = about?.title ? `${about.title} · dgemma` : "dgemma";
    this.#drawActions();
    const [send, stop] = [byId("send", HTMLElement), byId("stop", HTMLElement)];
    send.hidden = this.writing > 0;
    stop.hidden = this.writing === 0;
    // A button that goes away would take the keyboard with it.
    if ((send.hidden ? send : stop) === document.activeElement) this.message.focus();
    const { scrollTop, scrollHeight, clientHeight } = this.turns;
    const atEnd = scrollHeight - scrollTop - clientHeight < CLOSE_TO_END_PX;
    this.#place(path.map((turn) => this.#element(turn)));
    if (!path.length && !this.turns.childElementCount) this.turns.append(empty(key));
    if (atEnd) this.turns.scrollTop = this.turns.scrollHeight;
  }

  #drawActions() {
    const actions = byId("about", HTMLElement);
    const system = this.conversation.about ? this.conversation.about.system : this.system;
    const told = byId("system", HTMLElement);
    told.hidden = !system;
    told.textContent = system ? `Instructions: ${system}` : "";
    const wanted = this.conversation.about ? "all" : "few";
    if (actions.dataset.shown === wanted) return;
    actions.dataset.shown = wanted;
    actions.replaceChildren(button("Instructions", () => void this.instruct(), "Instructions for the model"));
    if (wanted === "few") return;
    actions.append(
      button("Rename", () => void this.rename(), "Rename this conversation"),
      button("Export .md", () => void this.export("markdown"), "Export .md, as it is shown"),
      button("Export .json", () => void this.export("json"), "Export .json, with all answers"),
      button("Delete", () => void this.remove(), "Delete this conversation"),
    );
  }

  /**
   * Put the elements there in this order, and touch only what changed.
   * @param {HTMLElement[]} elements
   */
  #place(elements) {
    const focused = document.activeElement;
    const [turn, label] = [focused?.closest("[data-turn]")?.getAttribute("data-turn"), focused?.getAttribute("aria-label")];
    for (const child of [...this.turns.children]) {
      if (!elements.includes(/** @type {HTMLElement} */ (child))) child.remove();
    }
    elements.forEach((element, index) => {
      if (this.turns.children[index] !== element) this.turns.insertBefore(element, this.turns.children[index] ?? null);
    });
    if (!focused || focused.isConnected || !label) return;
    // The button that was pressed was drawn anew: the keyboard stays with it, or with the message.
    const again = this.turns.querySelector(`[data-turn="${turn}"] [aria-label="${CSS.escape(label)}"]:enabled`);
    if (again instanceof HTMLElement) again.focus();
    else this.message.focus();
  }

  /**
   * @param {Turn} turn
   * @returns {HTMLElement}
   */
  #element(turn) {
    const busy = this.writing > 0;
    const known = this.drawn.get(turn.turn);
    if (turn.state === "writing" && known?.update) {
      known.update(turn, this.conversation.frame(turn));
      return known.element;
    }
    if (known && known.turn === turn && known.busy === busy && !known.update) return known.element;
    const made = this.#make(turn, busy);
    this.drawn.set(turn.turn, { turn, busy, ...made });
    return made.element;
  }

  /**
   * @param {Turn} turn
   * @param {boolean} busy
   * @returns {{element: HTMLElement, update?: ReturnType<typeof drawWriting>["update"]}}
   */
  #make(turn, busy) {
    if (turn.state === "writing") {
      const writing = drawWriting(turn, () => this.still.matches);
      if (turn.text) writing.update(turn, this.conversation.frame(turn));
      return writing;
    }
    if (this.editing === turn.turn && !busy) return { element: this.#editor(turn) };
    const frames = this.conversation.frames.get(turn.turn) ?? [];
    const element = drawTurn(turn, frames, busy, {
      edit: (one) => this.edit(one),
      regenerate: (one) => this.regenerate(one.turn),
      branch: (one) => void this.#branch(one),
      choose: (number) => this.#choose(number),
    });
    return { element };
  }

  /** @param {Turn} turn */
  #editor(turn) {
    const field = make("textarea", { rows: "3", "aria-label": "Your message, anew" });
    field.value = turn.text;
    const attached = new Attachments(turn.attachments);
    attached.element.addEventListener("empty", () => field.focus());
    const close = () => {
      this.editing = 0;
      this.drawn.delete(turn.turn);
      this.plan();
    };
    const save = async () => {
      if (!field.value.trim()) return;
      const message = { type: "edit_turn", conversation: this.conversation.key, turn: turn.turn, text: field.value, attachments: attached.files };
      await this.#try(() => this.#once(message).then(close));
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        close();
        this.message.focus();
      }
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        void save();
      }
    });
    const submit = button("Send", () => void save(), "Send the edited message");
    submit.classList.add("accent");
    queueMicrotask(() => {
      fit(field);
      field.focus();
    });
    return make(
      "article",
      { class: "turn user", "data-turn": `${turn.turn}` },
      make("h2", { class: "who" }, "You"),
      attached.element,
      field,
      make("div", { class: "actions" }, submit, button("Cancel", close)),
    );
  }
}

/**
 * @param {string} key
 * @returns {HTMLElement}
 */
function empty(key) {
  const text = key ? "Nothing has been said here yet." : "Ask something. What is written settles step by step before your eyes.";
  return make("p", { class: "hint empty" }, text);
}

/**
 * Let a field grow with its text.
 * @param {HTMLTextAreaElement} field
 */
function fit(field) {
  field.rows = Math.min(Math.max(field.value.split("\n").length, 1), 10);
}
