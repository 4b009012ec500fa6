"""The rules of a conversation: what may be asked, and what of it the model reads. Pure.

No socket, no log, no model: the daemon calls `prepare`, and tells or logs the notice.
"""

from collections.abc import Collection, Sequence

from msgspec import Struct

from dgemma_lsp.checkpoints import NANO
from dgemma_lsp.errors import InvalidRequest
from dgemma_lsp.wire import Turn

NANO_NOTE = (
    "nano is a small code model; it does not converse. "
    "For chat use --model google/diffusiongemma-26B-A4B-it"
)


class Conversation(Struct, frozen=True):
    """The turns for the model; `notice` tells what was cut, and is empty where nothing was."""

    turns: list[Turn]
    notice: str = ""


def prepare(turns: Sequence[Turn], *, system: str, history_chars: int) -> Conversation:
    """Check the turns, put `system` first where none was sent, and cut the oldest turns.

    The cut keeps the system turn and the last turn whatever their length, and as many of the turns
    before the last as keep the whole within `history_chars` characters; what is kept begins with
    the user. Raises InvalidRequest, naming the turn, for turns that make no conversation.
    """
    _check(turns)
    head = [turn for turn in turns[:1] if turn.role == "system"]
    rest = turns[len(head) :]
    if not head and system.strip():
        head = [Turn(role="system", content=system)]
    start = _first_kept(rest, history_chars - sum(len(turn.content) for turn in head))
    notice = ""
    if start:
        cut = sum(len(turn.content) for turn in rest[:start])
        notice = (
            f"the oldest {start} of {len(rest)} turns were cut ({cut} characters) to keep the "
            f"conversation within chat.history_chars = {history_chars}"
        )
    return Conversation([*head, *rest[start:]], notice)


def shorten(turns: Sequence[Turn], kept: Conversation) -> Conversation | None:
    """Cut about half of what was kept of the turns, for a model that does not hold it.

    None where the last turn alone is left.
    """
    head = [turn for turn in kept.turns[:1] if turn.role == "system"]
    rest = kept.turns[len(head) :]
    if len(rest) == 1:
        return None
    half = sum(len(turn.content) for turn in rest) // 2
    start = max(_first_kept(rest, half), 1)
    while rest[start].role != "user":
        start += 1
    total = sum(turn.role != "system" for turn in turns)
    cut = total - len(rest) + start
    notice = f"the oldest {cut} of {total} turns were cut: the model holds no more"
    return Conversation([*head, *rest[start:]], notice)


def model_notice(model: str, answered: Collection[str]) -> str:
    """Return what a person should know of a model that has not answered here before, or nothing."""
    return NANO_NOTE if model == NANO and model not in answered else ""


def _check(turns: Sequence[Turn]) -> None:
    for number, turn in enumerate(turns):
        if not turn.content.strip():
            raise InvalidRequest(f"messages[{number}]: the {turn.role}'s content is empty")
        if turn.role == "system" and number > 0:
            raise InvalidRequest(f"messages[{number}]: a system turn can only be the first")
    if not turns or turns[-1].role != "user":
        last = f"the {turns[-1].role}'s" if turns else "missing"
        raise InvalidRequest(f"messages: the last turn must be the user's; it is {last}")


def _first_kept(turns: Sequence[Turn], budget: int) -> int:
    """Return the index of the oldest turn that is kept."""
    start = len(turns) - 1
    used = len(turns[-1].content)
    while start > 0 and used + len(turns[start - 1].content) <= budget:
        start -= 1
        used += len(turns[start].content)
    # A conversation that was cut must not begin with an answer to a question that is gone.
    while start > 0 and turns[start].role != "user":
        start += 1
    return start
