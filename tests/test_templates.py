import random

import pytest

from sampler.train.templates import Vocabulary, expand, read_templates, read_vocabulary

VOCABULARY = Vocabulary(
    pools={"x": ["x", "item"], "k": ["k"]},
    tables={
        "keep": [
            {"words": "even", "code": "$x % 2 == 0"},
            {"words": "⟦small|little⟧", "code": "$x < 5"},
        ]
    },
)


def texts(template: str) -> set[str]:
    return {expand(template, VOCABULARY, random.Random(seed)) for seed in range(60)}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain {text} $ 5", {"plain {text} $ 5"}),
        ("⟦a|b⟧⟦c|d⟧", {"ac", "ad", "bc", "bd"}),
        ("⟦a|⟧.", {"a.", "."}),
        ("⟦k:a|b⟧ ⟦k:1|2⟧", {"a 1", "b 2"}),
        ("⟦a|⟦b|c⟧⟧", {"a", "b", "c"}),
        ("⟦k:⟦a|b⟧|c⟧⟦k:1|2⟧", {"a1", "b1", "c2"}),
        ("$x + $x", {"x + x", "item + item"}),
        ("$x + $x2", {"x + item", "item + x"}),
        ("x = $x", {"x = item"}),
        ("⟦keep.words⟧", {"even", "small", "little"}),
        ("k ⟦keep.code⟧: ⟦keep.code⟧", {f"k {c}: {c}" for v in ("x", "item")
                                      for c in (f"{v} % 2 == 0", f"{v} < 5")}),
    ],
)  # fmt: skip
def test_a_template_stands_for_these_texts(template: str, expected: set[str]) -> None:
    assert texts(template) == expected


def test_another_number_of_a_table_is_another_row() -> None:
    assert texts("⟦keep.words⟧ ⟦keep2.words⟧") == {
        *("even small", "even little", "small even", "little even")
    }


def test_a_key_whose_choices_differ_in_number_is_told() -> None:
    with pytest.raises(ValueError, match=r"3 options, another of 'k' 2"):
        expand("⟦k:a|b⟧⟦k:a|b|c⟧", VOCABULARY, random.Random(0))


@pytest.mark.parametrize("template", ["⟦none.words⟧", "⟦keep.none⟧", "$none"])
def test_what_is_in_no_vocabulary_is_told(template: str) -> None:
    with pytest.raises(KeyError, match="none"):
        expand(template, VOCABULARY, random.Random(0))


def test_templates_stand_between_lines_of_hyphens() -> None:
    assert read_templates("a\n\nb --- c\n---\n\nd\n---\n") == ["a\n\nb --- c\n", "d\n"]


def test_a_vocabulary_is_pools_and_tables() -> None:
    read = read_vocabulary("x: a b\nk: c\n\nkeep: words | code\neven | $x % 2\nodd | $x\n")
    assert read.pools == {"x": ("a", "b"), "k": ("c",)}
    assert read.tables == {
        "keep": ({"words": "even", "code": "$x % 2"}, {"words": "odd", "code": "$x"})
    }


def test_a_row_of_another_width_is_told() -> None:
    with pytest.raises(ValueError, match="'one' has 1 cells, not 2"):
        read_vocabulary("keep: words | code\none\n")
