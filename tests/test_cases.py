import pytest

from dgemma_lsp.bench import Hole
from sampler.train import cases, corpus

CODE = '''"""Tell how wide a thing is.

It looks at every side of it in turn.
>>> width(3)
"""


def width(thing):
    """Return the width of a thing that has one."""
    # What has no width at all is not a thing.
    side = max(thing)  # the longest of its sides counts here
    text = """not a docstring but a long piece of
    text with many words in it"""
    return side, text
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(CODE)
    return path


def test_prose_is_what_reads_like_a_sentence_in_docstrings_and_comments(file):
    found = list(cases.prose_holes(file))
    assert [hole.middle for hole in found] == [
        "It looks at every side of it in turn.",
        "What has no width at all is not a thing.",
    ]
    assert all(hole.filled(hole.middle) == CODE for hole in found)


def test_code_has_as_many_holes_of_one_line_as_of_two_to_six(tmp_path):
    path = tmp_path / "long.py"
    path.write_text("".join(f"x{i} = {i}\n" for i in range(60)))
    drawn = cases.code([path], 7, seed=0)
    lines = {kind: [hole.middle.count("\n") + 1 for hole in holes] for kind, holes in drawn.items()}
    assert lines == {cases.ONE: [1] * 7, cases.SEVERAL: [2, 2, 3, 3, 4, 5, 6]}
    assert drawn == cases.code([path], 7, seed=0)
    assert drawn != cases.code([path], 7, seed=1)


@pytest.mark.parametrize(
    ("before", "above"),
    [
        ("", ""),
        ("x = 1\n", "x = 1"),
        ("if x:\n    y = 1\n\n    ", "y = 1"),
        ("\n\n", ""),
        ("a = 1\nb = ", "a = 1"),
    ],
)
def test_the_line_above_is_the_nearest_with_text(before, above, tmp_path):
    hole = Hole(tmp_path, f"{before}z\n", len(before), len(before) + 1)
    assert cases.line_above(hole) == above


def test_a_filling_is_judged_within_its_file(file):
    hole = next(cases.prose_holes(file))
    assert cases.judge(hole, hole.middle).exact
    assert cases.judge(hole, "other words").parses
    assert not cases.judge(hole, '"""').parses


def test_a_missing_held_out_package_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "HELD_OUT", ("surely_not_there",))
    with pytest.raises(FileNotFoundError, match=r"surely_not_there.*sampler\.train\.corpus DIR"):
        cases.held_out_files(tmp_path)


def test_held_out_packages_are_read_from_the_folder_that_is_named(tmp_path):
    for name in corpus.HELD_OUT:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("x = 1\n")
    assert len(cases.held_out_files(tmp_path)) == len(corpus.HELD_OUT)
