import random

import pytest
from random_prose import document

from dgemma_lsp import prose

MARKDOWN = """\
---
title: not prose
---
# Heading with `code` #

A paragraph that
goes on\\
after a hard break.

> A quotation of
> two lines

- an item
  that goes on
  - an inner item
1. 1

| a | b |
|---|---|
| cell | cell |

```
fenced
```

    indented

<div>
html
</div>

Underlined
==========

[ref]: https://example.org
"""


def lines(text, language):
    return [[text[a:b] for a, b in run.segments] for run in prose.runs(text, language)]


def test_the_prose_of_markdown_is_what_its_blocks_say():
    assert lines(MARKDOWN, "markdown") == [
        ["Heading with `code`"],
        ["A paragraph that", "goes on"],
        ["after a hard break."],
        ["A quotation of", "two lines"],
        ["an item", "that goes on"],
        ["an inner item"],
        ["1"],
        ["a"],
        ["b"],
        ["cell"],
        ["cell"],
        ["Underlined"],
    ]


def test_each_cell_of_a_row_is_found_at_its_own_place():
    text = "| x | x |\n|---|---|\n| x | x |\n"
    starts = [run.start for run in prose.runs(text, "markdown")]
    assert starts == [2, 6, 22, 26]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\ntwo\n\nthree", [["one", "two"], ["three"]]),
        ("- one\n  more\n- two\n", [["one", "more"], ["two"]]),
        ("1. one\n2) two\n", [["one"], ["two"]]),
        ("  in  \n", [["in"]]),
        ("one\r\ntwo\r\n", [["one", "two"]]),
        ("", []),
    ],
)
def test_paragraphs_and_items_are_the_prose_of_plain_text(text, expected):
    assert lines(text, "plaintext") == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("python", "# one\n# two\nx = 1  # no\n    # three\n", [["one", "two"], ["three"]]),
        ("python", '"""\n# no\n"""\n', []),
        ("python", "# one\nx = (\n", []),
        ("python", "#!/bin/python\n# type: ignore\n# noqa\n# yes it is\n", [["yes it is"]]),
        ("rust", "/// one\n//! no\n// two\n", [["one"], ["two"]]),
        ("go", "//go:embed x\nf() // no\n// one\n", [["go:embed x"], ["one"]]),
        ("lua", "-- one\n--- two\n", [["one", "two"]]),
        ("latex", "some text\n", []),
    ],
)
def test_comments_that_stand_alone_are_the_prose_of_code(language, text, expected):
    assert lines(text, language) == expected


@pytest.mark.parametrize("language", ["markdown", "plaintext"])
def test_runs_are_in_order_and_apart_in_any_document(language):
    draw = random.Random(5)
    for _ in range(200):
        text = document(draw)
        ends = [end for run in prose.runs(text, language) for pair in run.segments for end in pair]
        assert ends == sorted(ends)
        assert all(
            text[a:b].strip() == text[a:b] != "" for a, b in zip(ends[::2], ends[1::2], strict=True)
        )


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("# one\n", "# two\n", True),
        ("# one\n", "## one\n", False),
        ("one `x`\n", "two `x`\n", True),
        ("one `x`\n", "one `y`\n", False),
        ("one `x`\n", "one x\n", False),
        ("[a](b)\n", "[c](b)\n", True),
        ("[a](b)\n", "[a](c)\n", False),
        ("- a\n- b\n", "- a\n\n  b\n", False),
        ("a\nb\n", "a b\n", True),
        ("a  \nb\n", "a b\n", False),
        ("```\nx\n```\n", "```\ny\n```\n", False),
        ("|a|b|\n|-|-|\n|c|d|\n", "|a|b|\n|-|-|\n|c|\n", True),
        ("1. a\n", "2. a\n", False),
        ("[a]\n\n[a]: b\n", "[a]\n\n[a]: c\n", False),
        ("a\nb\n\n[a]: b\n", "a b\n\n[a]: b\n", True),
        ("---\nx: 1\n---\na\n", "---\nx: 2\n---\na\n", False),
    ],
)
def test_the_shape_of_markdown_is_all_but_its_words(before, after, same):
    assert (prose.shape(before) == prose.shape(after)) == same


def test_the_outermost_blocks_hold_all_prose():
    draw = random.Random(6)
    for _ in range(200):
        text = document(draw)
        blocks = prose.blocks(text)
        ends = [end for block in blocks for end in block]
        assert ends == sorted(ends)
        for run in prose.runs(text, "markdown"):
            assert any(start <= run.start and run.end <= end for start, end in blocks)


def test_what_is_selected_is_cut_out_of_the_runs():
    text = "one two\nthree\n\nfour\n"
    found = prose.runs(text, "plaintext")
    inside = prose.touched(found, 4, 11)
    assert [text[a:b] for run in inside for a, b in run.segments] == ["two", "thr"]
    assert prose.touched(found, 14, 15) == []


@pytest.mark.parametrize(("place", "expected"), [(0, ["one", "two"]), (9, []), (11, ["three"])])
def test_nothing_selected_means_the_run_around_the_cursor(place, expected):
    text = "one\ntwo\n\n\nthree"
    found = prose.touched(prose.runs(text, "plaintext"), place, place)
    assert [text[a:b] for run in found for a, b in run.segments] == expected
