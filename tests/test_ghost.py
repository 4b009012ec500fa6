"""The cursor is a `█` in the document; what is expected is the document after acceptance."""

import pytest

from dgemma_lsp import ghost


def accepted(document: str, text: str, max_lines: int = 12) -> str | None:
    """Return the document after the ghost text of `text` was accepted; None without ghost text."""
    prefix, suffix = document.split("█")
    shown = ghost.to_ghost_text(text, prefix, suffix, max_lines=max_lines)
    return None if shown is None else prefix + shown + suffix


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        pytest.param("x = █", "1", "x = 1", id="the rest of a line"),
        pytest.param("x = █\ny = 2\n", "1", "x = 1\ny = 2\n", id="between two lines"),
        pytest.param("█", "import os\n", "import os", id="an empty document"),
        pytest.param("x = █\ny", "1  \n\n", "x = 1\ny", id="trailing white space goes"),
        pytest.param(
            "def f(x):█\n", "\n    return x\n", "def f(x):\n    return x\n", id="several lines"
        ),
        pytest.param("wörd = █\n", '"日本 😋"', 'wörd = "日本 😋"\n', id="beyond ASCII"),
        pytest.param(
            "if x:\r\n    █\r\ny\r\n",
            "a()\n    b()\n",
            "if x:\r\n    a()\r\n    b()\r\ny\r\n",
            id="the document's line ends",
        ),
        pytest.param("x = █\n", "f(\r\n  1)", "x = f(\n  1)\n", id="not the model's line ends"),
        pytest.param("fn f() {█\n", "\n\tg();\n}", "fn f() {\n\tg();\n}\n", id="braces and tabs"),
    ],
)
def test_text_that_is_good_is_shown_as_it_is(document: str, text: str, expected: str) -> None:
    assert accepted(document, text) == expected


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        pytest.param("f(█)", "a, b)", "f(a, b)", id="a bracket"),
        pytest.param("f(█)", "g(a)", "f(g(a))", id="but not the text's own bracket"),
        pytest.param("f(g(█)", "a))", "f(g(a))", id="one bracket of two"),
        pytest.param("f(g(█))", "a))", "f(g(a))", id="two brackets"),
        pytest.param("f(█)", "a);", "f(a)", id="a bracket and more"),
        pytest.param("x[f(█)]", "a)]\n", "x[f(a)]", id="two kinds of brackets"),
        pytest.param('x = "█"', 'hello"', 'x = "hello"', id="a quote"),
        pytest.param('f("█")', 'hello")\n', 'f("hello")', id="a quote and a bracket"),
        pytest.param('f("█")', 'hello", 1)', 'f("hello")', id="a quote and more"),
        pytest.param("x = █ + c", "a + b + c", "x = a + b + c", id="the rest of the line"),
        pytest.param("x = █ + c\ny", "a + b + c\n", "x = a + b + c\ny", id="the rest and an end"),
        pytest.param("max(█_total)", "max", "max(max_total)", id="but not half a word"),
        pytest.param("f(█b2)", "a + b", "f(a + bb2)", id="nor the beginning of another"),
        pytest.param("a = █ + 1", "b ", "a = b + 1", id="a space"),
        pytest.param(
            "def f():\n    █\n    return x\n",
            "x = 1\n    return x\n",
            "def f():\n    x = 1\n    return x\n",
            id="the next line",
        ),
        pytest.param(
            "def f():\n    █\n\n\n    return x\n\ny",
            "x = 1\n    return x",
            "def f():\n    x = 1\n\n\n    return x\n\ny",
            id="the next line that is not empty",
        ),
        pytest.param(
            "def f():\n    █\n    y = 2\n    return x + y\n",
            "x = 1\n    y = 2\n    return x + y",
            "def f():\n    x = 1\n    y = 2\n    return x + y\n",
            id="two next lines",
        ),
        pytest.param("f(\n    █\n)", "a,\n)", "f(\n    a,\n)", id="a bracket on the next line"),
        pytest.param(
            "if (x) {█\n}",
            "\n  for (;;) {\n  }\n}",
            "if (x) {\n  for (;;) {\n  }\n}",
            id="a brace, not the text's own",
        ),
        pytest.param(
            "def f(x):\n    if not x:█\n    return None\n",
            "\n        return None",
            "def f(x):\n    if not x:\n        return None\n    return None\n",
            id="but not the same words at another depth",
        ),
        pytest.param("    █\n    return x\n", "return x", None, id="nothing but the next line"),
        pytest.param("x = 1█\ny = 2\n", "\ny = 2\n", None, id="nothing but what follows"),
    ],
)
def test_what_the_suffix_says_is_not_said_twice(
    document: str, text: str, expected: str | None
) -> None:
    assert accepted(document, text) == expected


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        pytest.param("f(█)", "a,\n  b", "f(a,)", id="several lines that go elsewhere"),
        pytest.param("f(█)", "\n  a,\n  b\n)", "f(\n  a,\n  b\n)", id="several lines that end so"),
        pytest.param("x = █ + c", "f(\n  1\n) + c\n", "x = f(\n  1\n) + c", id="with an operator"),
        pytest.param("█return x", "y = 1\n", "y = 1\nreturn x", id="whole lines above"),
        pytest.param("  █return x", "y = 1\n  ", "  y = 1\n  return x", id="indented lines above"),
        pytest.param("  █return x", "y = 1\n", "  y = 1\n  return x", id="the depth is kept"),
        pytest.param("█return x", "y = 1\nz", None, id="nothing that would garble the line"),
        pytest.param("f(█)", "\n", None, id="nothing but a line end"),
        pytest.param("x█y", "_", "x_y", id="inside a word"),
        pytest.param("x = █b", "a + ", "x = a + b", id="a trailing space that joins"),
    ],
)
def test_with_text_right_of_the_cursor_only_what_joins_it_is_shown(
    document: str, text: str, expected: str | None
) -> None:
    assert accepted(document, text) == expected


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        pytest.param(
            "def f():\n    █\n",
            "return 1\n\n\ndef g():\n    return 2\n",
            "def f():\n    return 1\n",
            id="the next function",
        ),
        pytest.param(
            "def f():\n    if x:█\n",
            "\n        a()\n\n    b()\nc()",
            "def f():\n    if x:\n        a()\n\n    b()\n",
            id="only less than the cursor's line",
        ),
        pytest.param(
            "x = 1\n█\n", "a\nb\nc", "x = 1\na\nb\nc\n", id="nothing is less than nothing"
        ),
        pytest.param("\t█", "a()\n    b()\nc()", "\ta()", id="a tab is eight columns"),
        pytest.param("    █", "a(\n\n    )\n}", "    a(\n\n    )", id="empty lines do not count"),
    ],
)
def test_the_end_of_the_block_ends_the_text(document: str, text: str, expected: str) -> None:
    assert accepted(document, text) == expected


@pytest.mark.parametrize(
    ("max_lines", "expected"),
    [(1, "a\n"), (2, "a\nb\n"), (3, "a\nb\nc\n"), (9, "a\nb\nc\n")],
)
def test_no_more_lines_than_asked_for_are_shown(max_lines: int, expected: str) -> None:
    assert accepted("█\n", "a\nb\nc", max_lines) == expected


def test_a_limit_in_lines_does_not_glue_the_text_to_the_rest() -> None:
    assert accepted("█return x", "a = 1\nb = 2\n", 1) == "a = 1\nreturn x"


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        pytest.param("def f():\n    █", "    return 1", "def f():\n    return 1", id="spaces"),
        pytest.param("def f():\n\t█", "\treturn 1", "def f():\n\treturn 1", id="a tab"),
        pytest.param(
            "def f():\n    █",
            "    a = 1\n    return a",
            "def f():\n    a = 1\n    return a",
            id="the lines below are left alone",
        ),
        pytest.param(
            "def f():\n    if x:\n    █",
            "    return 1",
            "def f():\n    if x:\n        return 1",
            id="but deeper below an opened block",
        ),
        pytest.param("x = █", " 1", "x =  1", id="only at the beginning of a line"),
    ],
)
def test_the_indentation_of_the_cursor_is_not_doubled(
    document: str, text: str, expected: str
) -> None:
    assert accepted(document, text) == expected


@pytest.mark.parametrize(
    ("document", "text"),
    [
        pytest.param("    x = f(1)\n    █", "x = f(1)", id="the line above"),
        pytest.param("    x = f(1)\n    █", "    x = f(1)\n    y = 2", id="and more"),
        pytest.param("x = 1\n\n\n█", "\nx = 1\ny = 2", id="across empty lines"),
        pytest.param("x = 1█", "\nx = 1\n", id="the cursor's own line"),
        pytest.param("a = 1\nb = 2█", "a = 1\nb = 2", id="several lines"),
        pytest.param("import numpy█", "numpy", id="the word before"),
    ],
)
def test_what_stands_before_the_cursor_is_not_said_again(document: str, text: str) -> None:
    assert accepted(document, text) is None


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        ("f(g()█", ")", "f(g())"),
        ("x = 10█", "0", "x = 100"),
        ("  {\n    }\n  █", "}", "  {\n    }\n  }"),
    ],
)
def test_a_bracket_a_digit_or_another_depth_is_no_repetition(
    document: str, text: str, expected: str
) -> None:
    assert accepted(document, text) == expected


@pytest.mark.parametrize("text", ["", " ", "\n", "\t\n  \r\n", "\u00a0"])
@pytest.mark.parametrize("document", ["█", "x = █\n", "f(█)", "    █\n    y"])
def test_white_space_alone_is_not_shown(document: str, text: str) -> None:
    assert accepted(document, text) is None


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        pytest.param("x = █\n", "```python\n1\n```", "x = 1\n", id="around it"),
        pytest.param("x = █\n", "\n```\n1\n", "x = 1\n", id="only opened"),
        pytest.param("x = █\n", "1\n```\nThis sets x.", "x = 1\n", id="only closed"),
        pytest.param("x = █\n", "```", None, id="nothing else"),
        pytest.param(
            "```sh\nls\n```\n\n█", "```sh\npwd\n```", "```sh\nls\n```\n\n```sh\npwd\n```",
            id="but a document with fences keeps them",
        ),
    ],
)  # fmt: skip
def test_a_markdown_fence_around_code_is_stripped(
    document: str, text: str, expected: str | None
) -> None:
    assert accepted(document, text) == expected


DOCUMENTS = [
    "█",
    "f(█)",
    'f("█")',
    "def f():\n    █\n    return x\n",
    "    █x = [1]\n}",
    "a\r\n█\r\nb",
]
TEXTS = [
    "a",
    "a)\n",
    '"b")',
    "x = 1\n    return x\n",
    "```\n{\n",
    "\r\n\n",
    "    x = [1]",
    "}))\n]",
]


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("max_lines", [1, 3])
def test_whatever_is_shown_is_worth_it_and_within_its_lines(
    document: str, text: str, max_lines: int
) -> None:
    prefix, suffix = document.split("█")
    shown = ghost.to_ghost_text(text, prefix, suffix, max_lines=max_lines)
    assert shown is None or (shown.strip() and shown.rstrip().count("\n") < max_lines)
    assert shown is None or ("\r" in shown) <= ("\r" in document)


def test_of_texts_that_show_the_same_the_first_counts_and_what_shows_nothing_is_left_out() -> None:
    texts = ["", "b", "```\na\n```", "a", "b"]
    assert ghost.to_ghost_texts(texts, "x = ", "\n", max_lines=5) == {"b": 1, "a": 2}
