// The status bar item: how the server and its model are, in one place. It decides nothing.

import * as vscode from "vscode";

/** What the server tells of itself, and what only the extension can know: no server, no command. */
export interface Status {
  readonly state: "starting" | "loading" | "ready" | "busy" | "paused" | "error" | "missing";
  /** One line for a person, which says what to do where something is to be done. */
  readonly text: string;
  /** From 0 to 100, while a model is loading. */
  readonly progress?: number | null;
  readonly model?: string | null;
}

const ICONS: Record<Status["state"], string> = {
  starting: "$(loading~spin)",
  loading: "$(loading~spin)",
  ready: "$(sparkle)",
  busy: "$(sync~spin)",
  paused: "$(debug-pause)",
  error: "$(error)",
  missing: "$(warning)",
};

/** Owns the item; a click opens the menu. */
export class StatusItem implements vscode.Disposable {
  private readonly item: vscode.StatusBarItem;
  private shown: Status = { state: "starting", text: "DGemma starts." };

  constructor(menu: string) {
    this.item = vscode.window.createStatusBarItem("dgemma", vscode.StatusBarAlignment.Right, 100);
    this.item.name = "DGemma";
    this.item.command = menu;
    this.show(this.shown);
    this.item.show();
  }

  get status(): Status {
    return this.shown;
  }

  show(status: Status): void {
    this.shown = status;
    const { state, text, progress, model } = status;
    const figure = typeof progress === "number" ? ` ${Math.round(progress)} %` : "";
    this.item.text = `${ICONS[state] ?? ICONS.error} DGemma${figure}`;
    this.item.tooltip = model ? `${text}\n${model}` : text;
    this.item.accessibilityInformation = { label: `DGemma: ${state}. ${text}`, role: "button" };
    this.item.backgroundColor = background(state);
  }

  dispose(): void {
    this.item.dispose();
  }
}

function background(state: Status["state"]): vscode.ThemeColor | undefined {
  switch (state) {
    case "error":
      return new vscode.ThemeColor("statusBarItem.errorBackground");
    case "missing":
      return new vscode.ThemeColor("statusBarItem.warningBackground");
    default:
      return undefined;
  }
}
