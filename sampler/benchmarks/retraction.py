"""How much of the text that is shown before the end changes later."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from sampler import written
from sampler.benchmarks import fills, trace
from sampler.benchmarks import rig as rigs
from sampler.benchmarks.holes import Hole
from sampler.benchmarks.report import Goal, Row, Section
from sampler.benchmarks.rig import Rig, Told
from sampler.benchmarks.scale import Scale
from sampler.events import Draft

# Steps at most: the model's own, and so many times as many.
TIMES = (1, 4)


def run(rig: Rig, scale: Scale, holes: Sequence[Hole], tell: Told) -> Section:
    """Watch the texts of holes, or of an editing trace where there are none."""
    places = [(hole.before, hole.after) for hole in holes[: scale.texts]]
    what = "held-out holes"
    if not places:
        keys = trace.typing(rig.text, len(rig.text) // 2, 4 * scale.texts, seed=0)[::4]
        places = [(key.before, key.after) for key in keys]
        what = "places of an editing trace"
    rows: list[Row] = []
    for times in TIMES:
        steps = times * rig.model.defaults.max_steps
        tell(f"{len(places)} {what}, {steps} steps at most")
        counts = _watch(rig, places, steps)
        early, changed = (sum(column) for column in zip(*counts, strict=True))
        rows.append(
            {
                "steps": steps,
                "texts": len(counts),
                "shown early": early,
                "changed": changed,
                "changed, %": 100 * changed / early if early else 0.0,
                "texts with a change, %": 100 * fmean(later > 0 for _, later in counts),
            }
        )
    worst = max(float(str(row["changed, %"])) for row in rows)
    return Section(
        "retraction",
        "Text shown before the end that changed later",
        rows,
        [Goal("percent of the tokens shown early", worst, 2.0, at_most=True)],
        [f"Tokens of the stable beginning of each draft but the last, at {len(places)} {what}."],
    )


def retracted(shown: Sequence[Sequence[int]], final: Sequence[int]) -> tuple[int, int]:
    """Return how many tokens were shown before the end, and how many of them changed later.

    `shown` is the text on screen after each step but the last, `final` the text in the end. A token
    counts once; one that is taken off the screen and comes back the same has not changed.
    """
    first: dict[int, int] = {}
    changed: set[int] = set()
    for text in shown:
        for at, token in enumerate(text):
            if first.setdefault(at, token) != token:
                changed.add(at)
    changed |= {at for at, token in first.items() if at >= len(final) or final[at] != token}
    return len(first), len(changed)


def _watch(rig: Rig, places: Sequence[tuple[str, str]], steps: int) -> list[tuple[int, int]]:
    """Return for every text what was shown early, and what of it changed."""
    engine = rig.engine()
    params = replace(rig.model.defaults, max_steps=steps)
    counts = []
    for number, (before, after) in enumerate(places):
        prompt = fills.prompt_of(rig, before, after)
        # One row each: rows of one request go on until the last of them has settled.
        tried = fills.tried(prompt, params.canvas_length)
        length = tried[number % len(tried)]
        fill = fills.fill(rig, prompt, params, [length], seed=number)
        drafts = [e for e in rigs.answer(engine, fill.request) if isinstance(e, Draft)]
        hole = fill.layouts[0].holes[0]
        on_screen = [_shown(draft, hole, params.eos_token_ids) for draft in drafts[:-1]]
        final = written.middle(drafts[-1].ids[0, hole].tolist(), params.eos_token_ids)
        counts.append(retracted(on_screen, final))
    return counts


def _shown(draft: Draft, hole: slice, eos: Sequence[int]) -> list[int]:
    """Return the stable beginning of a draft's text."""
    stable = draft.stable[0, hole].tolist()
    length = stable.index(False) if False in stable else len(stable)
    return written.middle(draft.ids[0, hole].tolist()[:length], eos)
