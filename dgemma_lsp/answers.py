"""Jobs -> what the engine runs, and what comes of it -> the job's events. No pipe, no stepping.

Runs in the model process: with `model_process` it is all of this package that imports torch.
"""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import torch

from dgemma_lsp import rewrite_answers, wire
from dgemma_lsp.beginnings import beginnings
from dgemma_lsp.bindings import Judgement, surroundings
from dgemma_lsp.config import Config
from dgemma_lsp.errors import TooLarge
from dgemma_lsp.ghost import to_ghost_text, to_ghost_texts
from dgemma_lsp.syntax import fitting
from sampler import autoregress, denoise, infill, lookup, score, written
from sampler.canvas import Noise
from sampler.denoise import Warm
from sampler.engine import Request
from sampler.events import Block, Draft, Event, Filled, Scored, Weighed
from sampler.forward import Denoiser
from sampler.load import LoadedModel
from sampler.params import InvalidParameter, SamplingParams
from sampler.prompts import CompletionPrompt, Prompts, TextStream
from sampler.work import Loop

# The engine serves lower numbers first.
URGENT, CHAT, BULK = 0, 1, 2

# What stands elsewhere may be longer than the hole that the model fills, up to so many tokens.
COPY_TOKENS = 64

# What it costs a text to leave a name unbound, in nats a token: it is as good as wrong.
UNBOUND_WEIGHT = 8.0
# What it is worth to use a name that is bound already and used nowhere; of so many that is thought.
IDLE_WEIGHT, IDLE_NAMES = 1.0, 2

# How much of an earlier suggestion is noise all the same when the model starts from it. Every
# second row starts from nothing: the suggestion may be what the person has just refused.
WARM_STRENGTH = 0.3


class Answer(Protocol):
    """One job's request to the engine, and the telling of what comes of it."""

    request: Request

    def tell(self, event: Event) -> Sequence[wire.Draft | wire.Block | wire.Scores]:
        """Return what one event of the engine means to the client."""

    def done(self) -> wire.Done:
        """Return the last word, when the engine has ended the request."""


class Answers:
    """Makes the answers of one loaded model."""

    def __init__(self, model: LoadedModel, denoiser: Denoiser, config: Config) -> None:
        self.model, self.denoiser, self.config = model, denoiser, config
        self.prompts = Prompts(model.tokenizer)

    def answer(self, job: wire.Job) -> Answer:
        """Return the answer to a job.

        Raises InvalidParameter and TooLarge for what this model cannot be asked.
        """
        match job:
            case wire.Complete():
                return self.completion(job)
            case wire.Chat():
                turns = [{"role": turn.role, "content": turn.content} for turn in job.messages]
                return self._continuation(job, self.prompts.conversation(turns))
            case wire.Generate():
                return self._continuation(job, self.prompts.text(job.prompt))
            case wire.Rewrite():
                params = self._params(job.sampling)
                return rewrite_answers.Rewriting(
                    job, self.prompts, self.denoiser, params, urgency=_urgency(job)
                )
            case wire.Score():
                return _Scoring(self, job)

    def completion(self, job: wire.Complete, length: int | None = None) -> Answer:
        """Return the answer to a completion; `length` is the hole's in tokens, where it is known.

        Nobody who types knows it. Raises as `answer` does.
        """
        return _Completion(self, job, self._params(job.sampling), length)

    def prompt(self, job: wire.Complete, size: int) -> CompletionPrompt:
        """Return what the model reads of a completion's document before a canvas of `size`."""
        return self.prompts.completion(
            job.prefix,
            job.suffix,
            prefix_tokens=self.model.max_positions - self.room(size),
            suffix_tokens=size - 1,
            language=job.language,
        )

    def room(self, size: int) -> int:
        """Return how many positions a completion needs behind what is read of its document."""
        return max(size, min(COPY_TOKENS + infill.JOIN, self.model.max_positions // 8))

    def _continuation(self, job: wire.Chat | wire.Generate, ids: list[int]) -> Answer:
        return _Continuation(self, job, self._params(job.sampling), ids)

    def _params(self, asked: wire.Sampling) -> SamplingParams:
        own = self.model.defaults
        params = replace(
            own,
            max_steps=asked.max_steps or own.max_steps,
            canvas_length=asked.canvas_length or own.canvas_length,
            entropy_bound=asked.entropy_bound or own.entropy_bound,
            max_new_tokens=asked.max_tokens or own.max_new_tokens,
        )
        if params.canvas_length >= self.model.max_positions:
            raise InvalidParameter(
                f"canvas_length must be below the model's {self.model.max_positions} positions, "
                f"not {params.canvas_length}"
            )
        return params


class _Completion:
    """Fills one hole, several times at once; the fills that read best are the answer."""

    def __init__(
        self, answers: Answers, job: wire.Complete, params: SamplingParams, length: int | None
    ) -> None:
        self._began = time.monotonic()
        self._job, self._prompts, self._eos = job, answers.prompts, params.eos_token_ids
        size = params.canvas_length
        self._longest = job.sampling.max_tokens or size
        self._room = answers.room(size)
        self._prompt = answers.prompt(job, size)
        rows = max(job.candidates, answers.config.completion.drawn)
        suffix = self._prompt.suffix_ids
        self._around = surroundings(job.prefix, job.suffix, job.language, job.bound)
        self._judged: dict[str, Judgement] = {}
        lengths = [length] * rows if length else infill.lengths_tried(len(suffix), size, rows)
        lengths = [min(length, self._longest) for length in lengths]
        holes = [infill.Hole(length, self._prompt.first) for length in lengths]
        self._layouts = [infill.lay_out([hole, suffix], size) for hole in holes]
        self._support = {copy.text: infill.support(copy.before, copy.after) for copy in job.copies}
        asked = answers.config.completion.denoise_below
        self._denoise_below = answers.model.denoise_below if asked is None else asked
        self._copied = self._copies(answers.config.completion.copied)
        self._least = answers.config.completion.min_confidence
        # Whoever asks has time for all that can be had, and several texts ought to differ.
        asked_for = job.trigger == "invoked" or job.candidates > 1
        always = asked_for or self._denoise_below == math.inf
        device = answers.denoiser.device
        seed = job.sampling.seed or 0
        loop = infill.fill(
            self._prompt.prefix_ids,
            self._layouts,
            replace(params, max_new_tokens=size),
            # A seed for each row: a row does not depend on how many others there are.
            Noise(range(seed, seed + rows), answers.denoiser.vocab_size, device),
            warm=self._warm(rows, size, device),
            causal=self._causal(answers),
            copied=self._copied,
            enough=None if always else self._enough,
            region=infill.reading_region(
                self._layouts, self._eos, self._prompts.line_ends, job.max_lines, device
            ),
        )
        urgency = BULK if job.priority == "bulk" else URGENT
        self.request = Request(
            loop, rows=rows, tokens=rows * size, urgency=urgency, room=self._room
        )
        self._block: Block | None = None
        self._tokens = 0

    def tell(self, event: Event) -> Sequence[wire.Draft | wire.Block]:
        """Return the drafts of a step where they are asked for, and in the end the best fills."""
        match event:
            case Draft():
                return self._drafts(event) if self._job.drafts else []
            case Block():
                self._block = event
                return []
            case Filled():
                return self._blocks(event)
            case Scored() | Weighed():
                raise AssertionError("a hole is scored as a whole")

    def done(self) -> wire.Done:
        """Return how it ended."""
        settled = self._block is None or bool(self._block.settled.all())
        return wire.Done(
            id=self._job.id,
            reason="settled" if settled else "steps",
            timings=wire.Timings(
                denoise_ms=(time.monotonic() - self._began) * 1e3,
                prompt_tokens=len(self._prompt.prefix_ids) + len(self._prompt.suffix_ids),
                tokens=self._tokens,
                steps=self._steps,
            ),
        )

    @property
    def _steps(self) -> int:
        return 0 if self._block is None else self._block.steps

    def _enough(self, known: Filled) -> bool:
        """Tell whether what is known without denoising will be shown and is good enough.

        What stands at a like place is enough by itself; what only stands behind the same words had
        better be compared with what the model writes.
        """
        texts = [self._text(row[0]) for row in known.middles]
        supported = self._supported(texts)
        best = self._shown(texts, infill.best_first(known, texts, supported))
        if best is None or self._confidence(known, texts, best) < self._least:
            return False
        worth = infill.worths(known, texts, supported)[best]
        compared = texts[best] in self._support or len(texts) > len(self._copied)
        return compared and worth >= self._denoise_below

    def _mentions(self) -> list[list[int]]:
        """Return the names that had better be used, behind other text and behind a space."""
        names = self._around.idle[:IDLE_NAMES]
        return [self._prompts.encode(f"{space}{name}") for name in names for space in ("", " ")]

    @property
    def _most(self) -> int:
        """How many tokens a text may have at most that is not denoised."""
        return min(self._room - infill.JOIN, self._job.sampling.max_tokens or self._room)

    def _supported(self, texts: Sequence[str]) -> dict[str, float]:
        """Return what texts are worth besides what the model thinks of them, in nats a token."""
        return {text: self._support.get(text, 0.0) + self._named(text) for text in set(texts)}

    def _named(self, text: str) -> float:
        """Return what a text is worth for its names, as it would be shown, in nats a token."""
        if text not in self._judged:
            lines = self._job.max_lines or sys.maxsize
            shown = to_ghost_text(text, self._job.prefix, self._job.suffix, max_lines=lines)
            self._judged[text] = self._around.judge(shown or "")
        judged = self._judged[text]
        return IDLE_WEIGHT * judged.uses - UNBOUND_WEIGHT * judged.lacking

    def _shown(self, texts: Sequence[str], order: Sequence[int]) -> int | None:
        """Return the row whose text the client will show; None where it will show nothing."""
        job = self._job
        shown = to_ghost_texts(
            (texts[row] for row in order),
            job.prefix,
            job.suffix,
            max_lines=job.max_lines or sys.maxsize,
        )
        fit = fitting(list(shown), job.prefix, job.suffix, job.language, count=1)
        return order[shown[fit[0]]] if fit else None

    def _confidence(self, filled: Filled, texts: Sequence[str], row: int) -> float:
        """Return how sure a text is, in nats a token; what stands at a like place is surer."""
        return min(0.0, filled.confidence[row] + self._support.get(texts[row], 0.0))

    def _causal(self, answers: Answers) -> written.Causal | None:
        asked = answers.config.completion.causal_tokens
        tokens = answers.model.causal_tokens if asked is None else asked
        if tokens == 0:
            return None
        # With more text on the cursor's line, what is missing is within that line.
        within = self._job.suffix.split("\n", 1)[0].strip() != ""
        lines = 1 if within else self._job.max_lines
        tokens = min(tokens, self._longest)
        return written.Causal(
            tokens, lines, self._prompts.line_ends, self._begun(), self._mentions()
        )

    def _begun(self) -> list[list[int]]:
        """Return how the cursor's line may begin, as far as there is room for the rest of it."""
        texts = [self._prompt.healed + text for text in beginnings(self._around)]
        begun = [self._prompts.encode(text) for text in texts]
        return [ids for ids in begun if len(ids) + written.LINE_TOKENS <= self._most]

    def _copies(self, count: int) -> list[list[int]]:
        """Return what may be copied into the hole: what the client knows of, then what is near."""
        told = [self._prompts.encode(self._prompt.healed + one.text) for one in self._job.copies]
        found = [ids for ids in told if len(ids) <= self._most][:count]
        near = lookup.copies(
            self._prompts,
            self._prompt,
            count=count - len(found),
            longest=self._layouts[0].holes[0].stop,
        )
        return found + [ids for ids in near if ids not in found]

    def _warm(self, rows: int, size: int, device: torch.device) -> Warm | None:
        """Return the earlier suggestion as the text to begin from; None where there is none."""
        if not self._job.previous:
            return None
        ids = self._prompts.encode(self._prompt.healed + self._job.previous)[:size]
        tokens = torch.tensor(ids + [self._eos[0]] * (size - len(ids)), device=device)
        every_second = torch.arange(rows, device=device)[:, None] % 2 == 0
        return Warm(tokens, every_second.expand(rows, size), WARM_STRENGTH)

    def _drafts(self, draft: Draft) -> list[wire.Draft]:
        # Of the first rows, whose holes have most room. Which row reads best only the causal side
        # can tell, when all of them are written; so the answer may be another row's.
        told = []
        rows = zip(self._layouts, draft.ids.tolist(), draft.stable.tolist(), strict=True)
        for candidate, (layout, ids, stable) in enumerate(list(rows)[: self._job.candidates]):
            hole = layout.holes[0]
            text = self._text(written.middle(ids[hole], self._eos))
            settled = ids[hole][: _leading(stable[hole])]
            told.append(
                wire.Draft(
                    id=self._job.id,
                    block=0,
                    step=draft.step,
                    text=text,
                    stable=_common_prefix(text, self._text(written.middle(settled, self._eos))),
                    candidate=candidate,
                )
            )
        return told

    def _blocks(self, filled: Filled) -> list[wire.Block]:
        texts = [self._text(row[0]) for row in filled.middles]
        # What was written one token after another is as it stays.
        settled = [] if self._block is None else self._block.settled.tolist()
        settled += [True] * (len(texts) - len(settled))
        best = infill.best_first(filled, texts, self._supported(texts))
        chosen, rest = best[: self._job.candidates], best[self._job.candidates :]
        self._tokens = sum(len(filled.middles[row][0]) for row in chosen)
        distinct: dict[str, int] = {}  # several rows often say the same
        for row in rest:
            distinct.setdefault(texts[row], row)
        spares = list(distinct.values())[: self._job.spares]
        return [
            wire.Block(
                id=self._job.id,
                block=0,
                text=texts[row],
                steps=self._steps,
                stable=settled[row],
                candidate=candidate,
                confidence=self._confidence(filled, texts, row),
            )
            for candidate, row in enumerate([*chosen, *spares])
        ]

    def _text(self, middle: list[int]) -> str:
        return self._prompt.joining(self._prompts.decode(middle))


class _Continuation:
    """Writes on behind a text, block after block: a chat's reply, or any text."""

    def __init__(
        self,
        answers: Answers,
        job: wire.Chat | wire.Generate,
        params: SamplingParams,
        ids: list[int],
    ) -> None:
        self._began = time.monotonic()
        self._job, self._prompt_tokens = job, len(ids)
        room = answers.model.max_positions - len(ids)
        if room < params.canvas_length:
            raise TooLarge(
                f"the text takes {len(ids)} tokens and {answers.model.name} holds "
                f"{answers.model.max_positions}; begin a new one or shorten it"
            )
        fitting = room - room % params.canvas_length
        self._params = replace(params, max_new_tokens=min(params.max_new_tokens, fitting))
        self.request = Request(
            self._loop(answers, ids),
            rows=1,
            tokens=self._params.max_new_tokens,
            urgency=_urgency(job),
            room=self._params.max_new_tokens,
        )
        self._text = TextStream(answers.prompts)
        self._steps, self._tokens, self._finished = 0, 0, False

    def tell(self, event: Event) -> Sequence[wire.Draft | wire.Block]:
        """Return the draft of a step where it is asked for, and each finished block."""
        match event:
            case Draft():
                return [self._draft(event)] if self._job.drafts else []
            case Block():
                return [self._block(event)]
            case _:
                return []

    def done(self) -> wire.Done:
        """Return how it ended."""
        return wire.Done(
            id=self._job.id,
            reason="eos" if self._finished else "length",
            timings=wire.Timings(
                denoise_ms=(time.monotonic() - self._began) * 1e3,
                prompt_tokens=self._prompt_tokens,
                tokens=self._tokens,
                steps=self._steps,
            ),
        )

    def _loop(self, answers: Answers, ids: list[int]) -> Loop:
        params, denoiser = self._params, answers.denoiser
        if params.max_new_tokens <= answers.config.model.short_tokens:
            return autoregress.generate(
                ids,
                max_new_tokens=params.max_new_tokens,
                eos_token_ids=params.eos_token_ids,
            )
        seed = self._job.sampling.seed or 0
        return denoise.generate(ids, params, Noise([seed], denoiser.vocab_size, denoiser.device))

    def _draft(self, draft: Draft) -> wire.Draft:
        row = written.middle(draft.ids[0].tolist(), self._params.eos_token_ids)
        shown = self._text.preview(row)
        settled = self._text.preview(row[: _leading(draft.stable[0].tolist())])
        return wire.Draft(
            id=self._job.id,
            block=draft.block,
            step=draft.step,
            text=shown,
            stable=_common_prefix(shown, settled),
        )

    def _block(self, block: Block) -> wire.Block:
        row = written.middle(block.ids[0].tolist(), self._params.eos_token_ids)
        row = row[: self._params.max_new_tokens - self._tokens]
        self._steps, self._tokens = self._steps + block.steps, self._tokens + len(row)
        self._finished = bool(block.finished.all())
        return wire.Block(
            id=self._job.id,
            block=block.block,
            text=self._text.push(row),
            steps=block.steps,
            stable=bool(block.settled.all()),
        )


class _Scoring:
    """Tells how probable texts are."""

    def __init__(self, answers: Answers, job: wire.Score) -> None:
        self._began = time.monotonic()
        self._job = job
        prompt = answers.prompts.text(job.prefix)
        texts = [answers.prompts.encode(text) for text in job.texts]
        room = max(map(len, texts))
        if not prompt:
            raise InvalidParameter("this model needs a prefix before the texts; give one")
        if len(prompt) + room > answers.model.max_positions:
            raise TooLarge(
                f"prefix and text take {len(prompt) + room} tokens and {answers.model.name} holds "
                f"{answers.model.max_positions}; shorten them"
            )
        self._prompt_tokens, self._tokens = len(prompt), sum(map(len, texts))
        self.request = Request(
            score.score(prompt, texts),
            rows=min(len(texts), score.ROWS, answers.config.model.rows),
            tokens=self._tokens,
            urgency=_urgency(job),
            room=room,
        )

    def tell(self, event: Event) -> Sequence[wire.Scores]:
        """Return the numbers."""
        assert isinstance(event, Weighed)
        return [wire.Scores(id=self._job.id, log_probs=event.log_probs)]

    def done(self) -> wire.Done:
        """Return how it ended."""
        return wire.Done(
            id=self._job.id,
            reason="settled",
            timings=wire.Timings(
                denoise_ms=(time.monotonic() - self._began) * 1e3,
                prompt_tokens=self._prompt_tokens,
                tokens=self._tokens,
            ),
        )


def _urgency(job: wire.Chat | wire.Generate | wire.Rewrite | wire.Score) -> int:
    """Return how urgent a job is that nobody waits for in mid-sentence."""
    return BULK if job.priority == "bulk" else CHAT


def _leading(flags: list[bool]) -> int:
    return flags.index(False) if False in flags else len(flags)


def _common_prefix(a: str, b: str) -> int:
    return next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )
