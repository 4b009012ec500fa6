"""What follows from an edit, on marked texts: the word at ¦ was replaced, whatever was there."""

import pytest

from dgemma_lsp.edits import Span
from dgemma_lsp.follow import Change, Replaced, changes, elsewhere, exports, smallest, words


@pytest.mark.parametrize(
    ("before", "old", "new", "after", "replaced"),
    [
        ("", "total", "sum", " = 1", Replaced(0, "total", "sum")),
        ("x.", "na", "no", "me", Replaced(2, "name", "nome")),
        ("new_", "", "er", "_name", Replaced(0, "new__name", "new_er_name")),
        ("x = ", "a + b", "c", "", None),
        ("x = ", "", "c", "", None),
        ("x = ", "12", "13", "", None),
        ("x = ", "same", "same", "", None),
    ],
)
def test_an_edit_inside_a_word_replaces_the_whole_word(
    before: str, old: str, new: str, after: str, replaced: Replaced | None
) -> None:
    text = before + new + after
    assert words(text, Span(len(before), len(before) + len(new)), old) == replaced


def found(marked: str, old: str, new: str, times: int = 1) -> list[str]:
    """Return the changed lines; ¦ stands before the new word in the text as it is now."""
    start = marked.index("¦")
    text = marked.replace("¦", "")
    assert text.startswith(new, start)
    edit = Replaced(start, old, new, times)
    return [change.text.strip() for change in changes(text, edit, start)]


@pytest.mark.parametrize(
    ("marked", "lines"),
    [
        pytest.param(
            "def f(a, ¦new):\n    old.x(old)\n    g(old=old, b=a.old)\n\nold = 1\n",
            ["new.x(new)", "g(old=new, b=a.old)"],
            id="a parameter, in its function, but no keyword and no attribute",
        ),
        pytest.param(
            "def f():\n    ¦new = 1\n    return old\n\ndef g(old):\n    return old\n",
            ["return new"],
            id="a variable, in its function",
        ),
        pytest.param(
            "def f(\n    ¦new,\n    b,\n):\n    return old\n",
            ["return new"],
            id="a parameter of a header of several lines",
        ),
        pytest.param(
            "def f(b):\n    for ¦new in b:\n        print(old)\n",
            ["print(new)"],
            id="a loop's variable",
        ),
        pytest.param(
            "def f(b):\n    if g(b):\n        ¦new = 1\n    return old\n",
            ["return new"],
            id="a variable that gets its name in a block of its function",
        ),
        pytest.param(
            "function f(b) {\n  const ¦new = b;\n  return old;\n}\nlet x = old;\n",
            ["return new;"],
            id="a variable of JavaScript",
        ),
        pytest.param(
            "x = old()\n\ndef ¦new():\n    pass\n\ny = m.old()\n",
            ["y = m.new()", "x = new()"],
            id="a function, everywhere",
        ),
        pytest.param(
            "class A:\n    def ¦new(self):\n        old = 1\n        return self.old()\n",
            ["return self.new()"],
            id="a method, as an attribute alone",
        ),
        pytest.param(
            "def f(¦new):\n    # old\n    return 'old' + \"old\" + old\n",
            ["return 'old' + \"old\" + new"],
            id="no remarks and no strings",
        ),
        pytest.param(
            'def f(¦new):\n    """Take old.\n\n    old is one.\n    """\n    return old\n',
            ["return new"],
            id="no docstrings",
        ),
    ],
)
def test_another_name_is_given_to_a_thing_wherever_it_is_used(
    marked: str, lines: list[str]
) -> None:
    assert found(marked, "old", "new") == lines


@pytest.mark.parametrize(
    "marked",
    [
        pytest.param("def f(old):\n    g(¦new)\n    return old\n", id="an earlier use stays"),
        pytest.param("def f():\n    g(¦new)\n    return old\n", id="a use"),
        pytest.param("def f(¦new, b):\n    b = new\n    return old\n", id="a name that is there"),
        pytest.param("def old():\n    pass\n\n¦new = 1\nold()\n", id="the other is defined"),
        pytest.param("import new\n\n¦new = 1\nold()\n", id="the new one is imported"),
        pytest.param(
            "def f(old):\n    if g(1):\n        ¦new = 1\n        h(old)\n", id="assigned before"
        ),
        pytest.param("def f():\n    g(¦new=1)\n    return old\n", id="a keyword"),
        pytest.param("def f():\n    ¦new == 1\n    return old\n", id="a comparison"),
    ],
)
def test_nothing_follows_where_another_thing_is_named(marked: str) -> None:
    assert found(marked, "old", "new") == []


def test_what_was_done_twice_is_done_again() -> None:
    assert found("def f():\n    g(¦new)\n    h(new)\n    return old\n", "old", "new", 2) == [
        "return new"
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(
            "from pkg.mod import old, x\n\nold(a.old, old=1)\nmod.old()\n",
            ["from pkg.mod import new, x", "new(a.old, old=1)", "mod.new()"],
            id="an imported name and its uses",
        ),
        pytest.param(
            "from .mod import new\n\nold()\n", ["new()"], id="the import is changed already"
        ),
        pytest.param(
            "import pkg.mod as m\nfrom pkg import mod\n\nmod.old()\nold()\nx.mod.old()\n",
            ["mod.new()"],
            id="an attribute of the module",
        ),
        pytest.param(
            "import { old } from './mod';\nold();\n",
            ["import { new } from './mod';", "new();"],
            id="an import of JavaScript",
        ),
        pytest.param("from other import old\nold()\n", [], id="the name of another module"),
        pytest.param("def old(): ...\nold()\n", [], id="a name of its own"),
    ],
)
def test_what_was_given_another_name_in_one_document_is_used_in_others(
    text: str, lines: list[str]
) -> None:
    found = elsewhere(text, Replaced(4, "old", "new"), "mod", 0)
    assert [change.text for change in found] == lines


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("def new(): ...\n", 4, True),
        ("class new: ...\n", 6, True),
        ("class A:\n    def new(self): ...\n", 17, False),
        ("new = 1\n", 0, False),
    ],
)
def test_other_documents_take_functions_and_classes(text: str, start: int, expected: bool) -> None:
    assert text.startswith("new", start)
    assert exports(text, Replaced(start, "old", "new")) is expected


def test_the_nearest_below_the_cursor_comes_first() -> None:
    text = "def new(): ...\n\nold(1)\nold(2)\nold(3)\n"
    lines = [
        change.text for change in changes(text, Replaced(4, "old", "new"), text.index("old(2"))
    ]
    assert lines == ["new(2)", "new(3)", "new(1)"]


def test_what_is_far_away_is_left_alone() -> None:
    text = "def new(): ...\n" + "\n" * 70 + "old()\n"
    assert changes(text, Replaced(4, "old", "new"), 0) == []


@pytest.mark.parametrize(
    ("line", "to", "least"),
    [
        ("return old.x", "return new.x", Change(7, 10, "new")),
        ("return old_name", "return new_name", Change(7, 15, "new_name")),
        ("f(old, a, old)", "f(new, a, new)", Change(2, 13, "new, a, new")),
        ("f(old)", "f(old, new)", Change(2, 5, "old, new")),
    ],
)
def test_the_least_that_makes_a_change_is_whole_words(line: str, to: str, least: Change) -> None:
    assert smallest("\n" + line, Change(1, 1 + len(line), to)) == Change(
        least.start + 1, least.end + 1, least.text
    )
