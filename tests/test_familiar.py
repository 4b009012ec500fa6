import pytest

from dgemma_lsp import familiar


@pytest.mark.parametrize(
    ("text", "code", "own", "found"),
    [
        ("frob and frob and frob", "", [], {"frob", "and"} - {"and"}),
        ("frob and frob", "", [], set()),
        ("", "def read_frobs(frobCount): ...", [], {"read", "frobs", "frob", "count"}),
        ("", "", ["Frob"], {"frob"}),
        ("a Frob, a Frob and the Frob", "", [], {"Frob", "frob"}),
    ],
)
def test_what_a_document_uses_as_its_own_is_familiar(text, code, own, found) -> None:
    assert found <= familiar.words(text, code, own)
    if not found:
        assert "frob" not in familiar.words(text, code, own)
