"""Short programs made up out of templates and run for their examples. No tokens, no model.

Library code, which nano learns from, seldom counts, searches or adds up: functions that do are
made up here, many to a template (as for phi-1, arXiv 2306.11644, though by rule, not by a model).
A function is dressed as people dress them, with types of one style or none, with or without a
docstring, with examples that are true because the function was run on them.
"""

import ast
import random
import re
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from textwrap import fill, indent

from sampler.train.examples import examples_of
from sampler.train.import_lines import import_lines
from sampler.train.templates import Vocabulary, expand, read_templates, read_vocabulary

LONGEST_LINE = 86
_CLUE = "#> "
_GENERICS = {"list": "List", "dict": "Dict", "set": "Set", "tuple": "Tuple"}


def read_all() -> tuple[Vocabulary, list[str]]:
    """Return the vocabulary and all templates that the package holds."""
    folder = resources.files("sampler.train").joinpath("exercises")
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".txt"))
    texts = {name: folder.joinpath(name).read_text(encoding="utf-8") for name in names}
    vocabulary = read_vocabulary(texts.pop("vocabulary.txt"))
    return vocabulary, [t for text in texts.values() for t in read_templates(text)]


def files(
    vocabulary: Vocabulary, templates: Sequence[str], chooser: random.Random
) -> Iterator[str]:
    """Yield files of one to six programs each, without end."""
    while True:
        picked = chooser.sample(templates, min(chooser.choice((1, 2, 3, 4, 6)), len(templates)))
        style = chooser.choice(_TYPES)
        programs = [_dressed(expand(t, vocabulary, chooser), style, chooser) for t in picked]
        body = "\n\n\n".join(program.rstrip("\n") for program in programs)
        yield import_lines(programs) + body + "\n"


def _dressed(text: str, style: Callable[[str], str], chooser: random.Random) -> str:
    """Return a program as its author would have written it: types, docstring, examples."""
    clues, source = without_clues(text)
    node = ast.parse(source).body[-1]
    if not isinstance(node, ast.FunctionDef) or ast.get_docstring(node) is None:
        return style(source)
    examples = examples_of(source, node, clues, chooser)
    before, sentence, after = _around_docstring(source, node)
    style_of_doc = chooser.choice(_DOCSTRINGS if examples else _WITHOUT_EXAMPLES)
    doc = style_of_doc(fill(sentence, LONGEST_LINE), examples)
    if "\\" in doc and not doc.startswith("#"):
        doc = "r" + doc
    return style(before) + (indent(doc, "    ") if doc else "") + after


def without_clues(text: str) -> tuple[list[str], str]:
    """Cut a template's text in the arguments that it gives for examples, and the program."""
    lines = text.splitlines()
    clues = [line.removeprefix(_CLUE) for line in lines if line.startswith(_CLUE)]
    return clues, "\n".join(line for line in lines if not line.startswith(_CLUE)) + "\n"


def _around_docstring(source: str, node: ast.FunctionDef) -> tuple[str, str, str]:
    """Cut a function at its docstring: what stands before, what it says, what stands behind."""
    lines = source.splitlines(keepends=True)
    first, last = node.body[0].lineno, node.body[0].end_lineno
    sentence = ast.get_docstring(node)
    assert last is not None and sentence is not None
    return "".join(lines[: first - 1]), sentence, "".join(lines[last:])


def _typing(text: str) -> str:
    return re.sub(r"\b(list|dict|set|tuple)\[", lambda m: _GENERICS[m[1]] + "[", text)


def _untyped(text: str) -> str:
    """Return code whose `def` lines have no annotations."""
    return re.sub(r"^( *def \w+\().*:$", _untyped_line, text, flags=re.MULTILINE)


def _untyped_line(match: re.Match[str]) -> str:
    [node] = ast.parse(match[0].strip() + " ...").body
    assert isinstance(node, ast.FunctionDef)
    for argument in ast.walk(node.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    return f"{match[1]}{ast.unparse(node.args)}):"


# The older style of types is still the one that is met most.
_TYPES: tuple[Callable[[str], str], ...] = (str, _typing, _typing, _untyped)


def _doctest(examples: Sequence[tuple[str, str]]) -> str:
    """Show calls as a session does, which says nothing for None."""
    return "".join(
        f">>> {call}\n" + ("" if result == "None" else f"{result}\n") for call, result in examples
    )


def _one_line(sentence: str, examples: Sequence[tuple[str, str]]) -> str:
    return f'"""{sentence}"""\n'


def _doctested(sentence: str, examples: Sequence[tuple[str, str]]) -> str:
    return f'"""{sentence}\n\n{_doctest(examples)}"""\n'


def _doctested_closely(sentence: str, examples: Sequence[tuple[str, str]]) -> str:
    return f'""" {sentence}\n{_doctest(examples)}"""\n'


def _arrows(sentence: str, examples: Sequence[tuple[str, str]]) -> str:
    shown = "".join(f"{call} -> {result}\n" for call, result in examples)
    return f'"""\n{sentence}\n\nExamples:\n{shown}"""\n'


def _equations(sentence: str, examples: Sequence[tuple[str, str]]) -> str:
    shown = "".join(f"{call} == {result}\n" for call, result in examples)
    return f"'''{sentence}\nFor example:\n{shown}'''\n"


def _comment(sentence: str, examples: Sequence[tuple[str, str]]) -> str:
    return indent(sentence.rstrip("."), "# ") + "\n"


def _nothing(sentence: str, examples: Sequence[tuple[str, str]]) -> str:
    return ""


_WITHOUT_EXAMPLES = (_one_line, _comment, _nothing)
_DOCSTRINGS = (
    *(_doctested, _doctested, _doctested_closely, _doctested_closely, _arrows, _equations),
    *_WITHOUT_EXAMPLES,
)
