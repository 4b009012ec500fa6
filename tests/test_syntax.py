"""Texts that would break the code at the cursor, and those that may stay."""

import pytest

from dgemma_lsp.syntax import LONGEST_CHARS, fitting, parses

WHOLE = "def f(a):\n    |\n    return a\n"


@pytest.mark.parametrize(
    ("document", "texts", "expected"),
    [
        pytest.param(WHOLE, ["b = (", "b = 1"], ["b = 1"], id="what parses is better"),
        pytest.param(WHOLE, ["c = 2", "b = 1"], ["c = 2", "b = 1"], id="else the order stays"),
        pytest.param(WHOLE, ["b = (", "else:"], [], id="nothing breaks what parses without it"),
        pytest.param("def f(:\n    |\n", ["b = ("], ["b = ("], id="what is broken stays open"),
        pytest.param("x = |\n", ["= 2", "1"], ["1"], id="what is begun is ended"),
        pytest.param(
            "def broken(:\n\n\n" + WHOLE + "\n\ndef worse(:\n",
            ["b = ("],
            [],
            id="mistakes in other statements are no excuse",
        ),
        pytest.param(
            "if a:\n    b = 1\n|\n    c = 2\n", ["then", "else:"], ["else:"], id="goes on"
        ),
        pytest.param("if a:\n    |\nelse:\n    c = 2\n", ["b (", "b = 1"], ["b = 1"], id="above"),
        pytest.param("@one\n@two\ndef f():\n    |\n", ["):", "pass"], ["pass"], id="decorated"),
        pytest.param(
            '"""Words |\n\nThese are words.\n"""\n', ["and so on"], ["and so on"], id="prose"
        ),
        pytest.param(
            "|", ["import", "import os", "import re"], ["import os", "import re"], id="empty"
        ),
        pytest.param("", [], [], id="no text"),
        pytest.param("x = 1|\0\n", ["2"], ["2"], id="no code at all"),
    ],
)
def test_texts_that_parse_come_first_and_none_breaks_the_code(
    document: str, texts: list[str], expected: list[str]
) -> None:
    before, _, after = document.partition("|")
    assert fitting(texts, before, after, "python", count=2) == expected


def test_of_other_languages_and_of_very_long_statements_nothing_is_said() -> None:
    before, after = "def f():\n    ", "\n    return 1\n"
    assert fitting(["b = ("], before, after, "lua", count=1) == ["b = ("]
    long = "def f():\n" + "    x = 1\n" * (LONGEST_CHARS // 10)
    assert fitting(["b = ("], long + "    ", "\n", "python", count=1) == ["b = ("]


def test_a_syntax_warning_is_no_error() -> None:
    assert parses(r"'\d'" + "\n")
