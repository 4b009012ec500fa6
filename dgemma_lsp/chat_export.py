"""A conversation as a text to keep elsewhere: Markdown for people, JSON for programs. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from dgemma_lsp.chat_text import fence, place
from dgemma_lsp.wire_chat import KeptTurn, Summary

VERSION = 1
PIECE_CHARS = 500_000  # whatever is escaped in it, a frame holds it


def markdown(about: Summary, path: Sequence[KeptTurn]) -> str:
    """Return the path as Markdown; what was said stands as it was said."""
    parts = [f"# {about.title or 'Conversation'}"]
    if about.system:
        parts += ["## System", about.system]
    for turn in path:
        parts.append(f"## {'You' if turn.role == 'user' else turn.model or 'Answer'}")
        parts += [f"> {notice}" for notice in turn.notices]
        for file in turn.attachments:
            mark = fence(file.text)
            text = file.text.removesuffix("\n")
            parts.append(f"{place(file)}:\n\n{mark}{file.language}\n{text}\n{mark}")
        parts.append(turn.text.strip("\n"))
        if turn.state != "done":
            parts.append(f"*({turn.state}{': ' + turn.message if turn.message else ''})*")
    return "\n\n".join(part for part in parts if part) + "\n"


def as_json(about: Summary, turns: Sequence[KeptTurn]) -> str:
    """Return every turn of all paths, with what is known of it, as one JSON object."""
    tree: dict[str, Any] = {"format": "dgemma-conversation", "version": VERSION}
    tree["conversation"] = msgspec.to_builtins(about)
    tree["turns"] = msgspec.to_builtins(turns)
    return msgspec.json.format(msgspec.json.encode(tree)).decode() + "\n"


def pieces(text: str) -> Iterator[str]:
    """Cut a text into pieces that each fit a frame."""
    for start in range(0, len(text), PIECE_CHARS):
        yield text[start : start + PIECE_CHARS]
