"""The answer to one `Rewrite`: parts -> gaps between pinned ids, and back to a block for each part.

Runs in the model process, as `answers` does, which hands it out. No pipe, no stepping.
"""

import time
from collections.abc import Sequence

from dgemma_lsp import wire
from sampler import rewrite
from sampler.canvas import Noise
from sampler.engine import Request
from sampler.events import Block, Draft, Event
from sampler.forward import Denoiser
from sampler.params import SamplingParams
from sampler.prompts import Prompts


class Rewriting:
    """Rewrites a text in one row, sheet after sheet; a kept part's block is the part's own text."""

    def __init__(
        self,
        job: wire.Rewrite,
        prompts: Prompts,
        denoiser: Denoiser,
        params: SamplingParams,
        *,
        urgency: int,
    ) -> None:
        self._began = time.monotonic()
        self._job, self._prompts, self._eos = job, prompts, params.eos_token_ids
        prompt = prompts.rewriting(job.instruction, "".join(part.text for part in job.parts))
        self._prompt_tokens = len(prompt)
        size = params.canvas_length
        pieces = [self._piece(part) for part in job.parts]
        self._sheets = rewrite.lay_out(pieces, size, self._eos[0])
        noise = Noise([job.sampling.seed or 0], denoiser.vocab_size, denoiser.device)
        loop = rewrite.rewrite(prompt, self._sheets, params, noise, strength=job.strength)
        room = rewrite.positions(self._sheets, size)
        self.request = Request(loop, rows=1, tokens=room, urgency=urgency, room=room)
        self._written: dict[int, list[int]] = {}  # by part, what the finished sheets say
        self._told = 0  # parts that have their block
        self._steps, self._settled = 0, True

    def tell(self, event: Event) -> Sequence[wire.Draft | wire.Block]:
        """Return the draft of each part under way if they are wanted, and each finished part."""
        match event:
            case Draft():
                return self._drafts(event) if self._job.drafts else []
            case Block():
                return self._blocks(event)
            case _:
                raise AssertionError("a text that is rewritten is not scored")

    def done(self) -> wire.Done:
        """Return how it ended."""
        return wire.Done(
            id=self._job.id,
            reason="settled" if self._settled else "steps",
            timings=wire.Timings(
                denoise_ms=(time.monotonic() - self._began) * 1e3,
                prompt_tokens=self._prompt_tokens,
                tokens=sum(map(len, self._written.values())),
                steps=self._steps,
            ),
        )

    def _piece(self, part: wire.Part) -> list[int] | rewrite.Gap:
        ids = self._prompts.encode(part.text)
        return ids if part.kept else rewrite.gap(ids, self._job.length)

    def _drafts(self, draft: Draft) -> list[wire.Draft]:
        sheet = self._sheets[draft.block]
        row, stable = draft.ids[0].tolist(), draft.stable[0].tolist()
        told: dict[int, wire.Draft] = {}
        written: dict[int, list[int]] = {}
        holes = zip(sheet.gaps, sheet.layout.holes, sheet.written(row, self._eos), strict=True)
        for number, hole, found in holes:
            before = written.get(number, self._written.get(number, []))
            settled = next((i for i, is_so in enumerate(stable[hole]) if not is_so), len(found))
            text, sure = (self._prompts.decode([*before, *ids]) for ids in (found, found[:settled]))
            told[number] = wire.Draft(
                id=self._job.id,
                block=number,
                step=draft.step,
                text=text,
                stable=len(sure) if text.startswith(sure) else 0,
            )
            written[number] = [*before, *found]
        return list(told.values())

    def _blocks(self, block: Block) -> list[wire.Block]:
        sheet = self._sheets[block.block]
        self._steps += block.steps
        self._settled &= bool(block.settled.all())
        found = sheet.written(block.ids[0].tolist(), self._eos)
        for number, ids in zip(sheet.gaps, found, strict=True):
            self._written[number] = self._written.get(number, []) + ids
        # A part may go on in the next sheet.
        left = [number for later in self._sheets[block.block + 1 :] for number in later.gaps]
        until = min(left, default=len(self._job.parts))
        blocks = [self._block(number, block) for number in range(self._told, until)]
        self._told = until
        return blocks

    def _block(self, number: int, block: Block) -> wire.Block:
        part = self._job.parts[number]
        written = self._written.get(number, [])
        return wire.Block(
            id=self._job.id,
            block=number,
            text=part.text if part.kept else self._prompts.decode(written),
            steps=0 if part.kept else block.steps,
            stable=part.kept or bool(block.settled.all()),
        )
