// Where `dgemma` is looked for, and that nothing of an untrusted workspace is run.

import assert from "node:assert/strict";
import { test } from "node:test";

import { candidates, type Places } from "../src/locate.ts";

const PLACES: Places = {
  setting: "",
  home: "/home/ada",
  path: "/usr/local/bin:/usr/bin",
  selectedPython: "/envs/selected/bin",
  workspaceFolders: ["/code/a", "/code/b"],
  ownEnvironment: "/storage/venv",
  trusted: true,
};

test("PATH comes first, then the selected Python, the workspace's environments and our own", () => {
  assert.deepEqual(candidates(PLACES), [
    "/usr/local/bin/dgemma",
    "/usr/bin/dgemma",
    "/envs/selected/bin/dgemma",
    "/code/a/.venv/bin/dgemma",
    "/code/a/venv/bin/dgemma",
    "/code/a/env/bin/dgemma",
    "/code/b/.venv/bin/dgemma",
    "/code/b/venv/bin/dgemma",
    "/code/b/env/bin/dgemma",
    "/storage/venv/bin/dgemma",
  ]);
});

test("a setting is the only candidate, so that a wrong one is told and not passed over", () => {
  assert.deepEqual(candidates({ ...PLACES, setting: "/opt/dgemma" }), ["/opt/dgemma"]);
});

test("a tilde at the start of the setting is the home folder", () => {
  for (const [setting, path] of [
    ["~/bin/dgemma", "/home/ada/bin/dgemma"],
    ["~other/dgemma", "~other/dgemma"],
    ["/opt/~/dgemma", "/opt/~/dgemma"],
  ] as const) {
    assert.deepEqual(candidates({ ...PLACES, setting }), [path]);
  }
});

test("nothing is taken from a workspace that is not trusted", () => {
  assert.deepEqual(candidates({ ...PLACES, trusted: false }), [
    "/usr/local/bin/dgemma",
    "/usr/bin/dgemma",
    "/storage/venv/bin/dgemma",
  ]);
});

test("an entry of PATH that depends on the current folder is left out", () => {
  const found = candidates({ ...PLACES, path: ".::bin:/usr/bin", trusted: false });
  assert.deepEqual(found, ["/usr/bin/dgemma", "/storage/venv/bin/dgemma"]);
});

test("without a selected Python and without folders there is still our own environment", () => {
  const bare = { ...PLACES, path: "", selectedPython: undefined, workspaceFolders: [] };
  assert.deepEqual(candidates(bare), ["/storage/venv/bin/dgemma"]);
});
