import pytest

from dgemma_lsp import passages

PYTHON = '''\
"""First words of a module 🙂 here.

    code = [1, 2]

:param thing: the thing that is meant
"""

# A remark over
# two lines of it.
x = "no remark # at all, only a string"  # And one behind the code.


def f(a):
    """Return the *a* of ``f(a)``, see https://example.org/x_y.

    >>> f(1)
    1
    """
    return """not a docstring, but a string in an expression"""
'''

TABLE = [
    ("python", PYTHON, [
        "First words of a module 🙂 here.",
        "the thing that is meant",
        "A remark over two lines of it.",
        "And one behind the code.",
        "Return the *a* of ``f(a)``, see https://example.org/x_y.",
    ]),
    ("markdown", "# A heading of words\n\nOne sentence here. And one\nmore there.\n\n"
     "```sh\nnot this one here\n```\n\n- a point of a list\n",
     ["One sentence here.", "And one more there.", "a point of a list"]),
    ("rst", "A title of words\n================\n\nSome prose with words::\n\n"
     "    code that is not read\n\n.. note:: a directive is left out\n\nThe end of it all.\n",
     ["Some prose with words::", "The end of it all."]),
    ("javascript", "// What this one does.\n"
     "let url = 'http://a.b/c d e'; /* And what that\n * one does here. */\n",
     ["What this one does.", "And what that one does here."]),
    ("sh", "#!/bin/sh\n# Remove what is left over.\necho '# not this one here'\n",
     ["Remove what is left over."]),
    ("lua", "-- Draws what is shown now.\nlocal x = 1\n", ["Draws what is shown now."]),
    ("html", "<p>not this one</p>\n<!-- but this one here -->\n", ["but this one here"]),
    ("gitcommit", "Mend the thing at last\n\nIt was not whole before.\n"
     "# Please enter the commit message here\n",
     ["Mend the thing at last", "It was not whole before."]),
    ("plaintext", "Use e.g. Python for that. Then see.\n", ["Use e.g. Python for that."]),
    ("fortran", "! There is nothing known here.\n", []),
]  # fmt: skip


@pytest.mark.parametrize(("language", "text", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_the_sentences_of_a_document(language, text, expected) -> None:
    assert [one.text for one in passages.sentences(text, language)] == expected


@pytest.mark.parametrize(("language", "text", "expected"), TABLE, ids=[row[0] for row in TABLE])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_every_character_of_a_sentence_stands_where_it_is_said_to(
    language, text, expected, ends
) -> None:
    text = text.replace("\n", ends)
    for one in passages.sentences(text, language):
        assert len(one.text) == len(one.places)
        assert all(
            text[place] == character or (character == " " and text[place] in "\r\n ")
            for character, place in zip(one.text, one.places, strict=True)
        )


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("see `code` and ``more of it``", ["`code`", "``more of it``"]),
        ("a [link](http://a.b/c) here", ["[link](http://a.b/c)"]),
        ("mail me@example.org or see www/x", ["me@example.org", "www/x"]),
        ("names like os.path, snake_case and camelCase", ["os.path,", "snake_case", "camelCase"]),
        ("since 3.11 and the 2nd", ["3.11", "2nd"]),
        ('he said "teh end" of it', ['"teh end"']),
        ("the HTTP of it and I", ["HTTP"]),
        ("call run() then", ["run()"]),
    ],
)
def test_what_is_nobody_s_english_is_fixed(text, fixed) -> None:
    found = [text[start:end] for start, end in passages.fixed(text)]
    assert [one.rstrip(",") for one in found] == [one.rstrip(",") for one in fixed]


def test_a_sentence_over_a_line_break_is_placed_on_both_lines() -> None:
    text = "# one two\n#   three four.\n"
    (one,) = passages.sentences(text, "sh")
    start, end = one.place(one.text.index("two"), one.text.index("three") + 5)
    assert text[start:end] == "two\n#   three"


def test_the_code_of_a_file_is_what_is_no_prose() -> None:
    found = passages.sentences(PYTHON, "python")
    code = passages.without(PYTHON, found, "python")
    assert "def f(a)" in code
    assert "two lines" not in code
    assert passages.without("all of it is prose", [], "markdown") == ""


@pytest.mark.parametrize(
    ("place", "expected"), [(0, (0, 0)), (2, (0, 2)), (3, (1, 0)), (5, (2, 0)), (6, (2, 1))]
)
def test_a_place_has_a_line_and_a_column(place, expected) -> None:
    starts = passages.line_starts("ab\nc\ndef")
    assert passages.line_of(starts, place) == expected


@pytest.mark.parametrize("text", ["", "\n\n", "\x00 binary \x00", "עברית עברית עברית.", "a" * 5000])
@pytest.mark.parametrize("language", ["python", "markdown", "rst", "c", "latex"])
def test_any_text_is_read_without_an_error(language, text) -> None:
    assert isinstance(passages.sentences(text, language), list)
