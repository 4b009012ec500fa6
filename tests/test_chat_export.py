import msgspec
import pytest

from dgemma_lsp import chat_export, wire
from dgemma_lsp.wire_chat import Attachment, Exported, KeptTurn, Summary

ABOUT = Summary(
    conversation="8c1f", title="שלום", system="Be brief.", head=4, turns=4, created=1.0, updated=2.0
)
FILE = Attachment(name="a.md", text="```\nx\n```\n", language="markdown", first_line=2)
PATH = [
    KeptTurn(turn=1, role="user", text="Why? 🦊\n", attachments=[FILE]),
    KeptTurn(turn=2, role="assistant", parent=1, text="So.", model="nano", notices=["cut"]),
    KeptTurn(turn=3, role="user", parent=2, text="And?"),
    KeptTurn(turn=4, role="assistant", parent=3, text="", state="failed", message="no luck"),
]

MARKDOWN = """# שלום

## System

Be brief.

## You

a.md, lines 2 to 4:

````markdown
```
x
```
````

Why? 🦊

## nano

> cut

So.

## You

And?

## Answer

*(failed: no luck)*
"""


def test_markdown_says_who_said_what() -> None:
    assert chat_export.markdown(ABOUT, PATH) == MARKDOWN


def test_a_conversation_without_turns_is_a_title() -> None:
    empty = msgspec.structs.replace(ABOUT, title="", system=None)
    assert chat_export.markdown(empty, []) == "# Conversation\n"


def test_json_holds_all_that_is_known() -> None:
    tree = msgspec.json.decode(chat_export.as_json(ABOUT, PATH))
    assert (tree["format"], tree["version"]) == ("dgemma-conversation", 1)
    assert msgspec.convert(tree["turns"], list[KeptTurn]) == PATH
    assert msgspec.convert(tree["conversation"], Summary) == ABOUT


@pytest.mark.parametrize("text", ["", "x", "\x00🦊" * 400_000])
def test_pieces_join_to_the_text_and_each_fits_a_frame(text: str) -> None:
    pieces = list(chat_export.pieces(text))
    assert "".join(pieces) == text
    for piece in pieces:
        frame = wire.encode_json(Exported(id="x" * 200, text=piece))
        assert len(frame.encode()) <= wire.MAX_FRAME_BYTES
