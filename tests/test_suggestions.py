"""What is remembered of suggestions. `|` is the cursor in a document."""

import random

import pytest

from dgemma_lsp.suggestions import NEAR_CHARS, Found, Suggestions, align

URI = "file:///a.py"


def remembering(marked: str, *texts: str) -> Suggestions:
    suggestions = Suggestions()
    suggestions.keep(URI, *marked.split("|"), texts)
    return suggestions


def found(suggestions: Suggestions, marked: str, uri: str = URI) -> Found:
    return suggestions.find(uri, *marked.split("|"))


@pytest.mark.parametrize(
    ("asked", "texts", "now", "rests"),
    [
        pytest.param("x = |\n", ["f(1)"], "x = |\n", ["f(1)"], id="nothing was typed"),
        pytest.param("x = |\n", ["f(1)"], "x = f|\n", ["(1)"], id="one character"),
        pytest.param("x = |\n", ["f(1)"], "x = f(1|\n", [")"], id="all but one character"),
        pytest.param("|", ["f"], "|", ["f"], id="an empty document"),
        pytest.param("a = |", ["é日本😋"], "a = é日|", ["本😋"], id="characters, not bytes"),
        pytest.param(
            "if x:\r\n    |\r\ny",
            ["a()\r\n    b()"],
            "if x:\r\n    a()\r\n    |\r\ny",
            ["b()"],
            id="a line and its end of two characters",
        ),
        pytest.param("|", ["a1", "b", "a2", "a"], "a|", ["1", "2"], id="the candidates that fit"),
        pytest.param("|", ["a", "ab"], "a|", ["b"], id="a candidate that goes on after another"),
        pytest.param("x |", ["= 1\n"], "x = |", ["1\n"], id="a line end at the end"),
        pytest.param("f|", ["(a, b)"], "f(|)", ["a, b"], id="the editor closed the bracket"),
        pytest.param("f|", ["(a, b)"], "f(a|)", [", b"], id="and went on with it"),
        pytest.param("f|\n", ["(g(a))"], "f(g(|))\n", ["a"], id="the editor closed two brackets"),
        pytest.param("f|)", ["(a)"], "f(|))", ["a"], id="next to a bracket that stood there"),
        pytest.param("x = |", ['"é"'], 'x = "|"', ["é"], id="the editor closed the quotes"),
        pytest.param(
            "if (x) |\ny",
            ["{\n  f();\n}"],
            "if (x) {\n  |\n}\ny",
            ["f();"],
            id="the editor closed the brace on a line of its own",
        ),
    ],
)
def test_who_types_a_suggestion_gets_its_rest(
    asked: str, texts: list[str], now: str, rests: list[str]
) -> None:
    assert found(remembering(asked, *texts), now) == Found(rests, "")


@pytest.mark.parametrize(
    ("asked", "text", "now"),
    [
        pytest.param("x = |\n", "f(1)", "x = g|\n", id="something else was typed"),
        pytest.param("x = |\n", "f(1)", "x = F|\n", id="in other letters"),
        pytest.param("x = |\n", "f(1)", "x =|\n", id="something before was deleted"),
        pytest.param("x = |\n", "f(1)", "y = |\n", id="something before was changed"),
        pytest.param("x = |\n", "f(1)", "x = f|\ny", id="something below was added"),
        pytest.param("x = |\ny", "f(1)", "x = f|\n", id="something below was deleted"),
        pytest.param("x = |\n", "f(1)", "x = \n|", id="the cursor went down"),
        pytest.param("x = |\n", "f(1)", "x| = \n", id="the cursor went left"),
        pytest.param("x = |\n", "f(1)", "x = f(1)2|\n", id="more than the suggestion was typed"),
        pytest.param("f|\n", "(a)\nb", "f(|)\n", id="a bracket that is not the suggestion's end"),
        pytest.param("f|\n", "()", "f()|)\n", id="a bracket too many"),
        pytest.param("a\r\n|", "b\r\nc", "a\r\nb\n|", id="other line ends"),
        pytest.param("e = |", "é", "e = e\u0301|", id="the same letter in another form"),
    ],
)
def test_no_rest_is_given_where_the_text_has_gone_another_way(
    asked: str, text: str, now: str
) -> None:
    assert found(remembering(asked, text), now).rests == []


def test_another_document_is_not_known() -> None:
    assert found(remembering("|", "a"), "|", "file:///b.py") == Found([], "")


def test_what_is_deleted_again_is_suggested_again() -> None:
    suggestions = remembering("x = |\n", "f(1)")
    for typed in ("f", "f(", "f(1", "f(", "f", "", "g", "", "f"):
        expected = ["f(1)"[len(typed) :]] if typed != "g" else []
        assert found(suggestions, f"x = {typed}|\n").rests == expected


def test_a_bracket_that_is_said_once_is_not_typed_and_added_both() -> None:
    suggestions = remembering("f|", "(")
    assert found(suggestions, "f(|(") == Found([], "")
    assert found(suggestions, "f|").rests == ["("]


@pytest.mark.parametrize("end", ["", "\n", "\r\n    "])
def test_what_is_wholly_typed_up_to_its_white_space_is_forgotten(end: str) -> None:
    suggestions = remembering("x = |\n", f"f(1){end}")
    assert found(suggestions, "x = f(1|\n").rests == [f"){end}"]
    assert found(suggestions, "x = f(1)|\n") == Found([], "")
    assert found(suggestions, "x = f(1|\n") == Found([], "")


@pytest.mark.parametrize(
    ("asked", "texts", "now", "previous"),
    [
        pytest.param("x = |\n", ["foo(1)"], "x = bar|\n", "(1)", id="as much goes as was typed"),
        pytest.param("|", ["self.items()"], "self.thing|", "()", id="behind the same beginning"),
        pytest.param("|", ["return self.x"], "self.|", "x", id="a word further on"),
        pytest.param("|", ["return self.x"], "sel|", "f.x", id="half a word further on"),
        pytest.param("|", ["self.x"], "return self|", ".x", id="a word put before"),
        pytest.param("|", ["f(x)"], "bar(|", "x)", id="the bracket of another name"),
        pytest.param("|", ["f(data)"], "ta|", "data)", id="not from the middle of a word"),
        pytest.param("|", ["f(a, b)"], "f(a, f|", ")", id="not what was passed already"),
        pytest.param(
            "|", ["b.x c(1) b.c(2)"], "b.c|", "(1) b.c(2)", id="what differs, where it comes next"
        ),
        pytest.param("|", ["foo.x"], "fox|", ".x", id="nor on from the middle of one"),
        pytest.param("|", ["é日本(1)"], "é日ö|", "(1)", id="characters, not bytes"),
        pytest.param("|", ["a\r\nb\r\nc"], "x\r\nb|", "\r\nc", id="line ends of two characters"),
        pytest.param(
            "|", ["ab = 1", "b = 2"], "b, |", " 2", id="the suggestion that agrees longest"
        ),
        pytest.param("|x", ["f(1)"], "f|y", "(1)", id="the text below was changed"),
        pytest.param("|x", ["f(1)"], "|", "f(1)", id="the text below was deleted"),
        pytest.param("f|\n", ["(a)\nb"], "f(|)\n", "a)\nb", id="a bracket that the editor closed"),
        pytest.param("|", ["ab"], "xyz|", "", id="more was typed than was suggested"),
        pytest.param("|", ["ab  "], "xy|", "", id="nothing but white space is left"),
        pytest.param(
            "|", ["f(1)"], "g" * (NEAR_CHARS + 1) + " f|", "", id="far too much was typed"
        ),
        pytest.param("x = |", ["f(1)"], "x =|", "", id="something before was deleted"),
        pytest.param("x = |\n", ["\nf(1)"], "x = \n|", "", id="the cursor went down"),
        pytest.param("x = |\ny\n", ["f(1)"], "x = \nf|y\n", "", id="went down and typed"),
    ],
)
def test_of_something_else_typed_the_model_starts_from_what_may_still_come(
    asked: str, texts: list[str], now: str, previous: str
) -> None:
    assert found(remembering(asked, *texts), now) == Found([], previous)


@pytest.mark.parametrize("typed", ["", "a", "ab", "ab c", "xb", "ab cx", "c", "abab c"])
@pytest.mark.parametrize("text", ["", "ab c", "ab cd", "c ab c"])
def test_what_may_still_come_is_an_end_of_the_suggestion(typed: str, text: str) -> None:
    assert text.endswith(align(typed, text))


@pytest.mark.parametrize("text", ["", "a", "ab c", "é😋\r\nb"])
def test_behind_a_beginning_of_the_suggestion_all_the_rest_may_come(text: str) -> None:
    assert [align(text[:at], text) for at in range(len(text) + 1)] == [
        text[at:] for at in range(len(text) + 1)
    ]


def test_an_answer_without_a_text_leaves_what_was_known() -> None:
    suggestions = remembering("x = |", "f(1)")
    suggestions.keep(URI, "x = g", "", [])
    assert found(suggestions, "x = f|").rests == ["(1)"]


def test_a_newer_answer_takes_the_place_of_the_older_one() -> None:
    suggestions = remembering("x = |", "f(1)")
    suggestions.keep(URI, "y = ", "", ["g"])
    assert found(suggestions, "x = |") == Found([], "")
    assert found(suggestions, "y = |").rests == ["g"]


def test_a_forgotten_document_is_not_known_and_may_be_forgotten_twice() -> None:
    suggestions = remembering("|", "a")
    suggestions.forget(URI)
    suggestions.forget(URI)
    assert found(suggestions, "|") == Found([], "")


def known(suggestions: Suggestions, *uris: str) -> list[str]:
    """Return those of the documents that are known, and use none of them."""
    return [uri for uri in uris if uri in suggestions._kept]


def test_the_document_that_was_not_used_longest_goes_first() -> None:
    suggestions = Suggestions(documents=2)
    suggestions.keep("a", "x = ", "", ["1"])
    suggestions.keep("b", "x = ", "", ["1"])
    assert found(suggestions, "x = 2|", "a").rests == []  # near it is used too
    suggestions.keep("c", "x = ", "", ["1"])
    assert known(suggestions, "a", "b", "c") == ["a", "c"]
    suggestions.keep("a", "y = ", "", ["1"])
    suggestions.keep("d", "x = ", "", ["1"])
    assert known(suggestions, "a", "b", "c", "d") == ["a", "d"]


def test_the_texts_held_stay_within_the_memory_allowed() -> None:
    suggestions = Suggestions(memory=10_000)
    for uri in ("a", "b", "c"):
        suggestions.keep(uri, "x" * 2000, "y" * 2000, ["z"])
    assert known(suggestions, "a", "b", "c") == ["b", "c"]
    suggestions.keep("d", "x" * 12_000, "", ["z"])
    assert known(suggestions, "a", "b", "c", "d") == ["b", "c"]
    suggestions.keep("c", "x" * 12_000, "", ["z"])
    assert known(suggestions, "a", "b", "c", "d") == ["b"]


LETTERS = "abé日😋 ()[]\"'\n"


def some_text(chooser: random.Random, longest: int) -> str:
    text = "".join(chooser.choices(LETTERS, k=chooser.randrange(longest)))
    return text.replace("\n", "\r\n") if chooser.random() < 0.3 else text


def test_what_is_typed_and_what_is_answered_join_to_the_old_text_with_the_suggestion() -> None:
    chooser = random.Random(0)
    for _ in range(500):
        before, after = some_text(chooser, 20), some_text(chooser, 20)
        text = some_text(chooser, 20) + "." + some_text(chooser, 3)
        suggestions = Suggestions()
        suggestions.keep(URI, before, after, [text])
        last = len(text.rstrip())
        # forth by one character at a time, somewhere back, and forth again to the end
        for typed in (*range(chooser.randrange(last)), *range(chooser.randrange(last), last)):
            rests, previous = suggestions.find(URI, before + text[:typed], after)
            assert [before + text[:typed] + rest + after for rest in rests] == [
                before + text + after
            ]
            assert previous == ""
        assert suggestions.find(URI, before + text[:last], after) == Found([], "")


def closing(before: str, after: str, key: str) -> tuple[str, str]:
    """Type a character in an editor that closes brackets and quotes, and types over them."""
    if key in ")]\"'" and after.startswith(key):
        return before + key, after[1:]
    pairs = {"(": ")", "[": "]", '"': '"', "'": "'"}
    return before + key, pairs.get(key, "") + after


def test_whatever_is_done_to_a_document_an_answer_joins_to_the_old_text_with_a_suggestion() -> None:
    chooser = random.Random(1)
    answered = 0
    for _ in range(2000):
        old = before, after = some_text(chooser, 9), some_text(chooser, 9)
        texts = list(dict.fromkeys(some_text(chooser, 9) for _ in range(3)))
        suggestions = Suggestions()
        suggestions.keep(URI, before, after, texts)
        keys = chooser.choice(texts) if chooser.random() < 0.7 else some_text(chooser, 5)
        for key in keys:
            before, after = (
                closing(before, after, key)
                if chooser.random() < 0.9
                else (before[:-1], after[chooser.randrange(2) :])
            )
            rests = suggestions.find(URI, before, after).rests
            whole = [before + rest + after for rest in rests]
            possible = [old[0] + text + old[1] for text in texts]
            assert [text for text in possible if text in whole] == whole
            answered += len(rests)
    assert answered > 500
