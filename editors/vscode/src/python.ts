// The environment that the user selected in the Python extension, if that extension is there.

import { dirname } from "node:path";

import * as vscode from "vscode";

/** What is used of the Python extension's interface. */
interface PythonExtension {
  readonly environments: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { readonly path: string };
    resolveEnvironment(
      path: unknown,
    ): Promise<{ readonly executable: { readonly uri?: vscode.Uri } } | undefined>;
  };
}

/** The folder with the commands of the selected environment; undefined where none is known. */
export async function selectedPython(): Promise<string | undefined> {
  const extension = vscode.extensions.getExtension<PythonExtension>("ms-python.python");
  if (extension === undefined) {
    return undefined;
  }
  const { environments } = await extension.activate();
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const selected = environments.getActiveEnvironmentPath(folder);
  const executable = (await environments.resolveEnvironment(selected))?.executable.uri;
  return executable === undefined ? undefined : dirname(executable.fsPath);
}
