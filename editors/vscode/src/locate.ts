// Pure: where the command `dgemma` may lie, in the order in which it is looked for. No VS Code here.

import { isAbsolute, join } from "node:path";

/** What is known of the user's machine and of the open workspace. */
export interface Places {
  /** The setting `dgemma.command`; empty where the user sets nothing. */
  readonly setting: string;
  readonly home: string;
  /** The environment variable PATH. */
  readonly path: string;
  /** The folder with the commands of the Python environment that the user selected, if any. */
  readonly selectedPython: string | undefined;
  readonly workspaceFolders: readonly string[];
  /** The environment that the extension creates on demand. */
  readonly ownEnvironment: string;
  /** Whether the user trusts the workspace: nothing that lies in another one is ever run. */
  readonly trusted: boolean;
}

const ENVIRONMENT_FOLDERS = [".venv", "venv", "env"];

/** The folder of a virtual environment that holds its commands. */
export function commandsOf(environment: string): string {
  return join(environment, "bin");
}

/** Every path that `dgemma` may have, the first of those that can be run being the one to take. */
export function candidates(places: Places): string[] {
  if (places.setting !== "") {
    return [expandHome(places.setting, places.home)];
  }
  const onPath = places.path.split(":").filter(isAbsolute);
  const inWorkspace = places.workspaceFolders.flatMap((folder) =>
    ENVIRONMENT_FOLDERS.map((name) => commandsOf(join(folder, name))),
  );
  const selected = places.selectedPython === undefined ? [] : [places.selectedPython];
  const ofWorkspace = places.trusted ? [...selected, ...inWorkspace] : [];
  const folders = [...onPath, ...ofWorkspace, commandsOf(places.ownEnvironment)];
  return [...new Set(folders.map((folder) => join(folder, "dgemma")))];
}

function expandHome(path: string, home: string): string {
  return path === "~" || path.startsWith("~/") ? join(home, path.slice(1)) : path;
}
