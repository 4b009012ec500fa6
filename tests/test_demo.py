"""The demo: the holes of the sample, what the model is asked, and what is drawn."""

import ast
import io
import statistics
from collections.abc import AsyncIterator

import pytest
from background import in_background
from command import Command, dgemma
from rich.console import Console
from scripted_daemon import ScriptedDaemon, Send

from dgemma_lsp import demo, settings, wire
from dgemma_lsp.demo import HOLES, Outcome, Scene, around, gaps, layout, sample

__all__ = ["dgemma"]

BETWEEN = ["a\n", " b\nc\n  ", "\nd"]


def test_the_sample_is_python_and_holds_each_hole_once_in_order() -> None:
    text = sample()
    ast.parse(text)
    assert [text.count(hole) for hole in HOLES] == [1] * len(HOLES)
    between = gaps(text, HOLES)
    assert len(between) == len(HOLES) + 1
    whole = "".join(gap + hole for gap, hole in zip(between, HOLES, strict=False))
    assert whole + between[-1] == text


@pytest.mark.parametrize(
    ("fills", "prefix", "suffix"),
    [([], "a\n", " b\nc\n"), (["X"], "a\nX b\nc\n  ", "\nd"), ([""], "a\n b\nc\n  ", "\nd")],
)
def test_the_model_reads_what_is_filled_and_up_to_the_line_of_the_next_hole(
    fills: list[str], prefix: str, suffix: str
) -> None:
    assert around(BETWEEN, fills) == (prefix, suffix)


OUTCOME = Outcome(steps=2, ms=3.0, tokens=4, reason="settled")


@pytest.mark.parametrize(
    ("scene", "shown", "places"),
    [
        (Scene(fills=(), hole=0), "a\n░░░░░░░░ b\nc\n  ░░░░░░░░\nd", [(2, 10), (17, 25)]),
        (Scene(fills=(), hole=0, text="x"), "a\nx b\nc\n  ░░░░░░░░\nd", [(2, 3), (10, 18)]),
        (Scene(fills=("x",), hole=1, text="\x1b"), "a\nx b\nc\n  \ufffd\nd", [(2, 3), (10, 11)]),
        (
            Scene(fills=("",), hole=1, text="", outcome=OUTCOME),
            "a\n b\nc\n  \nd",
            [(2, 2), (9, 9)],
        ),
    ],
)
def test_the_screen_shows_each_hole_as_it_is(
    scene: Scene, shown: str, places: list[tuple[int, int]]
) -> None:
    assert layout(BETWEEN, scene) == (shown, places)


async def by_the_book(message: wire.Request, send: Send) -> None:
    """Answer with what was cut out, after a draft; leave the last hole empty."""
    assert isinstance(message, wire.Complete)
    text = HOLES[message.version] if message.version + 1 < len(HOLES) else ""
    ms = float(message.version)
    await send(wire.Draft(id=message.id, block=0, step=1, text="\x1b[2J" + text, stable=0))
    await send(wire.Block(id=message.id, block=0, text=text, steps=2))
    timings = wire.Timings(steps=2, tokens=9, total_ms=ms)
    await send(wire.Done(id=message.id, reason="settled", timings=timings))


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_into_a_pipe_it_prints_each_hole_filled_without_escape_codes(
    dgemma: Command, options: list[str]
) -> None:
    settings.prepare_folders(dgemma.paths)
    with in_background(lambda: ScriptedDaemon(dgemma.paths.socket, by_the_book)) as daemon:
        outcome = dgemma("demo", "--steps", 3, "--seed", 4, *options)
    assert (outcome.code, outcome.err) == (0, "")
    assert "\x1b" not in outcome.out
    for number, hole in enumerate(HOLES[:-1], start=1):
        assert f"hole {number} of {len(HOLES)}: 2 steps, {number - 1} ms, 9 tokens" in outcome.out
        for line in hole.split("\n"):
            assert line in outcome.out
    assert f"hole {len(HOLES)} of {len(HOLES)}: left empty" in outcome.out
    median = statistics.median(range(len(HOLES)))
    assert f"{len(HOLES) - 1} of {len(HOLES)} holes filled by scripted" in outcome.out
    assert f"median {median:.0f} ms and 2 steps" in outcome.out
    requests = [message for message in daemon.heard if isinstance(message, wire.Complete)]
    assert [request.sampling for request in requests] == [
        wire.Sampling(max_steps=3, canvas_length=demo.CANVAS_LENGTH, seed=4),
    ] * len(HOLES)
    assert all(request.drafts for request in requests)
    # What stands in earlier holes goes along, and nothing of what was cut out.
    assert HOLES[0] in requests[1].prefix
    assert not any(hole in r.suffix for r in requests for hole in HOLES)
    assert all(
        hole not in request.prefix for n, request in enumerate(requests) for hole in HOLES[n:]
    )


async def test_on_a_terminal_the_whole_file_stays_with_the_text_of_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "_HOLD_S", 0)
    monkeypatch.setattr(demo, "_HOLD_FILLED_S", 0)

    async def scenes() -> AsyncIterator[Scene]:
        for hole, text in enumerate(HOLES):
            yield Scene(fills=HOLES[:hole], hole=hole)
            yield Scene(fills=HOLES[:hole], hole=hole, text="dr\x1b[2Jaft", sure=2, step=1)
            yield Scene(fills=HOLES[:hole], hole=hole, text=text, outcome=OUTCOME)

    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, height=20, color_system=None)
    await demo.show_live(scenes(), console, "nano")
    assert "step 1" in file.getvalue()
    assert "\x1b[2Jaft" not in file.getvalue()
    left = file.getvalue()[file.getvalue().rindex('   1 """') :]
    shown = "\n".join(line[5:] for line in left.split("\n"))
    assert shown.startswith(sample())
    assert f"{len(HOLES)} of {len(HOLES)} holes filled by nano" in left
