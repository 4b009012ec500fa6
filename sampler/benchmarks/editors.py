"""Several editors at once: how long a completion takes then, and whether it is the same one."""

import random
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sampler.benchmarks import fills, trace
from sampler.benchmarks.report import Goal, Row, Section, percentile
from sampler.benchmarks.rig import Rig, Told
from sampler.benchmarks.scale import Scale
from sampler.benchmarks.trace import Key
from sampler.engine import Ended, Engine, Failed
from sampler.events import Event
from sampler.prompts import CompletionPrompt

# How far a pause may be from the mean one.
JITTER = 0.5


@dataclass(frozen=True)
class Ask:
    """The completion `number` of `editor`, asked for `at` seconds after the beginning."""

    at: float
    editor: int
    number: int
    key: Key

    @property
    def name(self) -> str:
        """Its key in the engine."""
        return f"{self.editor}:{self.number}"

    @property
    def seed(self) -> int:
        """The first row's; rows of other asks have others."""
        return fills.DRAWN * (1000 * self.editor + self.number)


@dataclass(frozen=True)
class Answered:
    """The text, and how many milliseconds the editor was without an answer until then."""

    ms: float
    text: str


@dataclass
class _Asked:
    """An ask in the engine, since when its editor has waited, and what came of it so far."""

    ask: Ask
    since: float
    prompt: CompletionPrompt
    events: list[Event]


def run(rig: Rig, scale: Scale, tell: Told) -> Section:
    """Let `scale.editors` ask alone, together with the pauses of typing, and all at once."""
    asks = schedule(_traces(rig, scale), scale.pause_s)
    tell("each editor alone")
    alone = _alone(rig, asks)
    tell(f"{scale.editors} editors together, in real time")
    together = replay(rig, rig.engine(), asks)
    tell(f"{scale.editors} editors at the same moment")
    at_once = _at_once(rig, asks)
    rows = [
        _row("one editor", alone, alone),
        _row(f"{scale.editors}, pauses of typing", together, alone),
        _row(f"{scale.editors}, at the same moment", at_once, alone),
    ]
    return Section(
        "editors",
        f"{scale.editors} editors against one",
        rows,
        [
            Goal(
                f"p95 of {scale.editors} editors, times that of one",
                float(str(rows[1]["p95 ratio"])),
                3.0,
                at_most=True,
            ),
            Goal(
                "answers unlike those alone with the same seed",
                float(_changed(alone, together) + _changed(alone, at_once)),
                0.0,
                at_most=True,
            ),
        ],
        [
            f"Each asks {scale.asks} times, every {scale.pause_s * 1e3:.0f} ms "
            f"+-{JITTER * 100:.0f} %: {fills.DRAWN} texts drawn, the suffix pinned, the model's "
            "own steps. An editor that asks again takes its older request back, as the daemon has "
            "it; the time counts from the oldest ask without an answer, to the answer.",
            "unlike: answers that are not the one that the editor gets alone with the same seed.",
        ],
    )


def schedule(traces: Sequence[Sequence[Key]], pause: float) -> list[Ask]:
    """Return who asks for what and when, in the order of time; the same one every time."""
    asks = []
    for editor, keys in enumerate(traces):
        chooser = random.Random(editor)
        at = chooser.uniform(0, pause)
        for number, key in enumerate(keys):
            asks.append(Ask(at, editor, number, key))
            at += pause * chooser.uniform(1 - JITTER, 1 + JITTER)
    return sorted(asks, key=lambda ask: ask.at)


def _traces(rig: Rig, scale: Scale) -> list[list[Key]]:
    """Return what each editor types: everyone at a place of their own."""
    apart = (len(rig.text) - scale.asks) // scale.editors
    return [
        trace.typing(rig.text, (number + 1) * apart, scale.asks, seed=number)
        for number in range(scale.editors)
    ]


def _alone(rig: Rig, asks: Sequence[Ask]) -> dict[str, Answered]:
    """Answer every ask when the one before it has ended, each editor with an engine of its own."""
    engines = {ask.editor: rig.engine() for ask in asks}
    answers: dict[str, Answered] = {}
    for ask in asks:
        answers |= replay(rig, engines[ask.editor], [replace(ask, at=0.0)])
    return answers


def _at_once(rig: Rig, asks: Sequence[Ask]) -> dict[str, Answered]:
    """Answer the first ask of all editors at the same moment, then the second of all, ..."""
    engine = rig.engine()
    answers: dict[str, Answered] = {}
    for number in sorted({ask.number for ask in asks}):
        same = [replace(ask, at=0.0) for ask in asks if ask.number == number]
        answers |= replay(rig, engine, same)
    return answers


def replay(rig: Rig, engine: Engine, asks: Sequence[Ask]) -> dict[str, Answered]:
    """Ask in real time, as the model process does it: take in what is due, step, and so on.

    What an editor asks takes the place of what it asked before; returns what was answered.
    """
    waiting, answers = deque(asks), {}
    asked: dict[int, _Asked] = {}
    began = time.perf_counter()
    while waiting or not engine.idle:
        while waiting and waiting[0].at <= time.perf_counter() - began:
            ask = waiting.popleft()
            asked[ask.editor] = _submit(rig, engine, ask, asked.get(ask.editor))
        if engine.idle:
            time.sleep(max(0.0, waiting[0].at - (time.perf_counter() - began)))
            continue
        for name, event in engine.step():
            editor = int(name.partition(":")[0])
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Ended):
                done = asked.pop(editor)
                text = fills.shown(rig, done.prompt, done.events)
                answers[name] = Answered((time.perf_counter() - began - done.since) * 1e3, text)
            else:
                asked[editor].events.append(event)
    return answers


def _submit(rig: Rig, engine: Engine, ask: Ask, older: _Asked | None) -> _Asked:
    since = ask.at
    if older is not None:
        engine.cancel(older.ask.name)
        since = older.since
    prompt = fills.prompt_of(rig, ask.key.before, ask.key.after)
    params = rig.model.defaults
    lengths = fills.tried(prompt, params.canvas_length)
    causal = fills.causal(rig, ask.key.after)
    fill = fills.fill(rig, prompt, params, lengths, ask.seed, causal=causal)
    engine.submit(ask.name, fill.request)
    return _Asked(ask, since, prompt, [])


def _changed(alone: Mapping[str, Answered], others: Mapping[str, Answered]) -> int:
    return sum(alone[name].text != answered.text for name, answered in others.items())


def _row(what: str, answers: Mapping[str, Answered], alone: Mapping[str, Answered]) -> Row:
    times = [answered.ms for answered in answers.values()]
    base = [answered.ms for answered in alone.values()]
    return {
        "what": what,
        "p50, ms": percentile(times, 50),
        "p95, ms": percentile(times, 95),
        "p95 ratio": percentile(times, 95) / percentile(base, 95),
        "answers": len(times),
        "superseded": len(alone) - len(times),
        "unlike": _changed(alone, answers),
    }
