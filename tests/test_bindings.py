"""What the code around a cursor lacks of names, and what a text is worth there for them."""

import pytest

from dgemma_lsp.bindings import (
    BELOW_CHARS,
    LONGEST_CHARS,
    MOST_NAMES,
    Surroundings,
    bound,
    surroundings,
)


def around(document: str, language: str = "python") -> Surroundings:
    before, _, after = document.partition("|")
    return surroundings(before, after, language, bound(before, after, language))


SUM = (
    "def add(values):\n    |\n    for value in values:\n        total += value\n    return total\n"
)


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        pytest.param(SUM, ["total"], id="of the function"),
        pytest.param(SUM.replace("|", "tot|"), ["total"], id="begun"),
        pytest.param(SUM.replace("|", "total = len(|)"), ["total"], id="within a line"),
        pytest.param(f"total = 0\n\n\n{SUM}", [], id="bound at the margin"),
        pytest.param(f"{SUM}\n\ntotal = 0\n", [], id="bound at the margin below"),
        pytest.param(f"def other():\n    total = 1\n\n\n{SUM}", ["total"], id="another function's"),
        pytest.param(f'"""A total."""\n# total\n{SUM}', ["total"], id="in words"),
        pytest.param(f"from sums import *\n{SUM}", [], id="who knows what is imported"),
        pytest.param(SUM.replace("values)", "values:"), [], id="does not parse"),
        pytest.param(f"def broken(:\n\n\n{SUM}", ["total"], id="does not parse elsewhere"),
        pytest.param(
            SUM.replace("    for", "    print(total, a)\n    for"), ["total", "a"], id="2"
        ),
        pytest.param(
            "def f():\n    print(a)\n    |\n    return a, b\n", ["b"], id="nothing that lacks above"
        ),
        pytest.param(
            "class C:\n    x = 1\n\n    def f(self):\n        |\n        return x, self\n\n"
            "    def g(self):\n        return y\n",
            ["x"],
            id="of the method",
        ),
        pytest.param(
            "def f(a):\n    def g():\n        |\n        return b, c\n\n    c = 1\n    return g\n",
            ["b"],
            id="of the outer function",
        ),
        pytest.param(
            "def f():\n    |\n    try:\n        pass\n# words\n    finally:\n        a(\n)\n",
            ["a"],
            id="what ends nothing",
        ),
        pytest.param("|\n\n\ndef f(): return os.sep\n", ["os"], id="at the margin"),
        pytest.param("if x:\n    |\n    y\nx\n", ["y"], id="of a statement"),
        pytest.param("class C:\n    |\n    y = z\n", ["z"], id="of a class"),
        pytest.param("def f():\n    return |\n", [], id="nothing below"),
        pytest.param("|", [], id="empty"),
        pytest.param("    |", [], id="only indented"),
        pytest.param("x = 1\0|\n", [], id="no code at all"),
    ],
)
def test_what_the_code_below_uses_and_nothing_binds_is_wanted(
    document: str, wanted: list[str]
) -> None:
    assert list(around(document).wanted) == wanted


def test_of_other_languages_and_of_very_long_code_nothing_is_said() -> None:
    assert around(SUM, "lua") == Surroundings()
    long = SUM.replace("|", "|" + "\n    x = 1" * (LONGEST_CHARS // 10))
    assert around(long) == Surroundings()
    margin = "|\n" + "x = 1\n" * (BELOW_CHARS // 6 + 1) + "y\n"
    assert around(margin).wanted == ()


@pytest.mark.parametrize(
    ("document", "opens"),
    [
        ("def f(xs):\n    |\n        return x\n", True),
        ("def f(xs):\n    |\n    return x\n", False),
        ("def f(xs):\n    |\n", False),
        ("def f(xs):\n    for x in |\n        return x\n", True),
        ("|\n    x = 1\n", True),
    ],
)
def test_a_line_above_deeper_ones_must_open_a_block(document: str, opens: bool) -> None:
    assert around(document).opens == opens


def test_of_a_part_of_a_file_no_name_is_said_to_be_wanted() -> None:
    before, after = SUM.split("|")
    rest = surroundings(before, after, "python", None)
    assert (rest.wanted, rest.judge("count = start").lacking) == ((), 0)
    # ... nor anything where the part begins within a function.
    begun = "\n".join(before.split("\n")[1:])
    assert surroundings(begun, after, "python", []) == Surroundings()
    assert bound(begun, after, "python") is None


@pytest.mark.parametrize(
    ("document", "names"),
    [
        (
            "import os\n\n\ndef f(a):\n    |\n\n\nclass C:\n    x = 1\n\n\ny = z\n",
            "C import os y z",
        ),
        ("if a:\n    b = 1\n\n\ndef f():\n    c = 1\n\n\n|", "a b f if"),
        ('"""Words."""\nx = """\nmore\n"""  # words\n|', "x"),
        ("|", ""),
    ],
)
def test_what_the_margin_mentions_may_be_bound_there(document: str, names: str) -> None:
    before, _, after = document.partition("|")
    assert bound(before, after, "python") == names.split()


def test_what_is_bound_is_not_told_where_it_is_not_sure_or_too_much() -> None:
    assert bound("from os import *\n", "", "python") is None
    assert bound("", "\n\nfrom os import *\n", "python") is None
    assert bound("import os\n", "", "lua") is None
    table = "".join(f"x{number}\n" for number in range(MOST_NAMES + 1))
    assert bound(table, "", "python") is None


@pytest.mark.parametrize(
    ("document", "idle"),
    [
        ("def f(a, b):\n    |\n    return a\n", ["b"]),
        ("def f(a, b):\n    c = a\n    |\n", ["c", "b"]),
        ("def f(self, a):\n    _, b = a\n    |\n    c = 1\n", ["b"]),
        ("def f(a):\n    for b in a:\n        |\n", ["b"]),
        ("def f(a):\n    for b in |\n        print(b)\n", ["a"]),
        ("a = 1\n|\n", []),
    ],
)
def test_what_the_function_binds_above_and_uses_nowhere_is_idle(
    document: str, idle: list[str]
) -> None:
    assert list(around(document).idle) == idle


@pytest.mark.parametrize(
    ("document", "text", "lacking"),
    [
        (SUM, "total = 0", 0),
        (SUM, "total = start", 1),
        (SUM, "count = 0", 1),
        (SUM, "count = start", 2),
        (SUM, "total = (", 1),
        ("def f(xs):\n    |\n    return xs\n", "x = (", 0),
        (SUM.replace("|", "tot|"), "al = 0", 0),
        (SUM.replace("|", "tot|"), "als = 0", 1),
        ("def f(xs):\n    |\n        print(x)\n", "for x in xs:", 0),
        ("def f(xs):\n    |\n        print(x)\n", "for y in xs:", 1),
        ("def f(xs):\n    |\n    return x\n", "x = xs\n    y = x", 0),
        ("def f(xs):\n    return |\n", "xs", 0),
        ("def f(xs):\n    return |\n", "ys", 1),
        ("def f(xs):\n    return len(|)\n", "ys", 1),
        ("def f(xs):\n    print(ys)\n    return |\n", "ys", 0),  # not this text is to blame
        ("from a import *\n\n\ndef f(xs):\n    return |\n", "ys", 0),
    ],
)
def test_a_text_lacks_what_it_leaves_unbound_and_what_only_it_uses(
    document: str, text: str, lacking: int
) -> None:
    assert around(document).judge(text).lacking == lacking


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("print(b)", True),
        ("return lambda: b", True),
        ("print('b')", False),
        ("print(a.b)", False),
        ("b = 2", False),
        ("print(b", False),
        ("", False),
    ],
)
def test_a_text_uses_an_idle_name_or_not(text: str, uses: bool) -> None:
    assert around("def f(a):\n    b, c = a\n    |\n").judge(text).uses == uses
