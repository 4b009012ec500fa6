"""The demo: a file with holes, filled one after the other before the eyes of a person.

`play` gives what happens, as values; `show_plain` and `show_live` draw it. No text is made up here:
what stands in a hole is what the model wrote, as an editor would show it.
"""

import asyncio
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console, Group
from rich.live import Live
from rich.syntax import Syntax
from rich.text import Text

from dgemma_lsp import at_cursor, verdict, wire
from dgemma_lsp.client import Answer, Link, gathered
from dgemma_lsp.config import Config
from dgemma_lsp.progress import Progress, printable

NAME = "wordcount.py"
# Each stands in the sample once, in this order, and is cut out before anything is shown.
HOLES = (
    "sum(self.words.values())",
    """with open(path, encoding="utf-8") as file:
        for line in file:
            lines.append(line.strip())""",
    """for word in re.findall(r"\\w+", line):
            counts[word.lower()] += 1""",
    """if len(word) > len(best):
            best = word""",
    "type=int, default=10",
    "lines = read_lines(path)",
)
CANVAS_LENGTH = 64
NEXT = "Next, your editor: the README shows how. `dgemma doctor` finds what is missing."

_EMPTY = "░░░░░░░░"
# How long a person sees a draft (about the least that an eye can follow), and a final text.
_HOLD_S = 0.06
_HOLD_FILLED_S = 0.8
_FILLED, _SURE = "bold green not underline", "bold bright_green not underline"
_DRAFT = "dim italic not underline default"


class Outcome(Struct, frozen=True, kw_only=True):
    """How the filling of one hole ended."""

    steps: int
    ms: float
    tokens: int
    reason: wire.Reason


class Scene(Struct, frozen=True, kw_only=True):
    """One moment: the holes before `hole` are filled, in this one stands `text`.

    The first `sure` characters of it will not change; `outcome` comes with the final text.
    """

    fills: tuple[str, ...]
    hole: int
    text: str = ""
    sure: int = 0
    step: int = 0
    outcome: Outcome | None = None


def sample() -> str:
    """Return the text of the sample file."""
    return (files("dgemma_lsp") / "samples" / NAME).read_text(encoding="utf-8")


def gaps(text: str, holes: Sequence[str]) -> list[str]:
    """Return what stands before, between and after the holes."""
    found = []
    for hole in holes:
        before, _, text = text.partition(hole)
        found.append(before)
    return [*found, text]


def around(between: Sequence[str], fills: Sequence[str]) -> tuple[str, str]:
    """Return what stands before and after the first empty hole, up to the next empty one.

    The line on which the next hole stands is left out: it is not whole.
    """
    hole = len(fills)
    prefix = "".join(gap + fill for gap, fill in zip(between, fills, strict=False)) + between[hole]
    suffix = between[hole + 1]
    if hole + 2 < len(between):
        suffix = suffix[: suffix.rfind("\n") + 1]
    return prefix, suffix


async def play(link: Link, config: Config, sampling: wire.Sampling) -> AsyncIterator[Scene]:
    """Fill the holes of the sample in turn; yields each draft, and each end with its outcome.

    Raises what `Link.request` raises.
    """
    between = gaps(sample(), HOLES)
    fills: tuple[str, ...] = ()
    for hole in range(len(HOLES)):
        yield Scene(fills=fills, hole=hole)
        prefix, suffix = around(between, fills)
        request = at_cursor.request(
            Path(NAME),
            prefix + suffix,
            len(prefix),
            config.completion,
            candidates=1,
            deadline_ms=None,
            # Room for several lines, which are what the holes are.
            sampling=msgspec.structs.replace(sampling, canvas_length=CANVAS_LENGTH),
        )
        request = msgspec.structs.replace(
            request, id=f"hole-{hole + 1}", document=f"demo:{NAME}", version=hole, drafts=True
        )
        told: list[Answer] = []
        progress = Progress()
        async with aclosing(link.request(request)) as answers:
            async for message in answers:
                told.append(message)
                if isinstance(message, wire.Done):
                    shown = verdict.worth_showing(
                        gathered(told, request.candidates, request.spares),
                        prefix,
                        suffix,
                        config.completion,
                        language=request.language,
                        count=1,
                    )
                    text = shown[0] if shown else ""
                    yield _end(fills, hole, text, message)
                    fills = (*fills, text)
                elif isinstance(message, (wire.Draft, wire.Block)):
                    progress.take(message)
                    yield Scene(
                        fills=fills,
                        hole=hole,
                        text=progress.text,
                        sure=progress.sure,
                        step=progress.step,
                    )


def _end(fills: tuple[str, ...], hole: int, text: str, done: wire.Done) -> Scene:
    outcome = Outcome(
        steps=done.timings.steps,
        ms=done.timings.total_ms,
        tokens=done.timings.tokens,
        reason=done.reason,
    )
    return Scene(fills=fills, hole=hole, text=text, sure=len(text), outcome=outcome)


def caption(scene: Scene) -> str:
    """Tell in one line where the demo is."""
    place = f"hole {scene.hole + 1} of {len(HOLES)}"
    if scene.outcome:
        outcome = scene.outcome
        end = f"{outcome.steps} steps, {outcome.ms:.0f} ms, {outcome.tokens} tokens"
        return f"{place}: {end}" if scene.text else f"{place}: left empty after {end}"
    return f"{place}: step {scene.step}" if scene.step else f"{place}: waiting for the model"


async def show_plain(scenes: AsyncIterator[Scene], model: str) -> None:
    """Print each hole, filled, with the lines around it; no escape codes."""
    between = gaps(sample(), HOLES)
    ended = []
    async for scene in scenes:
        if scene.outcome:
            ended.append(scene)
            print(f"{caption(scene)}\n{_excerpt(between, scene)}\n", flush=True)
    print(f"{_summary(ended, model)}\n{NEXT}")


async def show_live(scenes: AsyncIterator[Scene], console: Console, model: str) -> None:
    """Draw the file anew for each scene, long enough to be seen; leave the whole file behind."""
    between = gaps(sample(), HOLES)
    ended: list[Scene] = []
    with Live(console=console, transient=True, auto_refresh=False) as live:
        async for scene in scenes:
            height = max(8, console.height - 4)
            line = Text(caption(scene), style="bold")
            live.update(Group(_picture(between, scene, height), line), refresh=True)
            # For the eye alone: the model is not waited for.
            await asyncio.sleep(_HOLD_FILLED_S if scene.outcome else _HOLD_S)
            if scene.outcome:
                ended.append(scene)
    show_end(ended, console, model)


def show_end(ended: Sequence[Scene], console: Console, model: str) -> None:
    """Print the whole file with what was written in it, and how long that took."""
    console.print(_picture(gaps(sample(), HOLES), ended[-1], height=None))
    console.print(f"{_summary(ended, model)}\n{NEXT}", style="bold", highlight=False)


def _summary(ended: Sequence[Scene], model: str) -> str:
    outcomes = [scene.outcome for scene in ended if scene.outcome]
    middle_ms = statistics.median(outcome.ms for outcome in outcomes)
    steps = statistics.median(outcome.steps for outcome in outcomes)
    filled = sum(bool(scene.text) for scene in ended)
    return (
        f"{filled} of {len(ended)} holes filled by {model}; "
        f"median {middle_ms:.0f} ms and {steps:g} steps for one."
    )


def layout(between: Sequence[str], scene: Scene) -> tuple[str, list[tuple[int, int]]]:
    """Return the text on the screen, and where in it each hole starts and ends."""
    shown, places = between[0], []
    texts = [*scene.fills, scene.text]
    for hole, gap in enumerate(between[1:]):
        text = _on_screen(texts[hole]) if hole < len(texts) else ""
        if not text and not _ended(scene, hole):
            text = _EMPTY
        places.append((len(shown), len(shown) + len(text)))
        shown += text + gap
    return shown, places


def _ended(scene: Scene, hole: int) -> bool:
    return hole < scene.hole or (hole == scene.hole and scene.outcome is not None)


def _on_screen(text: str) -> str:
    return printable(text).expandtabs(4)


def _excerpt(between: Sequence[str], scene: Scene) -> str:
    """Return the lines from two above the hole to two below it, those with the hole marked."""
    shown, places = layout(between, scene)
    start, end = places[scene.hole]
    first, last = shown.count("\n", 0, start), shown.count("\n", 0, end)
    lines = shown.split("\n")
    return "\n".join(
        f"{number + 1:4} {'>' if first <= number <= last else '|'} {lines[number]}".rstrip()
        for number in range(max(0, first - 2), min(len(lines), last + 3))
    )


def _picture(between: Sequence[str], scene: Scene, height: int | None) -> Text:
    """Return the numbered, highlighted lines around the hole; all of them without a `height`."""
    shown, places = layout(between, scene)
    text = Syntax("", "python", theme="ansi_dark").highlight(shown)
    for hole, (start, end) in enumerate(places):
        if _ended(scene, hole):
            text.stylize(_FILLED, start, end)
        else:
            sure = start + (len(_on_screen(scene.text[: scene.sure])) if hole == scene.hole else 0)
            text.stylize(_SURE, start, min(sure, end))
            text.stylize(_DRAFT, min(sure, end), end)
    lines = list(text.split("\n", allow_blank=True))
    first = 0
    if height is not None and len(lines) > height:
        focus = shown.count("\n", 0, places[scene.hole][0])
        first = min(max(0, focus - height // 2), len(lines) - height)
        lines = lines[first : first + height]
    numbered = Text(no_wrap=True, overflow="ellipsis")
    for number, line in enumerate(lines, first + 1):
        numbered.append(f"{number:4} ", style="dim").append_text(line).append("\n")
    return numbered
