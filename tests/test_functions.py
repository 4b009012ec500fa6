import ast
from pathlib import Path
from textwrap import dedent

import pytest

from sampler.train.functions import BODY, DOCSTRING, functions


def found(source: str) -> list[str]:
    return list(functions(dedent(source)))


COUNT = """\
def count(words, least):
    \"\"\"Count the long words.\"\"\"
    found = 0
    for word in words:
        if len(word.strip()) >= least:
            found += 1
    return found
"""


def test_a_function_of_builtins_and_its_own_names_stands_alone() -> None:
    assert found(COUNT) == [COUNT]


def test_a_function_inside_another_is_moved_to_the_margin() -> None:
    outer = "class Text:\n    @staticmethod\n" + "".join(
        "    " + line + "\n" for line in COUNT.splitlines()
    )
    assert found(outer) == [COUNT]


@pytest.mark.parametrize(
    ("why", "source"),
    [
        ("a method", COUNT.replace("words,", "self, words,")),
        ("nothing is decided", "def f(a):\n    b = a + 1\n    return b\n"),
        ("one line", "def f(a):\n    return [b for b in a]\n"),
        (
            "names of others",
            "def f(a):\n    if a:\n        x = load(store)\n    return x.send(a).wait()\n",
        ),
        ("too long", "def f(a):\n    if a:\n" + "        a += 1\n" * BODY + "    return a\n"),
        (
            "too much is told of it",
            COUNT.replace("Count the long words.", "Count." + "\n" * DOCSTRING),
        ),
        ("no Python", "def f(:\n"),
        (
            "a string keeps it from the margin",
            "if x:\n    def f(a):\n        if a:\n            a = '''\n'''\n        return a\n",
        ),
    ],
)
def test_what_does_not_stand_alone_is_left_out(why: str, source: str) -> None:
    assert found(source) == [], why


def test_what_is_cut_out_is_python() -> None:
    texts = list(functions(Path(ast.__file__).read_text(encoding="utf-8")))
    assert texts
    for text in texts:
        [node] = ast.parse(text).body
        assert isinstance(node, ast.FunctionDef)
