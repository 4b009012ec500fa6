"""One request in flight: what the model said so far, and what can be answered at the deadline.

Pure: no socket and no clock; times in seconds are handed in, those on the wire are milliseconds.
"""

import msgspec

from dgemma_lsp.wire import Block, Draft, Id, Timings


class InFlight:
    """What the daemon knows of a request between its receipt and its end.

    `id` is what the client of `session` calls it.
    """

    def __init__(self, *, id: Id, session: int, wants_drafts: bool, received: float) -> None:
        self.id = id
        self.session = session
        self.wants_drafts = wants_drafts
        self.received = received
        self.started: float | None = None
        self._drafts: dict[tuple[int, int], Draft] = {}  # newest of each unfinished block
        self._steps: dict[int, int] = {}  # of each block: its candidates are stepped together

    def drafted(self, draft: Draft) -> None:
        """Remember the newest draft of a block."""
        self._drafts[draft.candidate, draft.block] = draft
        self._stepped(draft.block, draft.step)

    def finished(self, block: Block) -> None:
        """Forget the drafts of a block that is final."""
        self._drafts.pop((block.candidate, block.block), None)
        self._stepped(block.block, block.steps)

    def stable_blocks(self) -> list[Block]:
        """Return the stable part of each unfinished block, by candidate and position."""
        return [
            Block(
                id=self.id,
                block=draft.block,
                candidate=draft.candidate,
                text=draft.text[: draft.stable],
                steps=draft.step,
                stable=False,
            )
            for _, draft in sorted(self._drafts.items(), key=lambda item: item[0])
            if draft.stable > 0
        ]

    @property
    def steps(self) -> int:
        """The denoising steps of the blocks and drafts seen so far."""
        return sum(self._steps.values())

    def _stepped(self, block: int, steps: int) -> None:
        self._steps[block] = max(self._steps.get(block, 0), steps)

    def timings(self, now: float, model: Timings) -> Timings:
        """Return the model's timings, completed with the daemon's waiting and total time."""
        started = now if self.started is None else self.started
        return msgspec.structs.replace(
            model,
            queue_ms=(started - self.received) * 1000,
            total_ms=(now - self.received) * 1000,
        )
