"""Requests about kept conversations, between the sessions and the disk: one after the other.

What sessions ask and what the model answers waits in one queue, and a single task takes it in
turn. What is told has been kept before, so that whoever was told something finds it after a kill.

What may be said is `chat_text`'s, the file `chat_store`'s, an answer under way `answering`'s.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import assert_never

from msgspec.structs import replace

from dgemma_lsp import chat, chat_export, chat_text
from dgemma_lsp.answering import Answer, Answering, Part
from dgemma_lsp.audience import EVERYBODY, Audience, Watcher, Where
from dgemma_lsp.chat_file import ConversationFile
from dgemma_lsp.chat_store import ConversationStore as Store
from dgemma_lsp.config import Config
from dgemma_lsp.dispatcher import Dispatcher
from dgemma_lsp.errors import Cancelled, DaemonStopping, DgemmaError, InvalidRequest, TooLarge
from dgemma_lsp.wire import Block, Done, Failed, Reason, Response, Turn, failed
from dgemma_lsp.wire_chat import (
    About,
    Attachment,
    BranchConversation,
    CaughtUp,
    ChangeConversation,
    ChatRequest,
    ChooseTurn,
    Conversations,
    DeleteConversation,
    EditTurn,
    ExportConversation,
    Exported,
    KeptTurn,
    ListConversations,
    NewConversation,
    ReadTurns,
    Regenerate,
    SendTurn,
    StopAnswer,
    Taken,
    TurnEnded,
    TurnTold,
    WatchConversation,
)
from dgemma_lsp.wire_types import Sampling

EXPORT_BYTES = 8_000_000  # half of what may wait for a client that does not read
CHOSEN_TURNS = 200  # told of a path that was chosen; `read_turns` has the rest

Send = Callable[[Response], None]


class ConversationHub:
    """All kept conversations of this daemon. `run` is to be run once, until `finish`."""

    def __init__(self, config: Config, path: Path, dispatcher: Dispatcher) -> None:
        self._options = config.chat
        self._dispatcher = dispatcher
        self._file = ConversationFile(path)
        self._audience = Audience()
        self._answering = Answering(dispatcher, self._file, self._audience, self._later)
        self._events: asyncio.Queue[Callable[[], Awaitable[None]] | None] = asyncio.Queue()
        self._open: dict[Where, Send] = {}  # requests that have not ended
        self._current: Where | None = None  # the one that is being carried out
        self._over = False

    async def run(self) -> None:
        """Do what waits, one after the other, until all is done that came before `finish`."""
        try:
            while (event := await self._events.get()) is not None:
                await event()
        finally:
            self._over = True
            error = DaemonStopping("the daemon goes down")
            for where in list(self._open):
                self._end(where, failed(where[1], error))
            await self._file.close()

    def finish(self) -> None:
        """Let `run` come to its end."""
        self._events.put_nowait(None)

    # From the sessions

    def take(self, session: int, message: ChatRequest, send: Send) -> None:
        """Take a request in; `send` gets its answers. Raises DaemonStopping."""
        if self._over:
            raise DaemonStopping("the daemon goes down")
        where = (session, message.id)
        self._open[where] = send
        self._events.put_nowait(partial(self._handle, where, message))

    def holds(self, session: int, id: str) -> bool:
        """Tell whether a request of this id has not ended."""
        return (session, id) in self._open

    def cancel(self, session: int, id: str) -> None:
        """End a watch, or a request that nothing has been done for yet."""
        where = (session, id)
        if where != self._current:
            self._audience.remove(where)
            self._end(where, failed(id, Cancelled("the client took this request back")))

    def disconnected(self, session: int) -> None:
        """Tell a session nothing any more; what it asked for is done all the same."""
        for where in self._audience.of_session(session):
            self._audience.remove(where)
            del self._open[where]

    async def _handle(self, where: Where, message: ChatRequest) -> None:
        if where not in self._open:
            return
        self._current = where
        try:
            reason = await self._carry_out(where, message, self._open[where])
            if reason is not None:
                self._end(where, Done(id=message.id, reason=reason))
        except DgemmaError as exc:
            self._end(where, failed(message.id, exc))
        finally:
            self._current = None

    def _end(self, where: Where, message: Done | Failed) -> None:
        """End a request, unless it has ended: the only place that does."""
        send = self._open.pop(where, None)
        if send is not None:
            send(message)

    async def _carry_out(self, where: Where, message: ChatRequest, send: Send) -> Reason | None:
        """Do what is asked; return how the request ended, None where it goes on."""
        match message:
            case ListConversations():
                return await self._list(message, send)
            case NewConversation():
                return await self._create(message, send)
            case WatchConversation():
                return await self._watch(where, message, send)
            case ReadTurns():
                return await self._read(message, send)
            case ChangeConversation():
                return await self._change(message, send)
            case DeleteConversation():
                return await self._delete(message)
            case BranchConversation():
                return await self._branch(message, send)
            case ExportConversation():
                return await self._export(message, send)
            case SendTurn():
                return await self._say(message, send)
            case EditTurn():
                return await self._edit(message, send)
            case Regenerate():
                return await self._regenerate(message, send)
            case ChooseTurn():
                return await self._choose(message, send)
            case StopAnswer():
                self._stop(where, message)
                return None
            case _:
                assert_never(message)

    # Conversations

    async def _list(self, message: ListConversations, send: Send) -> Reason:
        found = await self._file.do(Store.newest, message.skip, message.limit + 1)
        shown = found[: message.limit]
        send(Conversations(id=message.id, conversations=shown, more=len(found) > len(shown)))
        return "reported"

    async def _create(self, message: NewConversation, send: Send) -> Reason:
        chat_text.check_system(message.system or "")
        title = chat_text.one_line(message.title)
        made = await self._file.do(Store.create, title, message.system or None)
        send(About(id=message.id, conversation=made))
        return "kept"

    async def _watch(self, where: Where, message: WatchConversation, send: Send) -> Reason | None:
        key, id = message.conversation, message.id
        about = await self._file.do(Store.summary, key)
        send(About(id=id, conversation=about))
        if message.after_turn:
            await self._tell_rest(message, send)
        path = await self._file.do(
            Store.path, key, about.head, message.limit, after=message.after_turn
        )
        for turn in path:
            send(TurnTold(id=id, turn=turn))
        send(CaughtUp(id=id))
        if not message.follow:
            return "reported"
        self._audience.add(where, Watcher(id, key, message.drafts, send))
        draft = self._answering.draft(key)
        if message.drafts and draft is not None:
            send(replace(draft, id=id))
        return None

    async def _tell_rest(self, message: WatchConversation, send: Send) -> None:
        """Tell what a client lacks of the last turn that it has."""
        key, id = message.conversation, message.id
        turn = await self._file.do(Store.turn, key, message.after_turn)
        if turn.role == "user":
            return
        texts = await self._file.do(Store.blocks, key, turn.turn, message.after_block)
        for number, text in enumerate(texts, message.after_block):
            send(Block(id=id, turn=turn.turn, block=number, text=text))
        if turn.state != "writing":
            send(ended(turn, id))

    async def _read(self, message: ReadTurns, send: Send) -> Reason:
        path = await self._file.do(Store.path, message.conversation, message.turn, message.limit)
        for turn in path:
            send(TurnTold(id=message.id, turn=turn))
        return "reported"

    async def _change(self, message: ChangeConversation, send: Send) -> Reason:
        values: dict[str, str | None] = {}
        if message.title is not None:
            values["title"] = chat_text.one_line(message.title)
        if message.system is not None:
            chat_text.check_system(message.system)
            values["system"] = message.system or None
        about = await self._file.do(Store.change, message.conversation, values)
        self._audience.tell(message.conversation, About(id=EVERYBODY, conversation=about))
        send(About(id=message.id, conversation=about))
        return "kept"

    async def _delete(self, message: DeleteConversation) -> Reason:
        key = message.conversation
        await self._file.do(Store.delete, key)
        self._answering.drop(key)
        for where in self._audience.of_conversation(key):
            self._audience.remove(where)
            self._end(where, Done(id=where[1], reason="deleted"))
        return "kept"

    async def _branch(self, message: BranchConversation, send: Send) -> Reason:
        self._answering.refuse_second(message.conversation)
        title = chat_text.one_line(message.title)
        made = await self._file.do(Store.branch, message.conversation, message.turn, title)
        send(About(id=message.id, conversation=made))
        return "kept"

    async def _export(self, message: ExportConversation, send: Send) -> Reason:
        key = message.conversation
        about = await self._file.do(Store.summary, key)
        if message.format == "markdown":
            path = await self._file.do(Store.whole_path, key, about.head)
            text = await self._file.work(lambda: chat_export.markdown(about, path))
        else:
            turns = await self._file.do(Store.all_turns, key)
            text = await self._file.work(lambda: chat_export.as_json(about, turns))
        if (size := len(text.encode())) > EXPORT_BYTES:
            raise TooLarge(
                f"the conversation has {size} bytes as {message.format}: at most {EXPORT_BYTES} "
                "are exported at once; read it with read_turns"
            )
        for piece in chat_export.pieces(text):
            send(Exported(id=message.id, text=piece))
        return "reported"

    async def _choose(self, message: ChooseTurn, send: Send) -> Reason:
        key = message.conversation
        self._answering.refuse_second(key)
        before = await self._file.do(Store.summary, key)
        old = await self._file.do(Store.path, key, before.head, CHOSEN_TURNS)
        about = await self._file.do(Store.choose, key, message.turn)
        self._audience.tell(key, About(id=EVERYBODY, conversation=about))
        known = {turn.turn for turn in old}
        for turn in await self._file.do(Store.path, key, about.head, CHOSEN_TURNS):
            if turn.turn not in known:
                self._audience.tell(key, TurnTold(id=EVERYBODY, turn=turn))
        send(About(id=message.id, conversation=about))
        return "kept"

    # Questions and answers

    async def _say(self, message: SendTurn, send: Send) -> Reason:
        chat_text.check_question(message.text, message.attachments)
        if not await self._came_before(message, send):
            about = await self._file.do(Store.summary, message.conversation)
            await self._ask(message, about.head, message.attachments, send)
        return "kept"

    async def _edit(self, message: EditTurn, send: Send) -> Reason:
        if await self._came_before(message, send):
            return "kept"
        old = await self._file.do(Store.turn, message.conversation, message.turn)
        if old.role != "user":
            raise InvalidRequest(f"turn {old.turn} is an answer: only questions are edited")
        files = old.attachments if message.attachments is None else message.attachments
        chat_text.check_question(message.text, files)
        await self._ask(message, old.parent, files, send)
        return "kept"

    async def _ask(
        self, message: SendTurn | EditTurn, parent: int, files: Sequence[Attachment], send: Send
    ) -> None:
        """Keep a question behind `parent`, tell of it, and have it answered."""
        key, text = message.conversation, message.text
        self._answering.refuse_second(key)
        path = await self._file.do(Store.whole_path, key, parent)
        question = Turn(role="user", content=chat_text.content(text, files))
        answer = await self._prepare(key, [*chat_text.spoken(path), question], message.sampling)
        number, answer.turn = await self._file.do(
            Store.ask,
            key,
            parent,
            text,
            files,
            title=chat_text.title_of(text),
            model=self._dispatcher.model_name,
            notices=answer.notices,
            once=message.once,
        )
        await self._tell_turns(key, number, answer.turn)
        send(Taken(id=message.id, conversation=key, question=number, answer=answer.turn))
        self._answering.begin(answer)

    async def _regenerate(self, message: Regenerate, send: Send) -> Reason:
        key = message.conversation
        if await self._came_before(message, send):
            return "kept"
        self._answering.refuse_second(key)
        old = await self._answer_meant(message)
        path = await self._file.do(Store.whole_path, key, old.parent)
        sampling = message.sampling
        if sampling.seed is None:  # the one of the first answer would give the same answer
            sampling = replace(sampling, seed=len(old.siblings))
        answer = await self._prepare(key, chat_text.spoken(path), sampling)
        answer.turn = await self._file.do(
            Store.ask_again,
            key,
            old.parent,
            model=self._dispatcher.model_name,
            notices=answer.notices,
            once=message.once,
        )
        await self._tell_turns(key, answer.turn)
        send(Taken(id=message.id, conversation=key, question=old.parent, answer=answer.turn))
        self._answering.begin(answer)
        return "kept"

    async def _answer_meant(self, message: Regenerate) -> KeptTurn:
        """Return the answer that another one is wanted for; raises InvalidRequest."""
        about = await self._file.do(Store.summary, message.conversation)
        turn = message.turn or about.head
        if not turn:
            raise InvalidRequest("there is no answer yet that could be made anew")
        old = await self._file.do(Store.turn, message.conversation, turn)
        if old.role != "assistant":
            raise InvalidRequest(f"turn {turn} is a question: only answers are made anew")
        return old

    async def _came_before(self, message: SendTurn | EditTurn | Regenerate, send: Send) -> bool:
        """Answer a request that was taken already, as its `once` tells."""
        key = message.conversation
        numbers = await self._file.do(Store.taken, key, message.once)
        if numbers is None:
            return False
        question, answer = numbers
        send(Taken(id=message.id, conversation=key, question=question, answer=answer))
        return True

    async def _prepare(self, key: str, said: Sequence[Turn], sampling: Sampling) -> Answer:
        """Return an answer to what was said, which has no place on disk yet."""
        about = await self._file.do(Store.summary, key)
        read = chat.prepare(
            said,
            system=self._options.system if about.system is None else about.system,
            history_chars=self._options.history_chars,
        )
        answered = await self._file.do(Store.models, key)
        notice = chat.model_notice(self._dispatcher.model_name, answered)
        return Answer(key, 0, said=said, read=read, notice=notice, sampling=sampling)

    async def _tell_turns(self, key: str, *numbers: int) -> None:
        """Tell of turns that are new, and first of the conversation."""
        about = await self._file.do(Store.summary, key)
        self._audience.tell(key, About(id=EVERYBODY, conversation=about))
        for number in numbers:
            turn = await self._file.do(Store.turn, key, number)
            self._audience.tell(key, TurnTold(id=EVERYBODY, turn=turn))

    def _stop(self, where: Where, message: StopAnswer) -> None:
        done = Done(id=message.id, reason="kept")
        self._answering.stop(message.conversation, lambda: self._end(where, done))

    # From the model

    def _later(self, answer: Answer, part: Part) -> None:
        self._events.put_nowait(partial(self._answering.progress, answer, part))


def ended(turn: KeptTurn, id: str) -> TurnEnded:
    """Return how an answer ended."""
    return TurnEnded(
        id=id,
        turn=turn.turn,
        state=turn.state,
        reason=turn.reason,
        message=turn.message,
        notices=turn.notices,
        blocks=turn.blocks,
        usage=turn.usage,
    )
