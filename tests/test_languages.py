from pathlib import PurePath

import pytest

from dgemma_lsp import languages, passages


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("x/README.MD", "markdown"),
        ("a.py", "python"),
        ("a.test.tsx", "typescriptreact"),
        (".git/COMMIT_EDITMSG", "gitcommit"),
        ("a.bin", ""),
        ("Makefile", ""),
        ("-", ""),
        (".md", ""),
    ],
)
def test_the_language_is_told_by_the_name(name: str, language: str) -> None:
    assert languages.language(PurePath(name)) == language


def test_each_language_of_the_table_is_one_whose_english_is_known() -> None:
    found = {name for name in languages.BY_ENDING.values() if not passages.covers(name)}
    assert found == set()
