import pytest

from dgemma_lsp import english


@pytest.mark.parametrize("word", ["the", "The", "don't", "don’t", "tuple", "iterable", "parser's"])
def test_words_of_english_and_of_documentation_are_known(word) -> None:
    assert english.load().knows(word)


@pytest.mark.parametrize("word", ["teh", "functoin", "recieve", "ofthe"])
def test_misspelt_words_are_not(word) -> None:
    assert not english.load().knows(word)


def test_words_one_slip_away_come_the_most_frequent_first() -> None:
    found = english.load().near("functoin")
    assert found[0] == "function"
    counts = [english.load().how_frequent(word) for word in found]
    assert counts == sorted(counts, reverse=True)


def test_names_keep_their_capitals_and_everyday_words_are_no_names() -> None:
    names = english.load().names
    assert names["monday"] == "Monday"
    assert "none" not in names
    assert "may" not in names
