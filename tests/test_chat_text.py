import pytest

from dgemma_lsp import chat_text
from dgemma_lsp.errors import DgemmaError, InvalidRequest, TooLarge
from dgemma_lsp.wire import Turn
from dgemma_lsp.wire_chat import Attachment, KeptTurn

FILE = Attachment(name="a.py", text="x = 1\ny = 2\n", language="python")


@pytest.mark.parametrize(
    "text",
    [
        *("hi", "🦊", "مرحبا بالعالم", "שלום", "a\tb\r\nc\x0c", "\x1b[31mred", "e\u0301"),
        *("\u202eabc", "0" * 1_400_000),
    ],
    ids=lambda text: ascii(text[:9]),
)
def test_text_of_every_script_may_be_asked(text: str) -> None:
    chat_text.check_question(text, [FILE])


@pytest.mark.parametrize(
    ("text", "files", "kind", "told"),
    [
        ("", [], InvalidRequest, "the message is empty: ask something"),
        ("\n \u3000", [FILE], InvalidRequest, "the message is empty: ask something"),
        ("ab\0c", [], InvalidRequest, "the message is no text: character 3 is U+0000"),
        (
            "look",
            [Attachment(name="a.out", text="\x7fELF")],
            InvalidRequest,
            "the attachment 'a.out' is no text: character 1 is U+007F",
        ),
        (
            "x" * 1_500_001,
            [],
            TooLarge,
            "the message has 1500001 bytes: the limit is 1500000; send a part of it",
        ),
        (
            "look",
            [Attachment(name="a", text="é" * 750_000)],
            TooLarge,
            "the message with its attachments has 1500004 bytes: the limit is 1500000; "
            "send a part of it",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else None,
)
def test_what_cannot_be_asked_is_refused_in_one_line(
    text: str, files: list[Attachment], kind: type[DgemmaError], told: str
) -> None:
    with pytest.raises(kind) as caught:
        chat_text.check_question(text, files)
    assert str(caught.value) == told


def test_a_system_prompt_is_text_of_a_bounded_length() -> None:
    chat_text.check_system("")
    with pytest.raises(InvalidRequest, match="the system prompt is no text"):
        chat_text.check_system("\x01")
    with pytest.raises(TooLarge, match="100001 bytes: the limit is 100000"):
        chat_text.check_system("x" * 100_001)


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("Sort a list.", "Sort a list."),
        ("\n\n  Sort   a\tlist.\nOf tuples.", "Sort a list."),
        ("word " * 30, "word word word word word word word word word word word word ..."),
        ("x" * 100, "x" * 60 + " ..."),
        ("🦊" * 61, "🦊" * 60 + " ..."),
    ],
)
def test_a_title_is_the_beginning_of_the_question(question: str, title: str) -> None:
    assert chat_text.title_of(question) == title


@pytest.mark.parametrize(
    ("file", "written"),
    [
        (FILE, "a.py:\n```python\nx = 1\ny = 2\n```\n\nWhy?"),
        (Attachment(name="a", text="x", first_line=3), "a, line 3:\n```\nx\n```\n\nWhy?"),
        (
            Attachment(name="a", text="x\ny", first_line=3),
            "a, lines 3 to 4:\n```\nx\ny\n```\n\nWhy?",
        ),
        (Attachment(name="a.md", text="```\nx\n```"), "a.md:\n````\n```\nx\n```\n````\n\nWhy?"),
    ],
)
def test_what_is_attached_stands_in_a_fence_before_the_question(
    file: Attachment, written: str
) -> None:
    assert chat_text.content("Why?", [file]) == written


def kept(turn: int, text: str) -> KeptTurn:
    """Odd numbers ask, even ones answer."""
    return KeptTurn(turn=turn, role="user" if turn % 2 else "assistant", text=text, parent=turn - 1)


@pytest.mark.parametrize(
    ("texts", "spoken"),
    [
        ([], []),
        (["a", "b"], ["a", "b"]),
        (["a", "", "c", "d"], ["c", "d"]),
        (["a", "b", "c", " \n"], ["a", "b"]),
        (["a", "b", "c"], ["a", "b", "c"]),
    ],
)
def test_a_question_without_an_answer_is_not_read(texts: list[str], spoken: list[str]) -> None:
    path = [kept(number, text) for number, text in enumerate(texts, 1)]
    read = chat_text.spoken(path)
    assert [turn.content for turn in read] == spoken
    assert all(isinstance(turn, Turn) for turn in read)
