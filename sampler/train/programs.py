"""Short programs made up out of templates and run for their examples. No tokens, no model.

Library code, which nano learns from, seldom counts, searches or adds up: functions that do are
made up here, many to a template (as for phi-1, arXiv 2306.11644, though by rule, not by a model).
A function is dressed as people dress them, with types of one style or none, with or without a
docstring, with examples that are true because the function was run on them.
"""

import ast
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from textwrap import fill, indent

from sampler.train.templates import Vocabulary, expand, read_templates, read_vocabulary

LONGEST_EXAMPLE, LONGEST_LINE = 90, 86
_WORDS = (
    *("apple", "river", "Stone", "cloud", "green", "window", "TABLE", "music", "paper", "light"),
    *("house", "bread", "Garden", "silver", "morning", "chair", "42", "pencil", "forest", "x"),
    *("a", "an", "the", "Is", "it", "red", "blue", "street", "coffee", "OK", "sea", "7", "moon"),
)
_CLUE = "#> "
_MODULES = ("heapq", "itertools", "math", "random", "re", "string")
_GENERICS = {"list": "List", "dict": "Dict", "set": "Set", "tuple": "Tuple"}
_FROM = {
    "collections": {"Counter", "defaultdict", "deque"},
    "typing": {*_GENERICS.values(), "Any", "Callable", "Optional", "Union"},
}


def read_all() -> tuple[Vocabulary, list[str]]:
    """Return the vocabulary and all templates that the package holds."""
    folder = resources.files("sampler.train").joinpath("exercises")
    files = sorted(f.name for f in folder.iterdir() if f.name.endswith(".txt"))
    texts = {name: folder.joinpath(name).read_text(encoding="utf-8") for name in files}
    vocabulary = read_vocabulary(texts.pop("vocabulary.txt"))
    return vocabulary, [t for text in texts.values() for t in read_templates(text)]


def files(
    vocabulary: Vocabulary, templates: Sequence[str], chooser: random.Random
) -> Iterator[str]:
    """Yield files of one to six programs each, without end."""
    while True:
        picked = chooser.sample(templates, min(chooser.choice((1, 2, 3, 4, 6)), len(templates)))
        style = chooser.choice(list(_TYPES))
        programs = [_dressed(expand(t, vocabulary, chooser), style, chooser) for t in picked]
        body = "\n\n\n".join(program.rstrip("\n") for program in programs)
        yield _imports(programs) + body + "\n"


def _dressed(text: str, style: str, chooser: random.Random) -> str:
    """Return a program as its author would have written it: types, docstring, examples."""
    lines = text.splitlines()
    clues = [line.removeprefix(_CLUE) for line in lines if line.startswith(_CLUE)]
    source = "\n".join(line for line in lines if not line.startswith(_CLUE)) + "\n"
    node = ast.parse(source).body[-1]
    if not isinstance(node, ast.FunctionDef) or ast.get_docstring(node) is None:
        return _TYPES[style](source)
    examples = _examples(source, node, clues, chooser)
    before, sentence, after = _around_docstring(source, node)
    style_of_doc = chooser.choice(_DOCSTRINGS if examples else _WITHOUT_EXAMPLES)
    doc = style_of_doc(fill(sentence, LONGEST_LINE), examples)
    if "\\" in doc and not doc.startswith("#"):
        doc = "r" + doc
    return _TYPES[style](before) + (indent(doc, "    ") if doc else "") + after


def _around_docstring(source: str, node: ast.FunctionDef) -> tuple[str, str, str]:
    """Cut a function at its docstring: what stands before, what it says, what stands behind."""
    lines = source.splitlines(keepends=True)
    first, last = node.body[0].lineno, node.body[0].end_lineno
    sentence = ast.get_docstring(node)
    assert last is not None and sentence is not None
    return "".join(lines[: first - 1]), sentence, "".join(lines[last:])


def _examples(
    source: str, node: ast.FunctionDef, clues: Sequence[str], chooser: random.Random
) -> list[tuple[str, str]]:
    """Run a function on a few arguments; return calls and results, those that are short."""
    space: dict[str, object] = {}
    exec(compile(_imports([source]) + source, "<exercise>", "exec"), space)
    function = space[node.name]
    assert callable(function)
    calls = list(clues) or [
        ", ".join(repr(_argument(argument, chooser)) for argument in node.args.args)
        for _ in range(3)
    ]
    found = []
    for arguments in calls[: chooser.choice((1, 2, 2, 3))]:
        try:
            result = repr(eval(f"_function({arguments})", {"_function": function}))
        except (ValueError, IndexError, ZeroDivisionError, KeyError):
            continue
        call = f"{node.name}({arguments})"
        if len(call) + len(result) <= LONGEST_EXAMPLE:
            found.append((call, result))
    return found


def _argument(argument: ast.arg, chooser: random.Random) -> object:
    kind = ast.unparse(argument.annotation) if argument.annotation else "int"
    return _VALUES[kind](chooser)


def _sentence(chooser: random.Random) -> str:
    return " ".join(chooser.choices(_WORDS, k=chooser.randint(1, 5)))


def _ints(chooser: random.Random) -> list[int]:
    high = chooser.choice((5, 9, 20, 120))
    return [chooser.randint(chooser.choice((0, -high)), high) for _ in range(chooser.randint(2, 7))]


_VALUES: Mapping[str, Callable[[random.Random], object]] = {
    "int": lambda c: c.choice((1, 2, 3, 4, 5, 6, 7, 8, 10, 12)),
    "float": lambda c: round(c.uniform(0, 10), 1),
    "bool": lambda c: c.random() < 0.5,
    "str": _sentence,
    "list[int]": _ints,
    "list[float]": lambda c: [round(c.uniform(0, 10), 1) for _ in range(c.randint(2, 5))],
    "list[str]": lambda c: c.choices(_WORDS, k=c.randint(2, 5)),
    "list[list[int]]": lambda c: [[c.randint(0, 9) for _ in range(3)] for _ in range(3)],
    "dict[str, int]": lambda c: {w: c.randint(0, 9) for w in c.choices(_WORDS, k=3)},
    "dict[str, str]": lambda c: {w: c.choice(_WORDS) for w in c.choices(_WORDS, k=3)},
    "list[tuple[str, int]]": lambda c: [(w, c.randint(0, 9)) for w in c.choices(_WORDS, k=3)],
    "list[tuple[int, int]]": lambda c: [(c.randint(0, 9), c.randint(0, 9)) for _ in range(3)],
    "set[int]": lambda c: set(_ints(c)),
    "tuple[int, int]": lambda c: (c.randint(0, 9), c.randint(0, 9)),
}


def _typing(text: str) -> str:
    return re.sub(r"\b(list|dict|set|tuple)\[", lambda m: _GENERICS[m[1]] + "[", text)


def _untyped(text: str) -> str:
    """Return code whose `def` lines have no annotations."""
    return re.sub(r"^( *def \w+\().*:$", _untyped_line, text, flags=re.MULTILINE)


def _untyped_line(match: re.Match[str]) -> str:
    [node] = ast.parse(match[0].strip() + " ...").body
    assert isinstance(node, ast.FunctionDef)
    for argument in node.args.args:
        argument.annotation = None
    return f"{match[1]}{ast.unparse(node.args)}):"


_TYPES: Mapping[str, Callable[[str], str]] = {
    "built in": lambda text: text,
    "typing": _typing,
    "typing still": _typing,
    "none": _untyped,
}


def _imports(programs: Sequence[str]) -> str:
    """Return the import lines of what programs use without saying so."""
    used = {word for program in programs for word in re.findall(r"\w+", program)}
    modules = [name for name in _MODULES if any(_uses_module(p, name) for p in programs)]
    lines = [f"import {name}" for name in modules]
    for module, names in _FROM.items():
        if found := sorted(used & names):
            lines.append(f"from {module} import {', '.join(found)}")
    return "".join(line + "\n" for line in lines) + ("\n\n" if lines else "")


def _uses_module(program: str, name: str) -> bool:
    """Tell whether `name.something` is read where `name` is no variable."""
    if not re.search(rf"\b{name}\.\w", program):
        return False
    nodes = list(ast.walk(ast.parse(program)))
    bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return name not in bound


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
