"""A hole as an editor asks for it: several texts drawn, the suffix pinned, the best one shown."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sampler import infill, lookup, written
from sampler.benchmarks.rig import Rig
from sampler.engine import Request
from sampler.events import Event, Filled
from sampler.params import SamplingParams
from sampler.prompts import CompletionPrompt

# As the daemon has them by default.
DRAWN, COPIED, MAX_LINES = 3, 8, 12
SUFFIX_CHARS = 2000


@dataclass(frozen=True)
class Fill:
    """A request to the engine, and where the hole of each row is."""

    request: Request
    layouts: Sequence[infill.Layout]


def prompt_of(
    rig: Rig, before: str, after: str, *, prefix_tokens: int | None = None
) -> CompletionPrompt:
    """Return the prompt of the hole between two texts, within what the model was trained on.

    `prefix_tokens` allows for more than that.
    """
    size = rig.model.defaults.canvas_length
    return rig.prompts.completion(
        before,
        after[:SUFFIX_CHARS],
        prefix_tokens=prefix_tokens or rig.model.max_positions - size,
        suffix_tokens=size - 1,
        language="python",
    )


def tried(prompt: CompletionPrompt, size: int) -> list[int]:
    """Return the hole's length of each row where nobody knows it."""
    return infill.lengths_tried(len(prompt.suffix_ids), size, DRAWN)


def longest(prompt: CompletionPrompt, size: int) -> int:
    """Return the length of the longest hole that leaves room for some of the suffix."""
    return infill.longest_hole(len(prompt.suffix_ids), size)


def causal(rig: Rig, after: str) -> written.Causal | None:
    """Return what is written one token after another besides, as the daemon has it by default."""
    tokens = rig.model.causal_tokens
    within = after.split("\n", 1)[0].strip() != ""
    lines = 1 if within else MAX_LINES
    return written.Causal(tokens, lines, rig.prompts.line_ends) if tokens else None


def fill(
    rig: Rig,
    prompt: CompletionPrompt,
    params: SamplingParams,
    lengths: Sequence[int],
    seed: int,
    *,
    causal: written.Causal | None = None,
) -> Fill:
    """Return the request for a row of each of `lengths`, the first from seed `seed`."""
    size = params.canvas_length
    layouts = [
        infill.lay_out([infill.Hole(length, prompt.first), prompt.suffix_ids], size)
        for length in lengths
    ]
    loop = infill.fill(
        prompt.prefix_ids,
        layouts,
        replace(params, max_new_tokens=size),
        rig.noise(range(seed, seed + len(lengths))),
        region=infill.reading_region(
            layouts, params.eos_token_ids, rig.prompts.line_ends, MAX_LINES, rig.denoiser.device
        ),
        causal=causal,
        copied=lookup.copies(rig.prompts, prompt, count=COPIED, longest=max(lengths)),
    )
    return Fill(Request(loop, rows=len(lengths), tokens=len(lengths) * size), layouts)


def shown(rig: Rig, prompt: CompletionPrompt, events: Sequence[Event]) -> str:
    """Return the text that reads best of those drawn, without what was typed already."""
    filled = next(event for event in events if isinstance(event, Filled))
    texts = [prompt.joining(rig.prompts.decode(row[0])) for row in filled.middles]
    return texts[infill.best_first(filled, texts)[0]]
