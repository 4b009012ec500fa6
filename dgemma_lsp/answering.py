"""Answers of kept conversations while they are written: from the model to disk, then told.

An answer belongs to its conversation, not to the connection that asked for it. Which turns the
model reads is `chat`'s business, what was asked `conversations`'.
"""

import logging
from collections.abc import Callable, Sequence
from typing import assert_never

from msgspec.structs import replace

from dgemma_lsp import chat
from dgemma_lsp.audience import EVERYBODY, Audience
from dgemma_lsp.chat_file import ConversationFile
from dgemma_lsp.chat_store import ConversationStore as Store
from dgemma_lsp.dispatcher import Dispatcher
from dgemma_lsp.errors import (
    Busy,
    Cancelled,
    DaemonStopping,
    DgemmaError,
    NotFound,
    StorageFailed,
    TooLarge,
)
from dgemma_lsp.wire import Block, Chat, Done, Draft, Failed, Response, Turn
from dgemma_lsp.wire_chat import About, TurnEnded, TurnState, Usage
from dgemma_lsp.wire_types import Sampling, Timings

# What these answers are submitted as; the sessions of clients are numbered from 1.
SESSION = 0

# What became of an answer whose request failed with these codes; with any other it failed too.
STATES: dict[str, TurnState] = {
    Cancelled.code: "stopped",
    DaemonStopping.code: "interrupted",
}

Part = Draft | Block | Done | Failed

_log = logging.getLogger(__name__)


class Answer:
    """An answer that is being written, as turn `turn` of the conversation `key`.

    `said` is all that was said before it, `read` what of it the model reads.
    """

    def __init__(
        self,
        key: str,
        turn: int,
        *,
        said: Sequence[Turn],
        read: chat.Conversation,
        notice: str,
        sampling: Sampling,
    ) -> None:
        self.key, self.turn, self.said, self.read = key, turn, said, read
        self.sampling = sampling
        self.blocks = 0
        self.draft: Draft | None = None
        self.when_ended: list[Callable[[], None]] = []
        self._notice = notice

    @property
    def notices(self) -> list[str]:
        """What a person should know of this answer."""
        return [notice for notice in (self._notice, self.read.notice) if notice]

    @property
    def job(self) -> Chat:
        """What the model is asked."""
        return Chat(id=f"{self.key}/{self.turn}", messages=self.read.turns, sampling=self.sampling)


class Answering:
    """The answers that are being written, one in a conversation.

    `later` puts what the model said behind the events that wait; it is to come back to `progress`.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        file: ConversationFile,
        audience: Audience,
        later: Callable[[Answer, Part], None],
    ) -> None:
        self._dispatcher, self._file, self._audience = dispatcher, file, audience
        self._later = later
        self._answers: dict[str, Answer] = {}  # by the conversation's key

    def refuse_second(self, key: str) -> None:
        """Raise Busy where an answer is being written in this conversation."""
        if key in self._answers:
            raise Busy(
                f"answer {self._answers[key].turn} is being written in this conversation: "
                "wait for its end, or stop it"
            )

    def draft(self, key: str) -> Draft | None:
        """Return the newest draft of the answer that is being written here, if there is one."""
        answer = self._answers.get(key)
        return None if answer is None else answer.draft

    def begin(self, answer: Answer) -> None:
        """Have an answer written that has a place on disk."""
        self._answers[answer.key] = answer

        def take(message: Response) -> None:
            assert isinstance(message, Part)
            self._later(answer, message)

        self._dispatcher.submit(SESSION, answer.job, take)

    def stop(self, key: str, when_ended: Callable[[], None]) -> None:
        """Stop what is being written in a conversation, and call back when it has ended on disk."""
        answer = self._answers.get(key)
        if answer is None:
            when_ended()
            return
        answer.when_ended.append(when_ended)
        self._dispatcher.cancel(SESSION, answer.job.id)

    def drop(self, key: str) -> None:
        """Stop what is being written in a conversation that is gone."""
        answer = self._answers.pop(key, None)
        if answer is not None:
            self._dispatcher.cancel(SESSION, answer.job.id)
            _call(answer.when_ended)

    async def progress(self, answer: Answer, message: Part) -> None:
        """Keep and tell what the model said of an answer."""
        if self._answers.get(answer.key) is not answer:  # it was dropped, or could not be kept
            return
        try:
            match message:
                case Draft():
                    answer.draft = replace(message, turn=answer.turn, block=answer.blocks)
                    self._audience.tell(answer.key, answer.draft)
                case Block():
                    await self._keep(answer, message)
                case Done():
                    await self._end(answer, "done", message.reason, usage=usage(message.timings))
                case Failed():
                    await self._fail(answer, message)
                case _:
                    assert_never(message)
        except (StorageFailed, NotFound) as exc:
            _log.error("answer %s cannot be kept: %s", answer.job.id, exc)
            self._dispatcher.cancel(SESSION, answer.job.id)
            await self._give_up(answer, exc)

    async def _keep(self, answer: Answer, block: Block) -> None:
        await self._file.do(Store.add_block, answer.key, answer.turn, answer.blocks, block.text)
        told = replace(block, turn=answer.turn, block=answer.blocks)
        answer.blocks, answer.draft = answer.blocks + 1, None
        self._audience.tell(answer.key, told)

    async def _give_up(self, answer: Answer, why: DgemmaError) -> None:
        """End an answer that could not be kept; that it ended cannot either, perhaps."""
        try:
            await self._end(answer, "failed", why.code, message=str(why))
        except (StorageFailed, NotFound):
            self._tell_end(answer, "failed", why.code, message=str(why))

    async def _fail(self, answer: Answer, failure: Failed) -> None:
        if failure.code == TooLarge.code and not answer.blocks:
            shorter = chat.shorten(answer.said, answer.read)
            if shorter is not None:
                answer.read = shorter
                self.begin(answer)
                return
        state = STATES.get(failure.code, "failed")
        message = "" if state == "stopped" else failure.message
        await self._end(answer, state, failure.code, message=message)

    async def _end(
        self,
        answer: Answer,
        state: TurnState,
        reason: str,
        *,
        message: str = "",
        usage: Usage | None = None,
    ) -> None:
        await self._file.do(
            Store.end,
            answer.key,
            answer.turn,
            state,
            reason=reason,
            message=message,
            notices=answer.notices,
            usage=usage,
        )
        about = await self._file.do(Store.summary, answer.key)
        self._tell_end(answer, state, reason, message=message, usage=usage)
        self._audience.tell(answer.key, About(id=EVERYBODY, conversation=about))

    def _tell_end(
        self,
        answer: Answer,
        state: TurnState,
        reason: str,
        *,
        message: str = "",
        usage: Usage | None = None,
    ) -> None:
        """Let go of an answer; tell all who watch, and then those who wait for its end."""
        del self._answers[answer.key]
        ended = TurnEnded(
            id=EVERYBODY,
            turn=answer.turn,
            state=state,
            reason=reason,
            message=message,
            notices=answer.notices,
            blocks=answer.blocks,
            usage=usage,
        )
        self._audience.tell(answer.key, ended)
        _call(answer.when_ended)


def usage(timings: Timings) -> Usage:
    """Return what an answer took, with its rates."""
    seconds = (timings.total_ms - timings.queue_ms) / 1000
    return Usage(
        prompt_tokens=timings.prompt_tokens,
        tokens=timings.tokens,
        steps=timings.steps,
        queue_ms=timings.queue_ms,
        total_ms=timings.total_ms,
        tokens_per_s=timings.tokens / seconds if seconds > 0 else 0.0,
        tokens_per_step=timings.tokens / timings.steps if timings.steps else 0.0,
    )


def _call(functions: Sequence[Callable[[], None]]) -> None:
    for function in functions:
        function()
