import ast
import doctest
import random
from collections.abc import Mapping
from itertools import islice

import pytest

from sampler.train import examples, programs
from sampler.train.import_lines import import_lines
from sampler.train.templates import Vocabulary, expand

VOCABULARY, TEMPLATES = programs.read_all()


def made(count: int, seed: int = 0) -> list[str]:
    return list(islice(programs.files(VOCABULARY, TEMPLATES, random.Random(seed)), count))


@pytest.mark.parametrize("at", range(len(TEMPLATES)))
def test_a_template_of_the_package_is_python_however_it_is_drawn(at: int) -> None:
    for seed in range(20):
        files = programs.files(VOCABULARY, [TEMPLATES[at]], random.Random(seed))
        text = next(files)
        ast.parse(text)
        assert not set("⟦⟧$") & set(text), text
        assert max(map(len, text.splitlines())) <= 120, text


class SameTask(random.Random):
    """Takes the same keyed choices and rows of tables, whatever else is drawn."""

    def __init__(self, task: int, way: int) -> None:
        super().__init__(way)
        self.task = task

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        return self.task % start

    def choice(self, seq):
        return seq[self.task % len(seq)] if isinstance(seq[0], Mapping) else super().choice(seq)


@pytest.mark.parametrize("at", range(len(TEMPLATES)))
def test_all_ways_to_write_the_function_of_a_template_give_the_same_results(at: int) -> None:
    for task in range(3):
        results = []
        for way in range(4):
            text = expand(TEMPLATES[at], VOCABULARY, SameTask(task, way))
            clues, source = programs.without_clues(text)
            node = ast.parse(source).body[-1]
            if not isinstance(node, ast.FunctionDef):
                return  # a class has no arguments to be asked with
            if not results:
                calls = examples.argument_lists(node, clues, random.Random(task))
            space: dict[str, object] = {}
            exec(import_lines([source]) + source, space)
            results.append([outcome(space[node.name], given) for given in calls])
        for result in results:
            assert result == results[0], text


def outcome(function, given: str) -> object:
    try:
        result = eval(f"function({given})", {"function": function})
        return round(result, 9) if isinstance(result, float) else result
    except (ValueError, IndexError, ZeroDivisionError, KeyError) as error:
        return type(error)


def test_the_examples_of_programs_are_true() -> None:
    runner = doctest.DocTestRunner(verbose=False)
    for number, text in enumerate(made(150)):
        space: dict[str, object] = {}
        exec(compile(text, "<program>", "exec"), space)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (doc := ast.get_docstring(node)):
                parsed = doctest.DocTestParser().get_doctest(doc, space, f"{number}", None, 0)
                runner.run(parsed)
    assert runner.tries > 100
    assert runner.failures == 0


def test_the_same_seed_makes_the_same_programs() -> None:
    assert made(5) == made(5)
    assert made(5) != made(5, seed=1)


def dressed(*lines: str) -> set[str]:
    """Return what one template, without choices, becomes with 30 seeds."""
    empty, template = Vocabulary({}, {}), "".join(line + "\n" for line in lines)
    return {next(programs.files(empty, [template], random.Random(seed))) for seed in range(30)}


def test_examples_stand_before_a_template_and_not_in_the_program() -> None:
    texts = dressed('#> "a b", 1', "def f(s: str, n: int) -> str:", '    """Do."""', "    return s")
    assert any(">>> f(\"a b\", 1)\n    'a b'\n" in text for text in texts)
    assert not any("#>" in text for text in texts)


def test_a_program_has_types_of_one_style_or_none() -> None:
    texts = dressed("def f(n: list[int], *, k: int = 1) -> dict[str, int]:", "    return {}")
    heads = {text.split("def ", 1)[1].splitlines()[0] for text in texts}
    assert heads == {
        "f(n: list[int], *, k: int = 1) -> dict[str, int]:",
        "f(n: List[int], *, k: int = 1) -> Dict[str, int]:",
        "f(n, *, k=1):",
    }


def test_templates_stand_for_many_programs() -> None:
    counts = [len({expand(t, VOCABULARY, random.Random(s)) for s in range(20)}) for t in TEMPLATES]
    assert min(counts) >= 8
