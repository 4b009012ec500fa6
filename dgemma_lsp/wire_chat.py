"""The messages of conversations that the daemon keeps; how they follow each other is PROTOCOL.md.

`dgemma_lsp/web/PROTOCOL.md` is what a client is written by; a test compares it with these types.
They are members of the unions in `wire`, whose evolution rule holds for them. Here is no policy.

A turn is kept for ever as it ended: another answer or another wording is a turn of its own beside
it, with the same parent. The path from a conversation's `head` back by `parent` is what is shown
and what the model reads.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from dgemma_lsp.wire_types import Id, Sampling

Key = Annotated[str, Meta(min_length=1, max_length=64)]
Title = Annotated[str, Meta(max_length=200)]
Number = Annotated[int, Meta(ge=1, le=2**53)]
TurnRole = Literal["user", "assistant"]
TurnState = Literal["writing", "done", "stopped", "failed", "interrupted"]
Format = Literal["markdown", "json"]


class Attachment(Struct, frozen=True, kw_only=True):
    """A file, or a selection of it that begins at line `first_line`, read before the question."""

    name: Annotated[str, Meta(min_length=1, max_length=1000)]
    text: str
    language: Annotated[str, Meta(max_length=100)] = ""
    first_line: Annotated[int, Meta(ge=0, le=2**53)] = 0


class Usage(Struct, frozen=True, kw_only=True):
    """What a finished answer took."""

    prompt_tokens: int = 0
    tokens: int = 0
    steps: int = 0
    queue_ms: float = 0.0
    total_ms: float = 0.0
    tokens_per_s: float = 0.0
    tokens_per_step: float = 0.0


class KeptTurn(Struct, frozen=True, kw_only=True):
    """One turn as it stands on disk; `text` joins the first `blocks` blocks of an answer."""

    turn: int
    role: TurnRole
    text: str
    parent: int = 0
    created: float = 0.0
    attachments: list[Attachment] = []
    siblings: list[int] = []
    state: TurnState = "done"
    reason: str = ""
    message: str = ""
    notices: list[str] = []
    blocks: int = 0
    model: str = ""
    usage: Usage | None = None


class Summary(Struct, frozen=True, kw_only=True):
    """A conversation without its turns; `writing` is the answer under way, 0 where there is none.

    `system` None stands for `chat.system` of the configuration.
    """

    conversation: str
    title: str
    system: str | None
    head: int
    turns: int
    created: float
    updated: float
    writing: int = 0


# Requests


class ListConversations(Struct, frozen=True, kw_only=True, tag="list_conversations"):
    """Ask for the conversations, those changed last first."""

    id: Id
    skip: Annotated[int, Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class NewConversation(Struct, frozen=True, kw_only=True, tag="new_conversation"):
    """Make an empty conversation."""

    id: Id
    title: Title = ""
    system: str | None = None


class WatchConversation(Struct, frozen=True, kw_only=True, tag="watch_conversation"):
    """Ask for what stands in a conversation and, with `follow`, for all that comes to it.

    Whoever has turns already names the last of them and how many of its blocks it has.
    """

    id: Id
    conversation: Key
    after_turn: Annotated[int, Meta(ge=0, le=2**53)] = 0
    after_block: Annotated[int, Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200
    follow: bool = True
    drafts: bool = True


class ReadTurns(Struct, frozen=True, kw_only=True, tag="read_turns"):
    """Ask for a turn and for what stands before it on its path, `limit` turns at most."""

    id: Id
    conversation: Key
    turn: Number
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class ChangeConversation(Struct, frozen=True, kw_only=True, tag="change_conversation"):
    """Give a conversation another title or system prompt; what is left out stays.

    An empty system prompt gives back that of the configuration.
    """

    id: Id
    conversation: Key
    title: Title | None = None
    system: str | None = None


class DeleteConversation(Struct, frozen=True, kw_only=True, tag="delete_conversation"):
    """Remove a conversation for good."""

    id: Id
    conversation: Key


class BranchConversation(Struct, frozen=True, kw_only=True, tag="branch_conversation"):
    """Make a new conversation of the path that ends at `turn`."""

    id: Id
    conversation: Key
    turn: Number
    title: Title = ""


class ExportConversation(Struct, frozen=True, kw_only=True, tag="export_conversation"):
    """Ask for a whole conversation as a text: the path as Markdown, or every turn as JSON."""

    id: Id
    conversation: Key
    format: Format = "markdown"


class SendTurn(Struct, frozen=True, kw_only=True, tag="send_turn"):
    """Say something behind the head, and have it answered.

    The same `once` in the same conversation is taken once, however often it comes.
    """

    id: Id
    conversation: Key
    text: str
    attachments: Annotated[list[Attachment], Meta(max_length=100)] = []
    once: Annotated[str, Meta(max_length=200)] = ""
    sampling: Sampling = Sampling()


class EditTurn(Struct, frozen=True, kw_only=True, tag="edit_turn"):
    """Say something else in the place of the user's `turn`, and have it answered.

    Attachments that are left out are those of the turn that was there.
    """

    id: Id
    conversation: Key
    turn: Number
    text: str
    attachments: Annotated[list[Attachment], Meta(max_length=100)] | None = None
    once: Annotated[str, Meta(max_length=200)] = ""
    sampling: Sampling = Sampling()


class Regenerate(Struct, frozen=True, kw_only=True, tag="regenerate"):
    """Have the question of the answer `turn` answered once more; 0: of the last answer."""

    id: Id
    conversation: Key
    turn: Annotated[int, Meta(ge=0, le=2**53)] = 0
    once: Annotated[str, Meta(max_length=200)] = ""
    sampling: Sampling = Sampling()


class ChooseTurn(Struct, frozen=True, kw_only=True, tag="choose_turn"):
    """Make the newest path through `turn` the one that is shown."""

    id: Id
    conversation: Key
    turn: Number


class StopAnswer(Struct, frozen=True, kw_only=True, tag="stop_answer"):
    """End the answer that is being written; what of it is final stays."""

    id: Id
    conversation: Key


# Responses


class Conversations(Struct, frozen=True, kw_only=True, tag="conversations"):
    """A part of the list; `more` tells that others follow."""

    id: Id
    conversations: list[Summary]
    more: bool = False


class About(Struct, frozen=True, kw_only=True, tag="conversation"):
    """How a conversation is now."""

    id: Id
    conversation: Summary


class Taken(Struct, frozen=True, kw_only=True, tag="taken"):
    """The question and the answer to come are on disk, as turns with these numbers."""

    id: Id
    conversation: str
    question: int
    answer: int


class TurnTold(Struct, frozen=True, kw_only=True, tag="turn"):
    """A turn, new or in the place of what was told of it before."""

    id: Id
    turn: KeptTurn


class TurnEnded(Struct, frozen=True, kw_only=True, tag="turn_ended"):
    """An answer will not grow any more; its text stays as its blocks made it."""

    id: Id
    turn: int
    state: TurnState
    reason: str = ""
    message: str = ""
    notices: list[str] = []
    blocks: int = 0
    usage: Usage | None = None


class CaughtUp(Struct, frozen=True, kw_only=True, tag="caught_up"):
    """All that was asked for has been told; from now on things are told as they happen."""

    id: Id


class Exported(Struct, frozen=True, kw_only=True, tag="exported"):
    """The next piece of an exported text."""

    id: Id
    text: str


ChatRequest = (
    ListConversations
    | NewConversation
    | WatchConversation
    | ReadTurns
    | ChangeConversation
    | DeleteConversation
    | BranchConversation
    | ExportConversation
    | SendTurn
    | EditTurn
    | Regenerate
    | ChooseTurn
    | StopAnswer
)
ChatResponse = Conversations | About | Taken | TurnTold | TurnEnded | CaughtUp | Exported
