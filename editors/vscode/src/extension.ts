// Wires the parts together; each of them does its own work.

import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

import * as vscode from "vscode";

import { registerCommands } from "./commands.ts";
import { tellDiagnostics } from "./diagnostics.ts";
import { createEnvironment } from "./environment.ts";
import { candidates } from "./locate.ts";
import { selectedPython } from "./python.ts";
import { Server } from "./server.ts";
import { commandSetting, serverKeys } from "./settings.ts";
import { type Status, StatusItem } from "./status.ts";
import { Suggestions } from "./suggestions.ts";

const NOT_RUNNING: readonly Status["state"][] = ["starting", "missing"];

let server: Server | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const output = vscode.window.createOutputChannel("DGemma", { log: true });
  const status = new StatusItem("dgemma.showMenu");
  const suggestions = new Suggestions();
  const ownEnvironment = join(context.globalStorageUri.fsPath, "venv");
  const findCommand = (): Promise<string | undefined> => find(ownEnvironment, status);
  const running = new Server({
    output,
    suggestions,
    findCommand,
    settingKeys: serverKeys(context.extension),
    show: (told) => {
      status.show(told);
      const running = !NOT_RUNNING.includes(told.state);
      void vscode.commands.executeCommand("setContext", "dgemma.running", running);
    },
  });
  server = running;
  const tools = {
    server: running,
    status,
    suggestions,
    output,
    findCommand,
    extension: context.extension,
    createEnvironment: async () => {
      if (await createEnvironment(ownEnvironment, output)) {
        await running.restart();
      }
    },
  };
  context.subscriptions.push(
    output,
    status,
    tellDiagnostics(running),
    ...registerCommands(tools),
    vscode.workspace.onDidGrantWorkspaceTrust(() => running.restart()),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("dgemma.command")) {
        void running.restart();
      }
    }),
  );
  await running.restart();
}

/** VS Code waits for the server to end. */
export async function deactivate(): Promise<void> {
  await server?.dispose();
}

/** Return the first `dgemma` that can be run; without one the user is told, and undefined is it. */
async function find(ownEnvironment: string, status: StatusItem): Promise<string | undefined> {
  const setting = commandSetting();
  const paths = candidates({
    setting,
    home: homedir(),
    path: process.env["PATH"] ?? "",
    selectedPython: await selectedPython(),
    workspaceFolders: (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri.fsPath),
    ownEnvironment,
    trusted: vscode.workspace.isTrusted,
  });
  for (const path of paths) {
    if (await isExecutable(path)) {
      return path;
    }
  }
  tellMissing(setting, status);
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

function tellMissing(setting: string, status: StatusItem): void {
  const text = setting
    ? `The setting dgemma.command names ${setting}, which cannot be run.`
    : "The command dgemma was not found on the PATH, in the Python environment or the workspace.";
  status.show({ state: "missing", text });
  void offerMending(text);
}

async function offerMending(text: string): Promise<void> {
  const create = "Create Python Environment";
  const settings = "Open Settings";
  const chosen = await vscode.window.showWarningMessage(`DGemma: ${text}`, create, settings);
  if (chosen === create) {
    await vscode.commands.executeCommand("dgemma.createEnvironment");
  } else if (chosen === settings) {
    await vscode.commands.executeCommand("dgemma.openSettings");
  }
}
