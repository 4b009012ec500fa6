"""Who watches which conversation. Pure: it hands messages on, and keeps none."""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from dgemma_lsp.wire import Block, Draft, Response
from dgemma_lsp.wire_chat import About, TurnEnded, TurnTold

Where = tuple[int, str]  # a session's number, and what it calls the request
Told = About | TurnTold | TurnEnded | Draft | Block

EVERYBODY = "-"  # stands in a message for the ids of those who watch


class Watcher(Struct, frozen=True):
    """A request of a session to be told what comes to a conversation."""

    id: str
    conversation: str
    drafts: bool
    send: Callable[[Response], None]


class Audience:
    """Those who watch, each by its own request."""

    def __init__(self) -> None:
        self._watchers: dict[Where, Watcher] = {}

    def __len__(self) -> int:
        return len(self._watchers)

    def add(self, where: Where, watcher: Watcher) -> None:
        """Tell this one too from now on."""
        self._watchers[where] = watcher

    def remove(self, where: Where) -> None:
        """Tell this one nothing any more, if it was told anything."""
        self._watchers.pop(where, None)

    def of_session(self, session: int) -> list[Where]:
        """Return the watches of a session."""
        return [where for where in self._watchers if where[0] == session]

    def of_conversation(self, key: str) -> list[Where]:
        """Return the watches of a conversation."""
        return [where for where, watcher in self._watchers.items() if watcher.conversation == key]

    def tell(self, key: str, message: Told) -> None:
        """Send a message to all who watch a conversation, each under its own id."""
        for where in self.of_conversation(key):
            watcher = self._watchers[where]
            if watcher.drafts or not isinstance(message, Draft):
                watcher.send(replace(message, id=watcher.id))
