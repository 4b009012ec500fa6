import ast
import doctest
import random
from itertools import islice

import pytest

from sampler.train import programs
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


def test_examples_that_stand_before_a_program_are_run() -> None:
    texts = dressed('#> "a b", 1', "def f(s: str, n: int) -> str:", '    """Do."""', "    return s")
    assert any(">>> f(\"a b\", 1)\n    'a b'\n" in text for text in texts)
    assert not any("#>" in text for text in texts)


def test_what_fails_is_no_example() -> None:
    texts = dressed("def f(n: int) -> int:", '    """Do."""', "    raise ValueError(n)")
    assert not any("f(1" in text or ">>>" in text for text in texts)


def test_what_a_program_uses_is_imported() -> None:
    texts = dressed("def f(n: list[int]) -> float:", "    return math.sqrt(len(Counter(n)))")
    heads = {tuple(text.splitlines()[:3]) for text in texts}
    assert ("import math", "from collections import Counter", "from typing import List") in heads
    assert any("def f(n):" in text for text in texts)


def test_a_variable_of_a_modules_name_is_no_module() -> None:
    lines = ("def f(string: str) -> str:", "    return string.upper()")
    assert not any("import" in text for text in dressed(*lines))


def test_templates_stand_for_many_programs() -> None:
    counts = [len({expand(t, VOCABULARY, random.Random(s)) for s in range(20)}) for t in TEMPLATES]
    assert min(counts) >= 8
