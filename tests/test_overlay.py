from typing import Any

import msgspec
import pytest

from dgemma_lsp.config import Chat, Completion, Config, Daemon, Editor, Model
from dgemma_lsp.overlay import known_sections, lay_editor_over, lay_over

BASE = Config(
    model=Model(name="m", device="cpu"),
    completion=Completion(steps=3, deadline_ms=500),
    chat=Chat(max_tokens=9),
    daemon=Daemon(port=7),
)


@pytest.mark.parametrize(
    ("options", "change"),
    [
        (None, {}),
        ({}, {}),
        ({"completion": {}}, {}),
        ({"completion": None}, {}),
        ({"completion": {"steps": None}}, {}),
        ({"completion": {"steps": 8}}, {"completion": Completion(steps=8, deadline_ms=500)}),
        ({"editor": {"status": True}}, {"editor": Editor(status=True)}),
        ({"model": {"name": "n"}}, {"model": Model(name="n", device="cpu")}),
        ({"daemon": {"port": 7}}, {}),
    ],
)
def test_options_change_what_they_name_and_nothing_else(
    options: object, change: dict[str, Any]
) -> None:
    expected = (msgspec.structs.replace(BASE, **change), [])
    assert lay_over(BASE, options, "file") == expected
    assert lay_editor_over(BASE, options, "editor", "c.toml") == expected


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "s: must be an object with sections, not []"),
        ("x", "s: must be an object with sections, not 'x'"),
        ({"completion": 3}, "s: completion must hold options, not 3"),
        (
            {"completion": {"steps": -1}},
            "s: completion.steps = -1: Expected `int` >= 0; it keeps its default",
        ),
        (
            {"completion": {"steps": "8"}},
            "s: completion.steps = '8': Expected `int`, got `str`; it keeps its default",
        ),
        (
            {"editor": {"record": "all"}},
            "s: editor.record = 'all': Invalid enum value 'all'; it keeps its default",
        ),
        (
            {"editor": {"languages_off": ["a", 1]}},
            "s: editor.languages_off = ['a', 1]: Expected `str`, got `int`; it keeps its default",
        ),
    ],
)
def test_what_cannot_be_taken_is_told_by_name_and_value(options: object, told: str) -> None:
    assert lay_over(BASE, options, "s") == (BASE, [told])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"compeltion": {"steps": 8}}, ["'compeltion'", "completion", "editor"]),
        ({"compeltion": 1}, ["'compeltion'"]),
        ({"completion": {"step": 8}}, ["completion.step:", "steps"]),
        ({"completion": {"steps": "x" * 1000}}, ["..."]),
    ],
)
def test_an_unknown_name_is_told_with_those_that_there_are(
    options: object, told: list[str]
) -> None:
    config, [problem] = lay_over(BASE, options, "s")
    assert config == BASE
    assert all(part in problem for part in told)
    assert len(problem) < 400 and "\n" not in problem


def test_a_bad_option_keeps_its_default_alone() -> None:
    options = {"completion": {"steps": "x", "candidates": 5}, "editor": {"status": True}, "no": {}}
    config, problems = lay_over(BASE, options, "s")
    assert (config.completion.steps, config.completion.candidates) == (3, 5)
    assert config.editor.status
    assert len(problems) == 2


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"daemon": {"port": 8}}, "daemon.port"),
        ({"model": {"device": "cuda", "name": "n"}}, "model.device"),
        ({"chat": {"max_tokens": 1}}, "chat.max_tokens"),
    ],
)
def test_what_is_the_daemon_s_is_not_an_editor_s(options: dict[str, Any], name: str) -> None:
    config, [problem] = lay_editor_over(BASE, options, "s", "/c.toml")
    assert problem.startswith(f"s: {name} is the daemon's") and "/c.toml" in problem
    assert config.daemon == BASE.daemon and config.chat == BASE.chat
    assert config.model == Model(name=options.get("model", {}).get("name", "m"), device="cpu")


def test_a_plugin_s_own_settings_are_passed_over() -> None:
    assert known_sections({"trace": 1, "completion": {"step": 1}}) == {"completion": {"step": 1}}
    assert known_sections(None) is None
