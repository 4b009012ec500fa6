// The commands of the palette and of the status item's menu. They ask the server; it decides.

import * as vscode from "vscode";

import { rewriteSelection } from "./rewrite.ts";
import type { Server } from "./server.ts";
import type { StatusItem } from "./status.ts";
import type { Suggestions } from "./suggestions.ts";

/** What the commands act on. */
export interface Tools {
  readonly server: Server;
  readonly status: StatusItem;
  readonly suggestions: Suggestions;
  readonly output: vscode.LogOutputChannel;
  readonly extension: vscode.Extension<unknown>;
  readonly findCommand: () => Promise<string | undefined>;
  readonly createEnvironment: () => Promise<void>;
}

interface Entry extends vscode.QuickPickItem {
  readonly command?: string;
}

/** Register every command that package.json contributes. */
export function registerCommands(tools: Tools): vscode.Disposable[] {
  const { server, output, extension } = tools;
  const actions: Record<string, () => unknown> = {
    "dgemma.showMenu": () => showMenu(tools),
    "dgemma.pauseCompletions": () => execute(server, "dgemma.pause"),
    "dgemma.resumeCompletions": () => execute(server, "dgemma.resume"),
    "dgemma.restartServer": () => server.restart(),
    "dgemma.restartModel": () => execute(server, "dgemma.restart"),
    "dgemma.explainHere": () => explain(server),
    "dgemma.dismiss": () => dismiss(tools),
    "dgemma.rewriteSelection": () => rewriteSelection(server),
    "dgemma.openChat": () => openTerminal(tools, "DGemma chat", "chat"),
    "dgemma.runDoctor": () => openTerminal(tools, "DGemma doctor", "doctor"),
    "dgemma.createEnvironment": () => tools.createEnvironment(),
    "dgemma.showOutput": () => output.show(),
    "dgemma.openSettings": () =>
      vscode.commands.executeCommand("workbench.action.openSettings", `@ext:${extension.id}`),
  };
  return Object.entries(actions).map(([id, act]) => vscode.commands.registerCommand(id, act));
}

async function showMenu({ server, status }: Tools): Promise<void> {
  const { state, text } = status.status;
  const entries: Entry[] = [
    ...(state === "missing"
      ? [{ label: "$(add) Create a Python environment", command: "dgemma.createEnvironment" }]
      : []),
    ...pauseOrResume(server, state),
    { label: "$(question) Why is nothing shown here?", command: "dgemma.explainHere" },
    { label: "$(comment-discussion) Chat in the terminal", command: "dgemma.openChat" },
    { label: "", kind: vscode.QuickPickItemKind.Separator },
    { label: "$(refresh) Restart the language server", command: "dgemma.restartServer" },
    ...(server.offers("dgemma.restart")
      ? [{ label: "$(debug-restart) Restart the model", command: "dgemma.restartModel" }]
      : []),
    { label: "$(output) Open the output", command: "dgemma.showOutput" },
    { label: "$(pulse) Look for what is missing", command: "dgemma.runDoctor" },
    { label: "$(gear) Settings", command: "dgemma.openSettings" },
  ];
  const chosen = await vscode.window.showQuickPick(entries, {
    title: "DGemma",
    placeHolder: text,
  });
  if (chosen?.command !== undefined) {
    await vscode.commands.executeCommand(chosen.command);
  }
}

function pauseOrResume(server: Server, state: string): Entry[] {
  if (!server.offers("dgemma.pause")) {
    return [];
  }
  return state === "paused"
    ? [{ label: "$(play) Resume completions", command: "dgemma.resumeCompletions" }]
    : [{ label: "$(debug-pause) Pause completions", command: "dgemma.pauseCompletions" }];
}

async function execute(server: Server, command: string): Promise<void> {
  if (server.offers(command)) {
    await vscode.commands.executeCommand(command);
  } else if (server.client === undefined) {
    tellNotRunning();
  } else {
    tellTooOld(command);
  }
}

async function explain(server: Server): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  const { client } = server;
  if (client === undefined) {
    tellNotRunning();
  } else if (!server.offers("dgemma.explain")) {
    tellTooOld("dgemma.explain");
  } else if (editor === undefined) {
    void vscode.window.showInformationMessage("DGemma: no text has the focus.");
  } else {
    const answer = await client.sendRequest<{ text: string }>("dgemma/explain", {
      textDocument: client.code2ProtocolConverter.asTextDocumentIdentifier(editor.document),
      position: client.code2ProtocolConverter.asPosition(editor.selection.active),
    });
    void vscode.window.showInformationMessage(`DGemma: ${answer.text}`);
  }
}

/** Hide the suggestion as Escape does, and tell the server that it was not wanted here. */
async function dismiss({ server, suggestions }: Tools): Promise<void> {
  const document = vscode.window.activeTextEditor?.document;
  const items = document === undefined ? [] : suggestions.take(document);
  await vscode.commands.executeCommand("editor.action.inlineSuggest.hide");
  for (const { insertText, command } of items) {
    if (command !== undefined) {
      await server.client?.sendNotification("dgemma/didRejectCompletion", {
        item: { insertText, command },
      });
    }
  }
}

async function openTerminal(tools: Tools, name: string, subcommand: string): Promise<void> {
  const shellPath = await tools.findCommand();
  if (shellPath !== undefined) {
    vscode.window.createTerminal({ name, shellPath, shellArgs: [subcommand] }).show();
  }
}

function tellNotRunning(): void {
  void vscode.window.showWarningMessage(
    "DGemma: the language server does not run. Restart it from the menu of the status item.",
  );
}

function tellTooOld(command: string): void {
  void vscode.window.showWarningMessage(
    `DGemma: the installed language server has no ${command}. Update the Python package.`,
  );
}
