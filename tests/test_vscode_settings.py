"""The settings of the VS Code extension are those of the one schema, and say the same of each."""

import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dgemma_lsp.config import Config

ROOT = Path(__file__).parent.parent
PACKAGE = json.loads((ROOT / "editors" / "vscode" / "package.json").read_text(encoding="utf-8"))
PROPERTIES = PACKAGE["contributes"]["configuration"]["properties"]

# What an editor may set: three sections and one option of a fourth.
SECTIONS = {"completion", "editor", "proofread"}
SINGLE = {"model.name"}
# The extension asks for what it can show, and the user is not bothered with it.
ASKED_BY_THE_EXTENSION = {"editor.status", "editor.drafts"}
# VS Code has ghost text, so nothing of ours stands in its menu.
OF_OTHER_EDITORS = {"completion.menu_ms"}
# What the schema does not know: how to start it.
OF_THE_EXTENSION = {"command"}

NOT_OFFERED = ASKED_BY_THE_EXTENSION | OF_OTHER_EDITORS

FACTS = ("type", "default", "minimum", "maximum", "exclusiveMinimum", "enum", "items")


def schema() -> dict[str, dict[str, Any]]:
    """Every option of the configuration file by its dotted name, in JSON Schema."""
    (_,), components = msgspec.json.schema_components([Config])
    definitions = msgspec.json.decode(msgspec.json.encode(components))
    return {
        f"{section}.{name}": option
        for section in definitions["Config"]["properties"]
        for name, option in definitions[section.title()]["properties"].items()
    }


def facts(option: dict[str, Any]) -> dict[str, Any]:
    """What a setting must say of an option: its type, its default and what it may be."""
    choices = option.get("anyOf", [option])
    if len(choices) > 1:  # an option that may be left out
        types = [choice["type"] for choice in choices]
        option = choices[0] | {"type": types, "default": option["default"]}
    if "enum" in option:
        # JSON Schema needs no type beside the values; VS Code's editor of settings does.
        option = {"type": "string"} | option
    return {fact: option[fact] for fact in FACTS if fact in option}


EXPECTED = {
    name: facts(option)
    for name, option in schema().items()
    if name in SINGLE or (name.split(".")[0] in SECTIONS and name not in NOT_OFFERED)
}


def test_the_extension_offers_what_an_editor_may_set_and_nothing_else() -> None:
    offered = {name.removeprefix("dgemma.") for name in PROPERTIES}
    assert offered == EXPECTED.keys() | OF_THE_EXTENSION


@pytest.mark.parametrize("name", EXPECTED)
def test_a_setting_has_the_type_default_and_range_of_the_schema(name: str) -> None:
    assert facts(PROPERTIES[f"dgemma.{name}"]) == EXPECTED[name]


@pytest.mark.parametrize("name", PROPERTIES)
def test_every_setting_is_described(name: str) -> None:
    assert PROPERTIES[name]["description"].endswith(".")


def test_the_extension_has_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert PACKAGE["version"] == project["version"]


def test_every_command_that_is_bound_to_a_key_is_contributed() -> None:
    contributed = {command["command"] for command in PACKAGE["contributes"]["commands"]}
    assert {binding["command"] for binding in PACKAGE["contributes"]["keybindings"]} <= contributed
