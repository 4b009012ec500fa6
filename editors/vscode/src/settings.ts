// The settings that the user has made, in the shape of the configuration file. Defaults stay with
// the server: a default sent from here would hide what the configuration file says.

import * as vscode from "vscode";

type Section = Record<string, unknown>;

/** The path of `dgemma` as set by the user, empty if it shall be looked for. */
export function commandSetting(): string {
  return vscode.workspace.getConfiguration("dgemma").get("command", "").trim();
}

/** What the user has set for the server, by section, and nothing else. */
export function chosenSettings(
  keys: readonly string[],
  scope?: vscode.Uri,
): Record<string, Section> {
  const configuration = vscode.workspace.getConfiguration("dgemma", scope);
  const chosen: Record<string, Section> = {};
  for (const key of keys) {
    if (isSet(configuration.inspect(key))) {
      const [section, name] = key.split(".") as [string, string];
      chosen[section] = { ...chosen[section], [name]: configuration.get(key) };
    }
  }
  return chosen;
}

/** The settings that are the server's: those of a section; our own stand in none. */
export function serverKeys(extension: vscode.Extension<unknown>): string[] {
  const { properties } = extension.packageJSON.contributes.configuration;
  const keys = Object.keys(properties).map((key) => key.slice("dgemma.".length));
  return keys.filter((key) => key.includes("."));
}

type Inspected = ReturnType<vscode.WorkspaceConfiguration["inspect"]>;

function isSet(found: Inspected): boolean {
  return (
    found !== undefined &&
    [
      found.globalValue,
      found.workspaceValue,
      found.workspaceFolderValue,
      found.globalLanguageValue,
      found.workspaceLanguageValue,
      found.workspaceFolderLanguageValue,
    ].some((value) => value !== undefined)
  );
}
