"""What a person says: what may be said, and as what the model reads it. Pure.

Which of the turns it reads is `chat`'s.
"""

import re
from collections.abc import Sequence

from dgemma_lsp.errors import InvalidRequest, TooLarge
from dgemma_lsp.wire import Turn
from dgemma_lsp.wire_chat import Attachment, KeptTurn

MAX_QUESTION_BYTES = 1_500_000
MAX_SYSTEM_BYTES = 100_000
TITLE_CHARS = 60

# Text has tabs, line ends, form feeds and, in logs, escapes; what is pasted out of a binary file
# has the others.
_BINARY = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


def check_question(text: str, attachments: Sequence[Attachment]) -> None:
    """Raise InvalidRequest or TooLarge for what cannot be asked, in a line that says why."""
    if not text.strip():
        raise InvalidRequest("the message is empty: ask something")
    _check_text("the message", text)
    for attachment in attachments:
        _check_text(f"the attachment {attachment.name!r}", attachment.text)
    size = sum(len(part.encode()) for part in [text, *(file.text for file in attachments)])
    if size > MAX_QUESTION_BYTES:
        what = "the message" if not attachments else "the message with its attachments"
        raise TooLarge(
            f"{what} has {size} bytes: the limit is {MAX_QUESTION_BYTES}; send a part of it"
        )


def check_system(text: str) -> None:
    """Raise InvalidRequest or TooLarge for what can be no system prompt."""
    _check_text("the system prompt", text)
    if (size := len(text.encode())) > MAX_SYSTEM_BYTES:
        raise TooLarge(f"the system prompt has {size} bytes: the limit is {MAX_SYSTEM_BYTES}")


def _check_text(what: str, text: str) -> None:
    if found := _BINARY.search(text):
        raise InvalidRequest(
            f"{what} is no text: character {found.start() + 1} is U+{ord(found[0]):04X}"
        )


def one_line(title: str) -> str:
    """Return a title without line ends and other space that nobody would see."""
    return " ".join(title.split())


def title_of(question: str) -> str:
    """Return a conversation's title: the beginning of its first question, cut between words."""
    line = one_line(next(line for line in question.splitlines() if line.strip())[:1000])
    if len(line) <= TITLE_CHARS:
        return line
    head, _, _ = line[: TITLE_CHARS + 1].rpartition(" ")
    return f"{head if len(head) > TITLE_CHARS // 2 else line[:TITLE_CHARS]} ..."


def content(text: str, attachments: Sequence[Attachment]) -> str:
    """Return a question as the model reads it: what is attached, each in a fence, then the text."""
    return "\n\n".join([*(_fenced(attachment) for attachment in attachments), text])


def spoken(path: Sequence[KeptTurn]) -> list[Turn]:
    """Return the turns of a path that the model may read.

    A question that got no text is left out with its answer, which would be an empty turn.
    """
    unanswered = {
        turn.parent for turn in path if turn.role == "assistant" and not turn.text.strip()
    }
    return [
        Turn(role=turn.role, content=content(turn.text, turn.attachments))
        for turn in path
        if turn.turn not in unanswered and turn.parent not in unanswered
    ]


def fence(text: str) -> str:
    """Return a fence that nothing in the text ends."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)


def place(attachment: Attachment) -> str:
    """Return a file's name and, of a selection, its lines."""
    if not attachment.first_line:
        return attachment.name
    lines = len(attachment.text.splitlines())
    if lines <= 1:
        return f"{attachment.name}, line {attachment.first_line}"
    last = attachment.first_line + lines - 1
    return f"{attachment.name}, lines {attachment.first_line} to {last}"


def _fenced(attachment: Attachment) -> str:
    mark = fence(attachment.text)
    text = attachment.text.removesuffix("\n")
    return f"{place(attachment)}:\n{mark}{attachment.language}\n{text}\n{mark}"
