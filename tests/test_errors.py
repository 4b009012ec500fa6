import re

import pytest

from dgemma_lsp import errors
from dgemma_lsp.errors import BY_CODE, DgemmaError, from_code

ALL = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, DgemmaError)
]


def test_each_error_has_a_code_of_its_own() -> None:
    assert sorted(BY_CODE.values(), key=str) == sorted(ALL, key=str)
    assert {code: kind.code for code, kind in BY_CODE.items()} == {code: code for code in BY_CODE}


@pytest.mark.parametrize("kind", ALL)
def test_an_error_comes_back_from_its_code_with_its_message(kind: type[DgemmaError]) -> None:
    error = from_code(kind.code, "what to do")
    assert type(error) is kind
    assert str(error) == "what to do"


def test_a_code_of_a_newer_version_is_an_error_all_the_same() -> None:
    error = from_code("invented_later", "what to do")
    assert type(error) is DgemmaError
    assert str(error) == "what to do"


def test_the_tree_that_is_drawn_is_the_tree_that_is_there() -> None:
    drawn = re.findall(r"^    [|`]-- (\w+) +(\w+) ", errors.__doc__ or "", re.MULTILINE)
    assert dict(drawn) == {kind.__name__: kind.code for kind in ALL if kind is not DgemmaError}
