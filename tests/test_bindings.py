"""What the code around a cursor lacks of names, and what a text is worth there for them."""

import pytest

from dgemma_lsp.bindings import (
    BELOW_CHARS,
    LONGEST_CHARS,
    Surroundings,
    surroundings,
)


def around(document: str, language: str = "python") -> Surroundings:
    before, _, after = document.partition("|")
    return surroundings(before, after, language)


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
    assert around(document).lacking(text) == lacking
