// A Python environment with `dgemma` in it, made when the user asks for it. Finds no existing one:
// that is the duty of locate.ts and extension.ts.

import { spawn } from "node:child_process";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

import * as vscode from "vscode";

import { commandsOf } from "./locate.ts";

const PYTHONS = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python"];
const IS_NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 11))";

interface Step {
  readonly command: string;
  readonly arguments: readonly string[];
  readonly title: string;
}

/** A step that ended badly; the message is its last line. */
class StepFailed extends Error {}

/** Make the environment anew in `folder`; returns whether it is there now. Errors are shown. */
export async function createEnvironment(
  folder: string,
  output: vscode.LogOutputChannel,
): Promise<boolean> {
  const requirement = await vscode.window.showInputBox({
    title: "DGemma: create a Python environment",
    prompt: "What pip installs: the folder of your copy of dgemma-lsp, or a wheel of it.",
    placeHolder: "/path/to/dgemma-lsp",
    ignoreFocusOut: true,
  });
  if (!requirement?.trim()) {
    return false;
  }
  try {
    await vscode.window.withProgress(
      {
        location: vscode.ProgressLocation.Notification,
        title: "DGemma",
        cancellable: true,
      },
      (progress, cancel) => build(folder, requirement.trim(), { output, progress, cancel }),
    );
    return true;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    if (!(error instanceof vscode.CancellationError)) {
      void tell(error, output);
    }
    return false;
  }
}

interface Work {
  readonly output: vscode.LogOutputChannel;
  readonly progress: vscode.Progress<{ message?: string }>;
  readonly cancel: vscode.CancellationToken;
}

async function build(folder: string, requirement: string, work: Work): Promise<void> {
  const parent = join(folder, "..");
  await rm(folder, { recursive: true, force: true });
  await mkdir(parent, { recursive: true });
  const steps: Step[] = [
    {
      command: await findPython(parent),
      arguments: ["-m", "venv", folder],
      title: "makes the environment",
    },
    {
      command: join(commandsOf(folder), "python"),
      arguments: ["-m", "pip", "install", "--disable-pip-version-check", requirement],
      title: `installs ${requirement}`,
    },
  ];
  for (const step of steps) {
    await run(step, parent, work);
  }
}

async function findPython(folder: string): Promise<string> {
  for (const python of PYTHONS) {
    if ((await exitCode(python, ["-I", "-c", IS_NEW_ENOUGH], folder)) === 0) {
      return python;
    }
  }
  throw new StepFailed("no Python 3.11 or newer on the PATH: install one, then try again");
}

/** Run one step in a folder of ours: Python would import modules from the current one. */
function run(step: Step, cwd: string, { output, progress, cancel }: Work): Promise<void> {
  output.info(`${step.command} ${step.arguments.join(" ")}`);
  progress.report({ message: step.title });
  return new Promise((resolve, reject) => {
    const child = spawn(step.command, step.arguments, { cwd });
    let last = "";
    const heard = (line: string): void => {
      output.info(line);
      last = line.trim() || last;
      progress.report({ message: `${step.title}: ${last.slice(0, 80)}` });
    };
    createInterface(child.stdout).on("line", heard);
    createInterface(child.stderr).on("line", heard);
    cancel.onCancellationRequested(() => child.kill());
    child.on("error", reject);
    child.on("close", (code) => {
      if (cancel.isCancellationRequested) {
        reject(new vscode.CancellationError());
      } else if (code === 0) {
        resolve();
      } else {
        reject(new StepFailed(last || `${step.command} ended with ${code}`));
      }
    });
  });
}

/** The exit code of a command, or null where it cannot be run. */
function exitCode(command: string, args: string[], cwd: string): Promise<number | null> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, stdio: "ignore" });
    child.on("error", () => resolve(null));
    child.on("close", resolve);
  });
}

async function tell(error: unknown, output: vscode.LogOutputChannel): Promise<void> {
  const reason = error instanceof Error ? error.message : String(error);
  const open = "Open Output";
  const text = `DGemma: the Python environment was not made: ${reason}`;
  if ((await vscode.window.showErrorMessage(text, open)) === open) {
    output.show();
  }
}
