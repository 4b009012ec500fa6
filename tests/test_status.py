import msgspec
import pytest

from dgemma_lsp.status import Condition, Status


@pytest.mark.parametrize(
    ("condition", "state", "text"),
    [
        (Condition(model="m"), "starting", "started"),
        (Condition(model="m", linked=True), "loading", "m is being loaded"),
        (Condition(model="m", linked=True, loading="restarting"), "loading", "again"),
        (Condition(model="m", linked=True, loading="ready"), "ready", "m is ready"),
        (Condition(model="m", linked=True, loading="asleep"), "ready", "m is ready"),
        (Condition(model="m", linked=True, loading="ready", asked=1), "busy", "writing"),
        (Condition(model="m", linked=True, loading="failed"), "error", "dgemma doctor"),
        (Condition(model="m", error="no weights"), "error", "no weights; `dgemma doctor`"),
        (Condition(model="m", error="ended; run `dgemma doctor`"), "error", "ended; run `dgemma"),
        (Condition(model="m", error="no weights", paused=True), "paused", "dgemma.resume"),
        (Condition(model="m", paused=True, resume="`:Go on`"), "paused", "`:Go on` brings"),
    ],
)
def test_the_state_says_what_holds_completion_up_and_what_to_do(
    condition: Condition, state: str, text: str
) -> None:
    status = condition.status
    assert (status.state, status.model) == (state, "m")
    assert text in status.text and status.text.count("doctor") <= 1 and "\n" not in status.text


def test_how_much_of_the_model_is_loaded_is_told_while_it_loads() -> None:
    condition = Condition(model="m", linked=True, progress=45)
    assert condition.status.progress == 45
    condition.loading = "restarting"
    assert condition.status.progress == 45
    condition.loading = "ready"
    assert condition.status.progress is None


def test_what_is_not_known_is_not_sent() -> None:
    assert msgspec.to_builtins(Status(state="ready", text="t")) == {"state": "ready", "text": "t"}
