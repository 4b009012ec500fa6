"""For tests of kept conversations: a client that keeps what it is told as PROTOCOL.md says."""

from dataclasses import dataclass, field
from typing import Any

from live_daemon import Client
from msgspec.structs import replace

from dgemma_lsp import wire
from dgemma_lsp.wire import Block, Done, Draft, Failed
from dgemma_lsp.wire_chat import (
    About,
    CaughtUp,
    ChatRequest,
    KeptTurn,
    NewConversation,
    SendTurn,
    Summary,
    Taken,
    TurnEnded,
    TurnTold,
    WatchConversation,
)


@dataclass
class Copy:
    """What a client has of a conversation."""

    about: Summary | None = None
    turns: dict[int, KeptTurn] = field(default_factory=dict)
    draft: Draft | None = None
    repeated: list[Block] = field(default_factory=list)
    caught_up: bool = False

    def take(self, message: wire.Response) -> None:
        match message:
            case About(conversation=about):
                self.about = about
            case TurnTold(turn=turn):
                self.turns[turn.turn] = turn
            case Draft():
                self.draft = message
            case Block(turn=number, block=block, text=text):
                turn = self.turns[number]
                if block == turn.blocks:
                    self.turns[number] = replace(turn, text=turn.text + text, blocks=block + 1)
                else:
                    self.repeated.append(message)
                self.draft = None
            case TurnEnded(turn=number):
                ended = {name: getattr(message, name) for name in ENDED}
                self.turns[number] = replace(self.turns[number], **ended)
                self.draft = None
            case CaughtUp():
                self.caught_up = True

    @property
    def path(self) -> list[KeptTurn]:
        assert self.about is not None
        path: list[KeptTurn] = []
        number = self.about.head
        while number:
            path.append(self.turns[number])
            number = path[-1].parent
        return path[::-1]

    @property
    def texts(self) -> list[str]:
        return [turn.text for turn in self.path]

    @property
    def last(self) -> int:
        return max(self.turns, default=0)


ENDED = ("state", "reason", "message", "notices", "blocks", "usage")


class Conversing:
    """One client with its copy of one conversation."""

    def __init__(self, client: Client, key: str, copy: Copy | None = None) -> None:
        self.client, self.key = client, key
        self.copy = copy or Copy()
        self.answers: dict[str, list[wire.Response]] = {}
        self._numbers = 0

    async def watch(self, **options: Any) -> None:
        """Watch from where the copy ends, until it has caught up."""
        last = self.copy.last
        blocks = self.copy.turns[last].blocks if last else 0
        self.copy.caught_up = False
        await self.client.send(
            WatchConversation(
                id="watch",
                conversation=self.key,
                after_turn=last,
                after_block=blocks,
                **options,
            )
        )
        while not self.copy.caught_up:
            await self.receive()

    async def receive(self) -> wire.Response:
        message = await self.client.receive()
        if message.id == "watch":
            self.copy.take(message)
        self.answers.setdefault(message.id, []).append(message)
        return message

    async def ask(self, kind: type[ChatRequest], **values: Any) -> list[wire.Response]:
        """Send a request about this conversation and return its answers, once it has ended."""
        self._numbers += 1
        id = f"{self._numbers}"
        await self.client.send(kind(id=id, conversation=self.key, **values))
        while not isinstance((await self.receive()), Done | Failed) or not self.ended(id):
            pass
        return self.answers[id]

    def ended(self, id: str) -> bool:
        return isinstance(self.answers.get(id, [None])[-1], Done | Failed)

    async def until_answered(self) -> KeptTurn:
        """Receive until nothing is being written any more; return the last turn of the path."""
        while self.copy.about is None or self.copy.about.writing:
            await self.receive()
        return self.copy.path[-1]

    async def say(self, text: str, **values: Any) -> KeptTurn:
        """Send a question and return its answer when it has ended."""
        taken, done = await self.ask(SendTurn, text=text, **values)
        assert isinstance(taken, Taken), done
        await self.until_answered()
        return self.copy.turns[taken.answer]


async def begun(client: Client, **values: Any) -> Conversing:
    """A new conversation that is watched."""
    about, done = await client.ask(NewConversation(id="new", **values))
    assert isinstance(about, About), done
    conversing = Conversing(client, about.conversation.conversation)
    await conversing.watch()
    return conversing
