/**
 * What the modules hand each other; the messages are those of PROTOCOL.md. There is no code here.
 *
 * @typedef {{conversation: string, title: string, system: string | null, head: number, turns: number,
 *   created: number, updated: number, writing?: number}} Summary
 * @typedef {{prompt_tokens?: number, tokens?: number, steps?: number, total_ms?: number,
 *   tokens_per_s?: number, tokens_per_step?: number}} Usage
 * @typedef {{turn: number, role: "user" | "assistant", text: string, parent?: number,
 *   attachments?: import("./text_file.js").Attachment[], siblings?: number[], state?: string, reason?: string,
 *   message?: string, notices?: string[], blocks?: number, model?: string,
 *   usage?: Usage | null}} Turn
 *
 * A frame is what is shown of an answer at a moment: its first `final` UTF-16 units will not change,
 * those up to `settled` have stopped changing, the rest is provisional.
 * @typedef {{text: string, final: number, settled: number, block: number, step: number}} Frame
 *
 * Any message from the daemon, and any to it.
 * @typedef {Record<string, any> & {type: string}} Message
 */
export {};
