"""Functions given another signature, in files nano never read, and what follows at their calls.

What is right is judged by Python's own way to bind arguments, not by the rules that are measured.
"""

import ast
import inspect
import io
import random
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

# What is done to a parameter; nothing follows from the last two.
ADDED, REMOVED, RENAMED, REORDERED = "added", "removed", "renamed", "exchanged"
DEFAULT, ANNOTATION = "defaulted", "annotated"
KINDS = (ADDED, REMOVED, RENAMED, REORDERED, DEFAULT, ANNOTATION)

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Trace:
    """A function's header is edited: `text` becomes `edited`.

    `names` says what each parameter that is still there is called then, `come` is a new one.
    """

    kind: str
    file: Path
    text: str
    edited: str
    function: str
    old: inspect.Signature
    new: inspect.Signature
    names: Mapping[str, str]
    come: str = ""

    def judge(self, text: str) -> tuple[int, int, int]:
        """Return how many calls of a later text are changed rightly, wrongly, and should have been.

        The last counts those of `text` that cannot stay as they are and bound before.
        """
        right = wrong = wanted = 0
        for before, after in zip(_calls(self.text, self), _calls(text, self), strict=True):
            handed = bound(self.old, before)
            expected = None if handed is None else self._expected(handed)
            is_right = expected is not None and bound(self.new, after) in expected
            changed = ast.dump(before) != ast.dump(after)
            right += changed and is_right
            wrong += changed and not is_right
            wanted += expected is not None and bound(self.new, before) not in expected
        return right, wrong, wanted

    def _expected(self, handed: Mapping[str, str]) -> list[dict[str, str]]:
        kept = {self.names[name]: value for name, value in handed.items() if name in self.names}
        if not self.come or self.kind == RENAMED:
            return [kept]
        return [kept | {self.come: ast.dump(ast.Name(self.come, ast.Load()))}]


def bound(signature: inspect.Signature, call: ast.Call) -> dict[str, str] | None:
    """Return what a call hands over for each parameter; None where it does not fit."""
    if any(isinstance(one, ast.Starred) for one in call.args):
        return None
    named = {one.arg: ast.dump(one.value) for one in call.keywords if one.arg is not None}
    if len(named) < len(call.keywords):
        return None
    try:
        return dict(signature.bind(*map(ast.dump, call.args), **named).arguments)
    except TypeError:
        return None


def draw(files: Sequence[Path], count: int, seed: int) -> list[Trace]:
    """Draw `count` traces of each kind, of functions that their files call."""
    rng = random.Random(seed)
    texts = [(file, file.read_text(encoding="utf-8-sig")) for file in files]
    called = [(file, text, one) for file, text in texts for one in _called_functions(text)]
    found: list[Trace] = []
    for kind in KINDS:
        rng.shuffle(called)
        drawn = (trace for one in called if (trace := _trace(kind, *one, rng)) is not None)
        found += islice(drawn, count)
    return found


def _called_functions(text: str) -> Iterator[tuple[_Function, bool]]:
    """Yield the functions of a name of their own that their file calls, and if they are methods."""
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, _Function)]
    names = [one.name for one in functions]
    methods = {
        one for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for one in node.body
    }
    called = {node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    usable = {_name(node.func) for node in called} - set(map(_handed_to_itself, called))
    for one in functions:
        plain = not (one.args.vararg or one.args.kwarg or one.decorator_list)
        if plain and names.count(one.name) == 1 and one.name in usable:
            yield one, one in methods


def _handed_to_itself(call: ast.Call) -> str | None:
    """Return the name that is called in a call of itself: with its argument it would go."""
    inner = [node for node in ast.walk(call) if isinstance(node, ast.Call) and node is not call]
    return _name(call.func) if _name(call.func) in map(_name, (one.func for one in inner)) else None


def _trace(
    kind: str, file: Path, text: str, function: tuple[_Function, bool], rng: random.Random
) -> Trace | None:
    node, is_method = function
    first = 1 if is_method else 0
    edited = _edited(kind, node.args, first, text, rng)
    if edited is None:
        return None
    arguments, names, come = edited
    start, end = _brackets(text, node)
    new_text = f"{text[:start]}{ast.unparse(arguments)}{text[end:]}"
    # What `ast` writes otherwise than it stood, such as quotes, is not what the edit is about.
    before = f"{text[:start]}{ast.unparse(node.args)}{text[end:]}"
    old, new = (_signature(one, first) for one in (node.args, arguments))
    return Trace(kind, file, before, new_text, node.name, old, new, names, come)


def _edited(
    kind: str, old: ast.arguments, first: int, text: str, rng: random.Random
) -> tuple[ast.arguments, dict[str, str], str] | None:
    """Return other parameters, what those that stay are called then, and the new one's name."""
    new = ast.parse(f"def f({ast.unparse(old)}): pass").body[0].args  # type: ignore[attr-defined]
    assert isinstance(new, ast.arguments)
    names = {one.arg: one.arg for one in [*new.args, *new.kwonlyargs]}
    required = len(new.args) - len(new.defaults)
    if new.posonlyargs or (len(new.args) <= first and kind != ADDED):
        return None
    at = rng.randrange(first, len(new.args)) if len(new.args) > first else first
    come = ""
    if kind == ADDED:
        come = _word(text, rng)
        if come in names:
            return None
        new.args.insert(rng.randint(first, max(first, required)), ast.arg(come))
    elif kind == REMOVED:
        names.pop(new.args.pop(at).arg)
        if at >= required:
            new.defaults.pop(at - required)
    elif kind == RENAMED:
        come = f"{new.args[at].arg}_{_word(text, rng)}"
        names[new.args[at].arg] = come
        new.args[at].arg = come
    elif kind == REORDERED:
        if required - first < 2:
            return None
        one, other = rng.sample(range(first, required), 2)
        new.args[one], new.args[other] = new.args[other], new.args[one]
    elif kind == DEFAULT:
        if required <= first:
            return None
        new.defaults.insert(0, ast.Constant(None))
    else:
        new.args[at].annotation = ast.Constant("object")
    return new, names, come


def _word(text: str, rng: random.Random) -> str:
    """Return a name that the text gives something, so that it may be at hand where is called."""
    tree = ast.parse(text)
    return rng.choice(sorted({node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}))


def _brackets(text: str, function: _Function) -> tuple[int, int]:
    """Return where the parameters stand between their brackets."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    begin = starts[function.lineno - 1]
    depth, opened = 0, 0
    for token in tokenize.generate_tokens(io.StringIO(text[begin:]).readline):
        at = starts[function.lineno - 1 + token.start[0] - 1] + token.start[1]
        if token.string in ("(", "[", "{"):
            opened = opened or at + 1
            depth += 1
        elif token.string in (")", "]", "}"):
            depth -= 1
            if depth == 0:
                return opened, at
    raise ValueError(f"{function.name}: no brackets")


def _signature(arguments: ast.arguments, first: int) -> inspect.Signature:
    kinds = inspect.Parameter
    required = len(arguments.args) - len(arguments.defaults)
    positional = [
        kinds(
            one.arg,
            kinds.POSITIONAL_OR_KEYWORD,
            default=None if number >= required else kinds.empty,
        )
        for number, one in enumerate(arguments.args)
    ]
    named = [
        kinds(one.arg, kinds.KEYWORD_ONLY, default=kinds.empty if default is None else None)
        for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    return inspect.Signature([*positional[first:], *named])


def _calls(text: str, trace: Trace) -> list[ast.Call]:
    """Return the calls of a name, in the order of the tree; a call in a call stands for itself."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return [node for node in nodes if _name(node.func) == trace.function]


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
