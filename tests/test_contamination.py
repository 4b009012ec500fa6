from textwrap import dedent

import pytest

from sampler.train.contamination import passages

TESTED = dedent('''\
    def longest(words):
        """Return the longest word."""
        best = ""
        for word in words:
            if len(word) > len(best):
                best = word
        return best
''')


def repeats(source: str) -> bool:
    return bool(passages(dedent(source)) & passages(TESTED))


@pytest.mark.parametrize(
    ("why", "source"),
    [
        ("itself", TESTED),
        ("other names", TESTED.replace("best", "found").replace("word", "text")),
        ("without its docstring", TESTED.replace('    """Return the longest word."""\n', "")),
        ("with comments", TESTED.replace("    for", "    # look at all\n\n    for")),
        ("inside another", "class A:\n" + "".join(f"    {x}\n" for x in TESTED.splitlines())),
        ("four lines of it", TESTED.replace('best = ""', "best = words[0]")),
    ],
)
def test_a_program_repeats_what_is_tested(why: str, source: str) -> None:
    assert repeats(source), why


@pytest.mark.parametrize(
    ("why", "source"),
    [
        ("another comparison", TESTED.replace(">", "<")),
        ("another function", TESTED.replace("len(", "sum(")),
        ("another method", TESTED.replace("len(word)", "word.count(1)")),
        ("names exchanged", TESTED.replace("best = word", "word = best")),
        ("three lines of it", TESTED.replace('best = ""', "a = 1").replace("best = word", "a = 2")),
        ("no Python", "def f(:\n"),
        ("no function", 'best = ""\n'),
        ("a docstring alone", 'def f():\n    """Return the longest word."""\n'),
    ],
)  # fmt: skip
def test_a_program_is_another(why: str, source: str) -> None:
    assert not repeats(source), why


def test_a_short_body_is_compared_whole() -> None:
    assert passages("def f(a):\n    return len(a)\n") == passages(
        'def g(text):\n    """Measure."""\n    return len(text)\n'
    )
