/** The page: brings its parts together, and goes where the address says. */

import { keepPage } from "./attachments.js";
import { ChatView } from "./chat_view.js";
import { DeskView } from "./desk_view.js";
import { announce, byId, tell } from "./dom.js";
import { listen, showKeys } from "./keys.js";
import { Link, enter } from "./link.js";
import { ListView } from "./list_view.js";

const LOOK_AGAIN_MS = 1000; // while the model is loaded

const link = new Link({ opened, lost, locked });
const list = new ListView(link);
const desk = new DeskView();
const chat = new ChatView(link, {
  go: (key) => (location.hash = `#/c/${key}`),
  changed: (about) => list.change(about),
  gone: (key) => {
    list.remove(key);
    if (key === chat.conversation.key) location.hash = "#/";
  },
});

const trouble = byId("trouble", HTMLElement);
let countdown = 0;

/**
 * @param {string} model
 * @param {string} state
 */
function opened(model, state) {
  clearInterval(countdown);
  if (!trouble.hidden) announce("Connected again");
  trouble.hidden = true;
  byId("locked", HTMLElement).hidden = true;
  void tellModel(model, state, null);
  list.read().catch((error) => tell(byId("list-empty", HTMLElement), error.message));
  chat.follow();
  route();
}

/**
 * Tell which model answers, and until it is ready how far it is.
 * @param {string} model
 * @param {string} state
 * @param {number | null} progress
 */
async function tellModel(model, state, progress) {
  const loaded = progress === null ? "" : ` ${progress} %`;
  byId("model", HTMLElement).textContent = state === "ready" ? model : `${model} · ${state}${loaded}`;
  if (state !== "loading" && state !== "restarting") return;
  await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  if (!link.ready) return; // it is told anew when the connection is back
  const [report] = await link.ask({ type: "status" }).catch(() => []);
  if (report) void tellModel(report.model, report.state, report.progress ?? null);
}

/** @param {number} seconds */
function lost(seconds) {
  chat.lost();
  clearInterval(countdown);
  const until = Date.now() + seconds * 1000;
  const say = () => {
    const left = Math.max(Math.ceil((until - Date.now()) / 1000), 0);
    byId("trouble-text", HTMLElement).textContent =
      `The daemon does not answer; dgemma open starts it. This page goes on where it was, and tries again in ${left} s.`;
  };
  if (trouble.hidden) announce("The daemon does not answer");
  trouble.hidden = false;
  byId("model", HTMLElement).textContent = "not connected";
  say();
  countdown = setInterval(say, 1000);
}

/** @param {string} why */
function locked(why) {
  chat.lost();
  clearInterval(countdown);
  trouble.hidden = true;
  for (const id of ["chat", "desk"]) byId(id, HTMLElement).hidden = true;
  byId("locked", HTMLElement).hidden = false;
  tell(byId("locked-text", HTMLElement), why);
}

/** Show what the address names: a conversation, the beginning of one, or the desk. */
function route() {
  if (!byId("locked", HTMLElement).hidden) return;
  const key = /^#\/c\/(.+)$/.exec(location.hash)?.[1] ?? "";
  const writes = location.hash === "#/write";
  byId("desk", HTMLElement).hidden = !writes;
  byId("chat", HTMLElement).hidden = writes;
  mark("tab-desk", writes);
  mark("tab-chat", !writes);
  showSide(false);
  if (writes) {
    document.title = "Writing desk · dgemma";
    void desk.open();
    return;
  }
  chat.open(key);
  list.mark(key);
}

/**
 * @param {string} id
 * @param {boolean} current
 */
function mark(id, current) {
  if (current) byId(id, HTMLElement).setAttribute("aria-current", "page");
  else byId(id, HTMLElement).removeAttribute("aria-current");
}

/** @param {boolean} open the list, where the page is too narrow for both */
function showSide(open) {
  document.body.classList.toggle("side-open", open);
  byId("open-side", HTMLElement).setAttribute("aria-expanded", `${open}`);
}

/** Close the list where it lies over the page, and give the keyboard back. */
function leaveSide() {
  showSide(false);
  byId("open-side", HTMLElement).focus();
}

/** @param {string} hash */
function go(hash) {
  location.hash = hash;
}

/** @param {1 | -1} step */
function goBeside(step) {
  const key = list.beside(step);
  if (key) go(`#/c/${key}`);
}

function begin() {
  go("#/");
  route();
  byId("message", HTMLElement).focus();
}

function search() {
  showSide(true);
  byId("search", HTMLElement).focus();
}

const shortcuts = {
  N: { text: "begin a conversation", act: begin },
  S: { text: "search in the list", act: search },
  J: { text: "the next conversation of the list", act: () => goBeside(1) },
  K: { text: "the one before", act: () => goBeside(-1) },
  M: { text: "go to the message", act: () => byId("message", HTMLElement).focus() },
  A: { text: "attach files to the message", act: () => chat.attach() },
  I: { text: "instructions for the model", act: () => void chat.instruct() },
  Q: { text: "edit your last message", act: () => chat.edit() },
  R: { text: "answer the last message once more", act: () => chat.regenerate() },
  W: { text: "to the writing desk, and back", act: () => go(location.hash === "#/write" ? `#/c/${list.open}` : "#/write") },
  H: { text: "show these keys", act: () => showKeys(shortcuts) },
};

listen(shortcuts, () => {
  if (document.body.classList.contains("side-open")) leaveSide();
  else if (desk.busy) desk.stop();
  else chat.stop();
});
byId("new", HTMLElement).addEventListener("click", begin);
byId("help", HTMLElement).addEventListener("click", () => showKeys(shortcuts));
byId("open-side", HTMLElement).addEventListener("click", search);
byId("close-side", HTMLElement).addEventListener("click", leaveSide);
// The link of what is open already leads nowhere else.
byId("list", HTMLElement).addEventListener("click", () => showSide(false));
byId("try-now", HTMLElement).addEventListener("click", () => link.tryNow());
addEventListener("hashchange", route);
keepPage();

const refused = await enter();
if (refused) locked(refused);
else {
  route();
  link.tryNow();
}
