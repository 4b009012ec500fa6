"""What stands at like places elsewhere."""

import pytest

from dgemma_lsp.elsewhere import MOST, OWN, Lines, copies

POINT = """\
class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def norm(self):
        return hypot(self.x, self.y)
"""


def found(*others: str, at: str, count: int = 4, max_lines: int = 12) -> list[str]:
    before, after = at.split("¦")
    texts = copies(map(Lines, others), before, after, count=count, max_lines=max_lines)
    return [copy.text for copy in texts]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        # behind the same line
        ("class A:\n    def __init__(self, x, y):\n        ¦\n", ["self.x = x"]),
        # before the same line
        ("        ¦\n        self.y = y\n", ["self.x = x"]),
        # what is typed already is not said again, nor what stands behind the cursor
        ("        self.x ¦", ["= x"]),
        ("        return hypot(¦)\n", ["self.x, self.y"]),
        # nothing is like it
        ("import os\n¦\n", []),
        ("¦", []),
    ],
)
def test_what_stands_at_a_like_place_may_be_copied(at: str, expected: list[str]) -> None:
    assert found(POINT, at=at, max_lines=1)[: len(expected) or 1] == expected


def test_lines_up_to_where_the_text_goes_on_alike_are_copied_together() -> None:
    at = "class B:\n    def __init__(self, x, y):\n        ¦\n\n    def norm(self):\n        pass\n"
    both = "self.x = x\n        self.y = y"
    assert found(POINT, at=at)[0] == both
    assert both not in found(POINT, at=at, max_lines=1)


def test_the_place_that_agrees_most_comes_first_and_each_text_once() -> None:
    one = "if a:\n    go(1)\n    stop()\n"
    two = "while b:\n    if a:\n        go(2)\n"
    at = "while b:\n    if a:\n        ¦\n"
    assert found(one, two, one, at=at, max_lines=1) == ["go(2)", "go(1)"]
    assert found(one, two, at=at, count=1, max_lines=1) == ["go(2)"]
    assert found(one, two, at=at, count=0) == []


TOLD = '''\
def double(x):
    """Return twice as much.

    print("in a docstring")
    """
    print("in code")
'''


@pytest.mark.parametrize(
    ("above", "closing", "expected"),
    [
        ("", "", '"in code")'),
        ('    """Tell.\n', '"""', '"in a docstring")'),
        ('    """Tell."""\n', "", '"in code")'),
        ("    x = '''\n", "'''", '"in a docstring")'),
    ],
)
def test_code_is_not_copied_out_of_docstrings_nor_into_them(
    above: str, closing: str, expected: str
) -> None:
    at = f"{above}    print(¦"
    assert found(TOLD, at=at) == [expected]
    assert found(at=f"{TOLD}{at}") == [expected]
    assert found(at=f"{at}\n{closing}\n{TOLD}") == [expected]


@pytest.mark.parametrize(
    ("at", "is_copied"),
    [
        ("def double(x):\n    ¦\n", True),
        ("def f(\n    x,\n):\n    ¦\n", True),
        ("class C:\n    ¦\n", True),
        ("¦\ndef double(x):\n", True),
        ("for x in y:\n    format = 1\n    ¦\n", True),
        ("for x in y:\n    ¦\n", False),
        ("else:\n    ¦\n", False),
        ("x = 1\n    ¦\n", True),  # some describe what they have just bound
    ],
)
def test_a_docstring_is_copied_to_where_one_may_stand(at: str, is_copied: bool) -> None:
    describing = '"""Tell."""\ndef double(x):\n    """Tell."""\n'
    heads = ("class C:", "    x,\n):", "for x in y:", "else:", "    format = 1", "x = 1")
    told = describing + "".join(f'{head}\n    """Tell."""\n' for head in heads)
    assert any('ell."""' in text for text in found(told, at=at, max_lines=1)) == is_copied


def test_a_triple_quote_on_the_cursors_line_counts() -> None:
    told = 'a = """print("x")\nprint("in a string")\n"""\n'
    assert found(told, at='b = """print(¦') == []
    assert found(told + "print(1)\n", at="print(¦") == ["1)"]


def test_the_document_itself_is_looked_through_on_both_sides() -> None:
    at = "if ready:\n    begin()\nif ready:\n    ¦\nif ready:\n    finish()\n"
    assert sorted(found(at=at, max_lines=1)) == ["begin()", "finish()"]


def test_how_much_agrees_is_counted_on_both_sides_up_to_the_measure() -> None:
    before, after = "# " + "b" * 100 + "\n", "\n# " + "a" * 100 + "\n"
    (copy,) = copies([Lines(before + "x = 1" + after)], before, after, count=4, max_lines=1)
    assert (copy.before, copy.after, copy.agreement) == (MOST, MOST, 2 * MOST)
    other = Lines("ab: cd\nx\nef")
    (copy,) = copies([other], "?b: cd\n", "\ne?", count=4, max_lines=1)
    assert (copy.text, copy.before, copy.after) == ("x", 6, 2)


def test_far_from_the_cursor_the_document_is_not_looked_through() -> None:
    fill = "".join(f"a_{number} = {number}\n" for number in range(OWN // 8))
    assert found(at="if ready:\n    begin()\n" + fill + "if ready:\n    ¦\n") == []
