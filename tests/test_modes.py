import pytest

from dgemma_lsp.errors import UserError
from dgemma_lsp.modes import MODES, Edit, Task, Written, check, instruction, refusal


def task(mode, **fields):
    return Task(**({"mode": mode, "text": "a text", "start": 0, "end": 6} | fields))


def test_the_edits_of_a_text_are_all_made_at_their_own_places():
    edits = (Edit(0, 1, "the"), Edit(2, 6, ""), Edit(6, 6, "end"))
    assert Written(edits).applied("a text") == "the end"


@pytest.mark.parametrize("mode", MODES)
def test_nano_refuses_in_one_line_all_but_what_it_can(mode):
    said = refusal(mode, "nano")
    if mode in ("continue", "docstring", "grammar"):
        assert said == ""
    else:
        assert said.startswith(f"{mode}: nano ")
        assert "set model.name to" in said
        assert "\n" not in said
    assert refusal(mode, "google/diffusiongemma-26B-A4B-it") == ""


@pytest.mark.parametrize(
    ("mode", "told", "message"),
    [
        ("sing", {}, "mode 'sing': there are shorten, expand,"),
        ("translate", {}, "translate: say into which language"),
        ("translate", {"to": " "}, "translate: say into which language"),
        ("custom", {}, "custom: say what is to be done"),
        ("fix", {}, "fix: say what is wrong"),
    ],
)
def test_a_mode_that_is_none_or_that_lacks_something_is_refused(mode, told, message):
    with pytest.raises(UserError, match=message):
        check(task(mode, **told))


def test_the_model_is_told_what_the_person_said():
    assert "into Dutch" in instruction(task("translate", to="Dutch"))
    assert instruction(task("custom", instruction="Use {braces}.")) == "Use {braces}."
    assert instruction(task("shorten", length=9)).endswith("Write about 9 words.")
    assert "no such name" in instruction(task("fix", problem="no such name"))
