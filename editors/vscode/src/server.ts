// The language server `dgemma lsp`: its process, the client that speaks with it, and that there is
// never more than one of them. What the server says of itself goes to the status item as it comes.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { homedir } from "node:os";

import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  type LanguageClientOptions,
  RevealOutputChannelOn,
} from "vscode-languageclient/node";

import { CrashBudget } from "./crashes.ts";
import { chosenSettings } from "./settings.ts";
import type { Status } from "./status.ts";
import { itemsOf, type Suggestions } from "./suggestions.ts";

const STOP_MS = 5000;

/** What the server needs of the rest of the extension. */
export interface Surroundings {
  readonly output: vscode.LogOutputChannel;
  readonly settingKeys: readonly string[];
  readonly suggestions: Suggestions;
  /** Where `dgemma` is; undefined once the user was told that it is nowhere. */
  readonly findCommand: () => Promise<string | undefined>;
  readonly show: (status: Status) => void;
}

interface Running {
  readonly client: LanguageClient;
  process: ChildProcess | undefined;
}

/** Starts, restarts and ends the server, one step after the other. */
export class Server implements vscode.Disposable {
  private running: Running | undefined;
  private last: Promise<void> = Promise.resolve();
  private waiting: Promise<void> | undefined;
  private readonly crashes = new CrashBudget();
  private readonly around: Surroundings;

  constructor(around: Surroundings) {
    this.around = around;
  }

  /** End the server if there is one and start it; calls that come while one waits are that one. */
  restart(): Promise<void> {
    this.waiting ??= this.last.then(async () => {
      this.waiting = undefined;
      await this.end();
      await this.begin();
    });
    this.last = this.waiting;
    return this.waiting;
  }

  /** The client, where the server runs. */
  get client(): LanguageClient | undefined {
    return this.running?.client.isRunning() ? this.running.client : undefined;
  }

  /** Whether the server takes this command. */
  offers(command: string): boolean {
    const provider = this.client?.initializeResult?.capabilities.executeCommandProvider;
    return provider?.commands.includes(command) ?? false;
  }

  async dispose(): Promise<void> {
    this.last = this.last.then(() => this.end());
    await this.last;
  }

  private async begin(): Promise<void> {
    const command = await this.around.findCommand();
    if (command === undefined) {
      return;
    }
    this.around.output.info(`Starting ${command} lsp`);
    this.around.show({ state: "starting", text: `${command} lsp starts.` });
    const running: Running = { client: this.makeClient(command), process: undefined };
    this.running = running;
    running.client.onNotification("dgemma/status", (status: Status) => this.around.show(status));
    try {
      await running.client.start();
    } catch (error) {
      this.around.output.error(`${command} lsp does not start: ${String(error)}`);
      this.around.show({
        state: "error",
        text: `${command} lsp does not start. Open the output to see why, then restart it.`,
      });
    }
  }

  private makeClient(command: string): LanguageClient {
    const launch = async (): Promise<ChildProcess> => {
      const process = await start(command);
      if (this.running !== undefined) {
        this.running.process = process;
      }
      return process;
    };
    return new LanguageClient("dgemma", "DGemma", launch, this.options());
  }

  private options(): LanguageClientOptions {
    const { settingKeys, output, suggestions } = this.around;
    return {
      documentSelector: [
        { scheme: "file" },
        { scheme: "untitled" },
        { scheme: "vscode-notebook-cell" },
      ],
      outputChannel: output,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      // The user's settings are asked for by the server, so that one taken back is gone there too.
      initializationOptions: { editor: { status: true } },
      middleware: {
        provideInlineCompletionItems: async (document, position, context, token, next) => {
          const answer = await next(document, position, context, token);
          suggestions.remember(document, itemsOf(answer));
          return answer;
        },
        workspace: {
          configuration: ({ items }) =>
            items.map(({ section }) => (section === "dgemma" ? chosenSettings(settingKeys) : null)),
        },
      },
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue }),
        // Restarted by us and not by the client, so that all starts stand in one queue.
        closed: () => {
          this.afterCrash();
          return { action: CloseAction.DoNotRestart, handled: true };
        },
      },
    };
  }

  private afterCrash(): void {
    if (this.crashes.spend(Date.now())) {
      this.around.output.warn("The language server ended by itself; it is started again.");
      void this.restart();
    } else {
      const text = "The language server ends again and again. Open the output to see why.";
      this.around.output.error(text);
      this.around.show({ state: "error", text });
    }
  }

  private async end(): Promise<void> {
    const { running } = this;
    this.running = undefined;
    if (running === undefined) {
      return;
    }
    try {
      await running.client.dispose(STOP_MS);
    } catch (error) {
      this.around.output.warn(`The language server did not end when asked to: ${String(error)}`);
    }
    await ended(running.process);
  }
}

/** Start the process; rejects where it cannot be run. */
async function start(command: string): Promise<ChildProcess> {
  // Not in a folder of the workspace: the daemon is started from here and outlives it.
  const process = spawn(command, ["lsp"], { cwd: homedir(), stdio: "pipe" });
  await once(process, "spawn");
  return process;
}

/** Wait until the process is gone; it is killed if it stays. */
async function ended(process: ChildProcess | undefined): Promise<void> {
  if (process === undefined || process.exitCode !== null || process.signalCode !== null) {
    return;
  }
  const kill = setTimeout(() => process.kill("SIGKILL"), STOP_MS);
  await once(process, "exit");
  clearTimeout(kill);
}
