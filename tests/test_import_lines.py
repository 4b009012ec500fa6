import pytest

from sampler.train.import_lines import import_lines


@pytest.mark.parametrize(
    ("programs", "lines"),
    [
        (["x = 1\n"], []),
        (["x = math.sqrt(2)\n"], ["import math"]),
        (["x = Counter()\n", "y: List[int] = deque()\n"],
         ["from collections import Counter, deque", "from typing import List"]),
        (["def f(string):\n    return string.upper()\n"], []),
        (["for re in x:\n    re.x\n"], []),
        (["def f(string):\n    return string.upper()\n", "x = string.digits\n"],
         ["import string"]),
        (["mathematics.sqrt\n"], []),
    ],
)  # fmt: skip
def test_what_programs_use_is_imported(programs: list[str], lines: list[str]) -> None:
    assert import_lines(programs).splitlines() == [*lines, *([""] * 2 if lines else [])]
