import random

import pytest
from random_prose import KEPT, answer, document

from dgemma_lsp import locks, prose, wire
from dgemma_lsp.errors import UserError
from dgemma_lsp.in_place import CHARS, InPlace
from dgemma_lsp.modes import Task

MARKDOWN = """\
# The `dgemma` tool

It fills 3 holes in `a.py` and
tells what it did, see [the guide](https://example.org/x).

> A quotation that is
> two lines long.

- one thing
- another thing

| name | what it does |
|------|--------------|
| `x`  | it says so   |

```py
keep = "this"
```
"""


def in_place(text, language="markdown", *, start=0, end=None, mode="custom", **fields):
    end = len(text) if end is None else end
    fields = {"instruction": "do it"} | fields
    return InPlace(Task(mode=mode, text=text, start=start, end=end, language=language, **fields))


def parts(way):
    return [job.parts for job in way.jobs(wire.Sampling())]


def rewritten(way, say):
    """The document, where `say` gives what the model writes for a part that may change."""
    answers = [[part.text if part.kept else say(part.text) for part in row] for row in parts(way)]
    return way.written(answers).applied(way.task.text)


def test_the_parts_of_a_request_are_the_text_from_the_first_prose_to_the_last():
    (row,) = parts(in_place(MARKDOWN))
    assert (
        MARKDOWN.replace("\ntells", " tells")
        .replace("\n> two", " two")
        .startswith("# " + "".join(part.text for part in row))
    )


def test_only_prose_is_free():
    (row,) = parts(in_place(MARKDOWN))
    assert [part.text for part in row if not part.kept] == [
        "The",
        " tool",
        "It fills",
        " holes in",
        " and tells what it did, see",
        "A quotation that is two lines long.",
        "one thing",
        "another thing",
        "name",
        "what it does",
        "it says so",
    ]


def test_what_the_model_repeats_changes_nothing():
    assert rewritten(in_place(MARKDOWN), str) == MARKDOWN


def test_new_words_stand_where_the_old_ones_stood():
    assert (
        rewritten(in_place(MARKDOWN), lambda text: text.upper())
        == """\
# THE `dgemma` TOOL

IT FILLS 3 HOLES IN `a.py` AND TELLS WHAT IT DID, SEE
[the guide](https://example.org/x).

> A QUOTATION THAT IS
> TWO LINES LONG.

- ONE THING
- ANOTHER THING

| NAME | WHAT IT DOES |
|------|--------------|
| `x`  | IT SAYS SO   |

```py
keep = "this"
```
"""
    )


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        ("one two", "- one", "\\- one"),
        ("one two", "1. one", "1\\. one"),
        ("one two", "# one\n\ntwo", "\\# one two"),
        ("one two", "a `b` <c> [d](e) | f", "a \\`b\\` \\<c> \\[d\\](e) \\| f"),
        ("one two", "R & D < 5 > &amp; *so*", "R & D < 5 > \\&amp; *so*"),
        ("one two", "  \n ", "one two"),
        ("one two", "\0\ufffdone", "one"),
        ("one `x` two", "", "one `x` two"),
        ("one\ntwo three\n", "a b c d e", "a b c d e\n"),
        ("one\ntwo three\n", "a long one with more", "a long\none with\nmore\n"),
        ("> one\n> two three\n", "a long one with more", "> a long\n> one with\n> more\n"),
        ("- one\n  two three\n", "a longer - with", "- a longer\n  \\- with\n"),
    ],
)
def test_an_answer_becomes_words_and_no_structure(before, said, after):
    assert rewritten(in_place(before), lambda text: said) == after


def test_a_paragraph_that_would_change_the_structure_stays_and_the_others_do_not():
    """What is kept cannot be escaped: at the begin of a line this number makes a list."""
    text = "a\n\nb\n\none 1. two\n\nc\n"
    said = {"one": "", ". two": ". 2"}
    way = in_place(text)
    answers = [[p.text if p.kept else said.get(p.text, "new") for p in row] for row in parts(way)]
    written = way.written(answers)
    assert written.applied(text) == "new\n\nnew\n\none 1. two\n\nnew\n"
    assert written.left == 1


def test_what_must_stay_may_be_named():
    (row,) = parts(in_place("the red house stands", keep=("red house",)))
    assert [(p.text, p.kept) for p in row] == [
        ("the", False),
        (" red house", True),
        (" stands", False),
        ("", True),
    ]


@pytest.mark.parametrize(
    ("text", "language", "message"),
    [
        ("`code` 42\n", "markdown", "no prose in the selection"),
        ("", "markdown", "no prose in the selection"),
        ("x = 1\n", "python", "no prose in the selection"),
        ("x", "latex", "not in latex"),
    ],
)
def test_a_text_without_prose_is_refused_in_one_line(text, language, message):
    with pytest.raises(UserError, match=message) as told:
        in_place(text, language)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("words", "expected"), [(None, 0.6), (2, 0.5), (40, 10.0), (400, 16.0)])
def test_the_length_aimed_at_is_a_share_of_the_present_one(words, expected):
    way = in_place("one two three four", mode="shorten", length=words)
    (job,) = way.jobs(wire.Sampling())
    assert job.length == expected
    assert ("about" in job.instruction) == (words is not None)


def test_a_mode_has_a_strength_of_its_own_and_the_persons_goes_before_it():
    assert in_place("one two", mode="grammar").jobs(wire.Sampling())[0].strength == 0.3
    assert in_place("one two", strength=0.7).jobs(wire.Sampling())[0].strength == 0.7


def test_nothing_outside_the_selection_changes():
    start, end = MARKDOWN.index("fills"), MARKDOWN.index("tells") + len("tells")
    new = rewritten(in_place(MARKDOWN, start=start, end=end), lambda text: "X")
    assert new == MARKDOWN.replace("fills 3 holes in `a.py` and\ntells", "X 3 X `a.py` X")


def test_an_empty_selection_means_the_paragraph_that_it_lies_in():
    place = MARKDOWN.index("quotation")
    new = rewritten(in_place(MARKDOWN, start=place, end=place), lambda text: "X")
    assert new == MARKDOWN.replace("A quotation that is\n> two lines long.", "X")


def test_a_long_text_is_several_requests():
    text = "\n\n".join(["some words in a row"] * (CHARS // 10)) + "\n"
    way = in_place(text)
    assert len(way.jobs(wire.Sampling())) == 3
    assert rewritten(way, str) == text
    assert rewritten(way, lambda _: "X") == text.replace("some words in a row", "X")


def test_the_parts_of_all_requests_are_the_whole_text_with_what_is_between_them():
    text = "\n\n".join(["- some `words` in a row"] * (CHARS // 8))
    way = in_place(text)
    whole = way.parts()
    assert "".join(part.text for part in whole) == text.removeprefix("- ")
    of_requests = [part for job in parts(way) for part in job]
    assert [part.kept for part in whole] == [part.kept for part in of_requests]
    assert [one for one in whole if not one.kept] == [one for one in of_requests if not one.kept]


def test_comments_are_rewritten_and_code_is_not():
    code = "# a comment that\n# is long\nx = '# no'  # nor this\n    # but this\n"
    new = rewritten(in_place(code, "python"), lambda text: "new words are here now")
    assert (
        new == "# new words are\n# here now\nx = '# no'  # nor this\n    # new words are here now\n"
    )


def in_order(spans, text):
    """Whether all spans stand in the text, one after the other."""
    at = 0
    for span in spans:
        at = text.find(span, at)
        if at < 0:
            return False
        at += len(span)
    return True


def kept_in(text):
    """What must stay of each line of prose."""
    names = locks.capitals_tell(text)
    lines = [text[a:b] for run in prose.runs(text, "markdown") for a, b in run.segments]
    return [line[a:b] for line in lines for a, b in locks.kept(line, markdown=True, names=names)]


def test_in_1000_random_rewrites_of_random_markdown_what_is_kept_and_the_structure_stay():
    """The model's part of a rewriting is in `test_rewrite_answers`; here it writes anything."""
    draw = random.Random(7)
    changed = 0
    for _ in range(1000):
        text = document(draw)
        try:
            way = in_place(text)
        except UserError:
            continue
        new = rewritten(way, lambda _: answer(draw))
        assert in_order(kept_in(text), new), (text, new)
        assert prose.shape(new) == prose.shape(text), (text, new)
        changed += new != text
    assert changed > 900


def test_each_kind_of_span_stays_among_words():
    text = f"{' word '.join(KEPT)} word"
    new = rewritten(in_place(text), lambda _: "other")
    assert new == text.replace("word", "other")
