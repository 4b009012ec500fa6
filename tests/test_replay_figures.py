import io

import pytest
from rich.console import Console

from dgemma_lsp.replay_figures import ROWS, Figures, Played, Shown, figures, table


def shown(text: str, to_come: str, ms: float = 100.0) -> Shown:
    return Shown(text=text, to_come=to_come, ms=ms)


def played(**values: object) -> Played:
    base = {
        "keys": 100,
        "shown": [shown("width", "width)"), shown("height, x", "height")],
        "taken": ["width"],
        "through_ms": [1.0, 2.0, 3.0],
        "completed": 10,
        "withdrawn": 5,
        "steps": 50,
        "withdrawn_steps": 10,
    }
    return Played(**(base | values))  # type: ignore[arg-type]


def test_shares_are_of_the_keys_and_of_what_came_new() -> None:
    found = figures("way", played())
    assert (found.shown, found.suggestions, found.exact, found.accepted) == (5.0, 2, 50.0, 1)
    # All of the first text was written, and of the second 6 of 9 characters.
    assert found.kept == pytest.approx(100 * (1 + 6 / 9) / 2, abs=0.1)
    # Five characters by one key.
    assert found.saved == round(100 * 4 / 104, 1)


def test_wasted_is_what_a_suggestion_cost_beyond_one_finished_request() -> None:
    found = figures("way", played())
    assert (found.steps, found.wasted) == (25.0, 21.0)
    assert figures("way", played(completed=2, withdrawn=0, steps=8, withdrawn_steps=0)).wasted == 0


def test_times_of_new_texts_and_of_typing_through_are_told_apart() -> None:
    found = figures("way", played(shown=[shown("a", "a", ms) for ms in (10, 20, 30)]))
    assert (found.ms_p50, found.ms_p95, found.through_p50) == (20.0, 29.0, 2.0)


def test_a_trace_without_any_suggestion_has_figures() -> None:
    found = figures("way", played(shown=[], taken=[], through_ms=[]))
    assert (found.shown, found.exact, found.kept, found.ms_p50) == (0.0, 0.0, 0.0, 0.0)


def test_every_figure_stands_in_the_table() -> None:
    assert {"way", *ROWS} == set(Figures.__struct_fields__)
    screen = io.StringIO()
    ways = [figures(name, played()) for name in ("one way", "other way")]
    Console(file=screen, width=100).print(table(ways, "From here to there"))
    text = screen.getvalue()
    assert "From here to there" in text and "one way" in text
    assert all(row in text for row in ROWS.values())
