/**
 * The connection to the daemon: says hello, asks, hears, and comes back by itself when it breaks.
 * It knows no conversation: what is watched is asked for again by whoever `opened` tells.
 *
 * @typedef {import("./types.js").Message} Message
 * @typedef {{message: Record<string, any>, hear: (message: Message) => void, again: boolean,
 *   resolve: () => void, reject: (error: Error) => void}} Request
 */

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

/** What the daemon refuses, in its own line; `code` is that of PROTOCOL.md. */
export class Refused extends Error {
  /**
   * @param {string} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class Link {
  /**
   * @param {object} heard
   * @param {(model: string, state: string) => void} heard.opened
   * @param {(seconds: number) => void} heard.lost tried again after so many seconds
   * @param {(why: string) => void} heard.locked the daemon does not let this page in
   */
  constructor(heard) {
    this.heard = heard;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.ready = false;
    this.pause = FIRST_PAUSE_MS;
    this.timer = 0;
    this.number = 0;
    /** @type {Map<string, Request>} */
    this.requests = new Map();
    addEventListener("online", () => this.tryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.tryNow());
  }

  /** Connect, unless it is connected or about to be. */
  tryNow() {
    if (this.socket) return;
    clearTimeout(this.timer);
    const socket = new WebSocket(new URL("socket", location.href).href.replace(/^http/, "ws"));
    this.socket = socket;
    socket.onopen = () => socket.send(JSON.stringify({ type: "hello", protocol: 1, client: "page" }));
    socket.onmessage = (event) => this.#take(JSON.parse(event.data));
    socket.onclose = () => this.#lose();
  }

  /**
   * Ask, and return all that is answered but the end; throws Refused, or an Error when it was lost.
   * @param {Record<string, any>} message without an id
   * @param {{again?: boolean}} [options] again: ask once more when the connection is back
   * @returns {Promise<Message[]>}
   */
  async ask(message, { again = false } = {}) {
    /** @type {Message[]} */
    const answers = [];
    await this.#request(message, (answer) => answers.push(answer), again).ended;
    return answers;
  }

  /**
   * Hear what comes for a request that does not end by itself.
   * @param {Record<string, any>} message without an id
   * @param {(message: Message) => void} hear
   * @returns {{ended: Promise<void>, leave: () => void}}
   */
  watch(message, hear) {
    const { id, ended } = this.#request(message, hear, false);
    const leave = () => {
      if (this.requests.delete(id) && this.ready) this.#send({ type: "cancel", id });
    };
    return { ended, leave };
  }

  /**
   * @param {Record<string, any>} message
   * @param {(message: Message) => void} hear
   * @param {boolean} again
   */
  #request(message, hear, again) {
    const id = `${++this.number}`;
    const sent = { ...message, id };
    /** @type {Promise<void>} */
    const ended = new Promise((resolve, reject) => {
      this.requests.set(id, { message: sent, hear, again, resolve, reject });
    });
    if (this.ready) this.#send(sent);
    else if (!again) this.#end(id, new Error("the daemon is not connected; try again when it is"));
    return { id, ended };
  }

  /** @param {Record<string, any>} message */
  #send(message) {
    this.socket?.send(JSON.stringify(message));
  }

  /** @param {Message} message */
  #take(message) {
    if (message.type === "welcome") {
      this.ready = true;
      this.pause = FIRST_PAUSE_MS;
      this.heard.opened(message.model, message.state);
      for (const { message: sent, again } of this.requests.values()) if (again) this.#send(sent);
    } else if (message.type === "done") {
      this.#end(message.id, null);
    } else if (message.type === "failed") {
      this.#end(message.id, new Refused(message.code, message.message));
    } else {
      this.requests.get(message.id)?.hear(message);
    }
  }

  /**
   * @param {string} id
   * @param {Error | null} error
   */
  #end(id, error) {
    const request = this.requests.get(id);
    this.requests.delete(id);
    if (error) request?.reject(error);
    else request?.resolve();
  }

  async #lose() {
    this.ready = false;
    this.socket = null;
    for (const [id, { again }] of [...this.requests]) {
      if (!again) this.#end(id, new Error("the connection to the daemon broke; try again"));
    }
    const why = await refusal();
    if (this.socket) return;
    if (why) {
      this.heard.locked(why);
      return;
    }
    this.heard.lost(this.pause / 1000);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.tryNow(), this.pause);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE_MS);
  }
}

/**
 * Why the daemon does not let this page in; "" where it does, or is not there. A browser tells
 * nothing of it where a WebSocket was refused.
 * @returns {Promise<string>}
 */
export async function refusal() {
  try {
    const answer = await fetch("session");
    return answer.ok ? "" : (await answer.json()).error.message;
  } catch (error) {
    return "";
  }
}

/**
 * Exchange the link that the page was opened by, if it was, for a session.
 * @returns {Promise<string>} why that was refused, "" where it was not
 */
export async function enter() {
  const key = /^#open=(.+)$/.exec(location.hash)?.[1];
  if (!key) return "";
  history.replaceState(null, "", location.pathname);
  try {
    const answer = await fetch("session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ key }),
    });
    // A page that has a session already needs no other.
    return answer.ok || !(await refusal()) ? "" : (await answer.json()).error.message;
  } catch (error) {
    return "The daemon does not answer: run `dgemma open` again.";
  }
}
