import pytest
from random_prose import KEPT

from dgemma_lsp import locks


def kept(text, **options):
    return [text[start:end] for start, end in locks.kept(text, **options)]


@pytest.mark.parametrize("span", KEPT)
def test_what_is_no_word_is_kept_in_markdown(span):
    assert kept(f"some {span} words", markdown=True) == [span]


@pytest.mark.parametrize(
    "span",
    [
        "https://example.org/a?b=c#d",
        "www.example.org",
        "me.you+x@example.co.uk",
        "1,234.50",
        "-3",
        "50%",
        "$12",
        "10:30",
        "2026-11-26",
        "file_name",
        "fileName",
        "FileName",
        "x.y.z",
        "a/b/c.txt",
        "~/notes",
        "--flag=on",
        "-v",
        "f()",
        "HTTPs",
        "utf8",
        "%s",
        "{count}",
        "{{ name }}",
        "@someone",
        "#123",
        "std::vec",
    ],
)
def test_what_is_no_word_is_kept_in_plain_text(span):
    assert kept(f"some {span} words") == [span]


@pytest.mark.parametrize(
    "text", ["only some words here", "it's a dog's life", "a well-known end.", "I am, and I am not"]
)
def test_words_are_free(text):
    assert kept(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("we met Ada Lovelace there", ["Ada Lovelace"]),
        ("Once more we met Ada.", ["Ada"]),
        ("It ends. Then it begins", []),
        ("so I said", []),
    ],
)
def test_a_capital_inside_a_sentence_is_a_name(text, expected):
    assert kept(text) == expected
    assert kept(text, names=False) == []


def test_where_most_nouns_have_capitals_they_tell_nothing():
    german = "Der Hund und die Katze sehen den Mond über dem Haus mit dem Garten und dem Tor. "
    english = "The dog and the cat see the moon over the house in London with the garden. "
    assert not locks.capitals_tell(german)
    assert locks.capitals_tell(english * 5)


def test_texts_that_are_named_are_kept_wherever_they_stand():
    assert kept("a red fox, a red fox", also=("red fox", "")) == ["red fox", "red fox"]


def test_what_touches_or_overlaps_is_one_span():
    assert kept("see `a``b` or x=`c`", markdown=True)[-1] == "`c`"
    assert kept("the file_name.py/x it") == ["file_name.py/x"]


@pytest.mark.parametrize(
    "piece",
    ["a", "`x ", "[", "[a](", "a.", "a/", "_", "Aa ", "1.", "a@", "a-", "<a", "$ ", "&", "{", "%("],
)
def test_no_text_takes_longer_than_its_length_allows(piece):
    """Where the time grew with the square of the length this would not end today."""
    locks.kept(piece * 60_000, markdown=True)
