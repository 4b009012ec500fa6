"""What a client has of a conversation, kept as web/PROTOCOL.md says. Pure: it sends nothing."""

from dataclasses import dataclass, field

from msgspec.structs import replace

from dgemma_lsp.wire import Block, Draft, Response
from dgemma_lsp.wire_chat import About, KeptTurn, Summary, TurnEnded, TurnTold


@dataclass
class ConversationCopy:
    """The turns that a client was told of the conversation `key`, and how it is."""

    key: str
    about: Summary | None = None
    turns: dict[int, KeptTurn] = field(default_factory=dict)

    @property
    def path(self) -> list[KeptTurn]:
        """The turns that are shown, the oldest first, as far back as the client has them."""
        path: list[KeptTurn] = []
        number = self.about.head if self.about else 0
        while number in self.turns:
            path.append(self.turns[number])
            number = path[-1].parent
        return path[::-1]

    @property
    def seen(self) -> tuple[int, int]:
        """The last turn that the client has, and how many of its blocks; zeros for none."""
        last = max(self.turns, default=0)
        return (last, self.turns[last].blocks) if last else (0, 0)

    def take(self, message: Response) -> bool:
        """Take what was told; False where it is nothing new, or about nothing that is here."""
        match message:
            case About(conversation=about):
                self.about = about
            case TurnTold(turn=turn):
                self.turns[turn.turn] = turn
            case Block(turn=number, block=block, text=text):
                if number not in self.turns or block != self.turns[number].blocks:
                    return False
                turn = self.turns[number]
                self.turns[number] = replace(turn, text=turn.text + text, blocks=block + 1)
            case TurnEnded(turn=number) if number in self.turns:
                self.turns[number] = replace(
                    self.turns[number],
                    state=message.state,
                    reason=message.reason,
                    message=message.message,
                    notices=message.notices,
                    usage=message.usage,
                )
            case Draft(turn=number):
                return number in self.turns
            case _:
                return False
        return True
