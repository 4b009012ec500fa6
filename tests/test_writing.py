import pytest

from dgemma_lsp import wire
from dgemma_lsp.errors import UserError
from dgemma_lsp.in_place import InPlace
from dgemma_lsp.modes import Task, Written
from dgemma_lsp.writing import Asked, Hole, plan

CODE = '''\
import os


@cache
def mean(values):
    total = sum(values)
    return total / len(values)


class Box:
    @property
    def area(self):
        def inner():
            """It has one."""
        return 1

    async def one(self): return 1
'''


def task(mode, text=CODE, language="python", start=0, end=None, **fields):
    end = len(text) if end is None else end
    return Task(mode=mode, text=text, start=start, end=end, language=language, **fields)


def at(words, mode="docstring", text=CODE, **fields):
    place = text.index(words)
    return task(mode, text, start=place, end=place, **fields)


def job(way):
    (only,) = way.jobs(wire.Sampling(seed=4))
    return only


@pytest.mark.parametrize(
    ("mode", "language", "kind"),
    [
        ("shorten", "markdown", InPlace),
        ("grammar", "plaintext", InPlace),
        ("custom", "markdown", InPlace),
        ("custom", "python", Asked),
        ("summarise", "python", Asked),
        ("explain", "python", Asked),
        ("commit", "diff", Asked),
        ("continue", "python", Hole),
    ],
)
def test_each_mode_has_its_way(mode, language, kind):
    assert isinstance(plan(task(mode, "some words", language, instruction="x")), kind)


@pytest.mark.parametrize("mode", ["summarise", "explain", "commit"])
def test_nothing_selected_is_refused(mode):
    with pytest.raises(UserError, match=f"{mode}: nothing is selected"):
        plan(task(mode, "some words", end=0))


# -- a hole ----------------------------------------------------------------------------------------


def test_a_text_goes_on_behind_the_selection_before_what_follows():
    way = plan(task("continue", "one two three", end=7))
    asked = job(way)
    assert isinstance(asked, wire.Complete)
    assert (asked.prefix, asked.suffix, asked.sampling.seed) == ("one two", " three", 4)
    assert way.written([[" and a half"]]).applied("one two three") == "one two and a half three"


@pytest.mark.parametrize(("words", "canvas"), [(None, None), (1, 8), (20, 30), (99999, 4096)])
def test_the_words_aimed_at_set_the_canvas(words, canvas):
    assert job(plan(task("continue", length=words))).sampling.canvas_length == canvas


def test_a_docstring_is_a_hole_between_its_quotes():
    asked = job(plan(at("total = sum")))
    assert asked.prefix.endswith('def mean(values):\n    """')
    assert asked.suffix.startswith('"""\n    total = sum')


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("Return the mean.", '    """Return the mean."""\n'),
        ('Return it.""" \n    x = 1', '    """Return it."""\n'),
        ('Say "it"', '    """Say "it"""\n'),
        ("two\n  lines\\", '    """two lines"""\n'),
        ("", ""),
    ],
)
def test_what_is_written_of_a_docstring_stands_on_one_line(said, line):
    way = plan(at("total = sum"))
    new = way.written([[said]]).applied(CODE)
    assert new == CODE.replace("    total = sum", f"{line}    total = sum")


def test_a_docstring_that_breaks_the_code_is_not_taken():
    assert plan(at("total = sum")).written([["an \\N{nothing}"]]) == Written()


@pytest.mark.parametrize(
    ("place", "before"),
    [
        ("@cache", "    total"),
        ("def mean", "    total"),
        ("class Box", "    @property"),
        ("def area", "        def inner"),
        ("return 1\n\n", "        def inner"),
    ],
)
def test_the_docstring_is_that_of_what_is_defined_around_the_place(place, before):
    asked = job(plan(at(place)))
    assert asked.suffix.startswith(f'"""\n{before}')


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (at("import os"), "line 1 is in no function"),
        (at('"""It has'), "inner has one already"),
        (at("async def"), "one has its body on the line of its name"),
        (task("docstring", "def (", end=0), "line 1 is no Python yet"),
        (task("docstring", "x", "rust"), "Python only, not rust"),
    ],
)
def test_where_no_docstring_goes_is_told_in_one_line(wanted, message):
    with pytest.raises(UserError, match=message):
        plan(wanted)


# -- as in a chat ----------------------------------------------------------------------------------


def test_the_question_holds_the_selection_in_a_fence_that_it_does_not_close():
    asked = job(plan(task("summarise", "see\n```\nx\n```\n", "markdown")))
    (turn,) = asked.messages
    assert turn.content.endswith("\n````markdown\nsee\n```\nx\n```\n\n````")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("new", "new\n"),
        ("```python\nnew\n```", "new\n"),
        ("Here it is:\n```python\na\n\nb\n```\nDone.", "a\n\nb\n"),
        ("````\n```\nx\n```\n````", "```\nx\n```\n"),
        ("```\nnever closed", "never closed\n"),
    ],
)
def test_code_comes_out_of_its_fence_and_ends_as_the_selection_does(answer, expected):
    way = plan(task("fix", "old\n", problem="it is old"))
    assert way.written([[answer]]).applied("old\n") == expected


@pytest.mark.parametrize("language", ["gitcommit", "git-commit"])
def test_a_commit_message_goes_above_what_git_shows(language):
    shown = "\n# Changes:\n+x = 1\n"
    way = plan(task("commit", shown, language))
    assert way.written([["Add x\n\nIt lacked."]]).applied(shown) == f"Add x\n\nIt lacked.\n{shown}"


def test_an_explanation_is_told_and_changes_nothing():
    assert plan(task("explain")).written([["It ", "counts. "]]) == Written(told="It counts.")
