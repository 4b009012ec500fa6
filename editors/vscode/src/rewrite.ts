// Has a selection rewritten: the user chooses what, the server writes, VS Code's preview shows it.
// Nothing changes before it is applied there: the server's edits ask for confirmation.

import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import type { WorkspaceEdit } from "vscode-languageserver-protocol";

import type { Server } from "./server.ts";

const REQUEST = "dgemma/rewrite";
const VARIANTS = 3;
const DETAIL_LENGTH = 300;

interface Mode extends vscode.QuickPickItem {
  readonly mode: string;
  /** What it has to be told: the parameter's name and the question. */
  readonly needs?: readonly [name: string, question: string];
}

interface Answer {
  readonly told: string;
  readonly variants: readonly { readonly edit: WorkspaceEdit; readonly left: number }[];
}

const MODES: readonly Mode[] = [
  { label: "Shorten", mode: "shorten" },
  { label: "Expand", mode: "expand" },
  { label: "Simplify", mode: "simplify" },
  { label: "Make Formal", mode: "formal" },
  { label: "Make Friendly", mode: "friendly" },
  { label: "Fix Grammar", mode: "grammar" },
  { label: "Translate…", mode: "translate", needs: ["to", "Into which language?"] },
  { label: "Rewrite as Told…", mode: "custom", needs: ["instruction", "What is to be done?"] },
  { label: "Summarise", mode: "summarise" },
  { label: "Continue", mode: "continue" },
  { label: "Write Docstring", mode: "docstring" },
  { label: "Explain", mode: "explain" },
];

/** Ask what is to be done with the selection, and do it. */
export async function rewriteSelection(server: Server): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  const { client } = server;
  if (client === undefined || editor === undefined || !server.offers("dgemma.rewrite")) {
    void vscode.window.showWarningMessage(
      "DGemma: no text has the focus, or the language server offers no rewriting.",
    );
    return;
  }
  const numbers: Record<string, number> = {};
  const chosen = await chooseMode(numbers);
  if (chosen === undefined) {
    return;
  }
  const params: Record<string, unknown> = {
    ...numbers,
    textDocument: client.code2ProtocolConverter.asTextDocumentIdentifier(editor.document),
    range: client.code2ProtocolConverter.asRange(editor.selection),
    mode: chosen.mode,
    variants: VARIANTS,
  };
  if (chosen.needs !== undefined) {
    const [name, prompt] = chosen.needs;
    const said = await vscode.window.showInputBox({ prompt });
    if (said === undefined || said.trim() === "") {
      return;
    }
    params[name] = said;
  }
  const answer = await ask(client, chosen, params);
  if (answer !== undefined) {
    await show(client, chosen, answer);
  }
}

/** Let the user choose; what they say of strength and length goes into `numbers`. */
async function chooseMode(numbers: Record<string, number>): Promise<Mode | undefined> {
  for (;;) {
    const entries = [...MODES, { label: "$(settings) Strength and Length…", mode: "" }];
    const chosen = await vscode.window.showQuickPick(entries, { title: "Rewrite Selection" });
    if (chosen === undefined || chosen.mode !== "") {
      return chosen;
    }
    await askNumber(numbers, "strength", "From 0.1, a touch-up, to 1, all anew", 1);
    await askNumber(numbers, "length", "How many words to aim at", 100_000);
  }
}

/** Ask for a number up to `most`; left empty, the mode's own holds. */
async function askNumber(
  numbers: Record<string, number>,
  name: "strength" | "length",
  prompt: string,
  most: number,
): Promise<void> {
  const isWrong = (said: string): boolean =>
    !(Number(said) > 0 && Number(said) <= most && (most === 1 || Number.isInteger(Number(said))));
  const said = await vscode.window.showInputBox({
    prompt: `${prompt}; empty: as suits the mode`,
    value: numbers[name]?.toString() ?? "",
    validateInput: (text) =>
      text !== "" && isWrong(text) ? `A number up to ${most} is needed, not ${text}` : undefined,
  });
  if (said === "") {
    delete numbers[name];
  } else if (said !== undefined) {
    numbers[name] = Number(said);
  }
}

/** Return the answer; undefined where the user took the question back or was told why not. */
async function ask(
  client: LanguageClient,
  chosen: Mode,
  params: object,
): Promise<Answer | undefined> {
  const options = {
    location: vscode.ProgressLocation.Notification,
    title: `DGemma: ${chosen.label}`,
    cancellable: true,
  };
  return await vscode.window.withProgress(options, async (_progress, token) => {
    try {
      return await client.sendRequest<Answer>(REQUEST, params, token);
    } catch (error) {
      if (!token.isCancellationRequested) {
        const why = error instanceof Error ? error.message : String(error);
        void vscode.window.showWarningMessage(`DGemma: ${why}`);
      }
      return undefined;
    }
  });
}

async function show(client: LanguageClient, chosen: Mode, answer: Answer): Promise<void> {
  const variant = await choose(chosen, answer);
  if (variant !== undefined) {
    const edit = await client.protocol2CodeConverter.asWorkspaceEdit(variant);
    await vscode.workspace.applyEdit(edit, { isRefactoring: true });
  } else if (answer.told !== "") {
    const document = await vscode.workspace.openTextDocument({
      content: answer.told,
      language: "markdown",
    });
    await vscode.window.showTextDocument(document, vscode.ViewColumn.Beside);
  } else if (answer.variants.length === 0) {
    void vscode.window.showInformationMessage("DGemma: the text stays as it is.");
  }
}

/** Let the user choose where there are several. */
async function choose(chosen: Mode, { variants }: Answer): Promise<WorkspaceEdit | undefined> {
  const items = variants.map(({ edit }, at) => ({
    label: `Variant ${at + 1}`,
    detail: newText(edit).slice(0, DETAIL_LENGTH),
    edit,
  }));
  if (items.length < 2) {
    return items[0]?.edit;
  }
  const title = `${chosen.label}: what is previewed next`;
  return (await vscode.window.showQuickPick(items, { title }))?.edit;
}

function newText(edit: WorkspaceEdit): string {
  const changes = edit.documentChanges ?? [];
  return changes
    .flatMap((change) => ("edits" in change ? change.edits : []))
    .map((one) => ("newText" in one ? one.newText : ""))
    .join(" … ");
}
