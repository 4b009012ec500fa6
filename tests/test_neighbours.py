import pytest

from dgemma_lsp.neighbours import LINES, PIECES, Neighbours, Piece, lay_before, likeness


def lines(word: str, count: int = LINES) -> str:
    return "".join(f"{word} {number}\n" for number in range(count))


def names(pieces: list[Piece]) -> list[str]:
    return [piece.name for piece in pieces]


def test_a_file_is_given_what_was_touched_in_the_others_the_newest_last() -> None:
    neighbours = Neighbours()
    for name in "abc":
        neighbours.touched(name, f"{name}.py", f"{name} = 1\n", 0)
    assert neighbours.of_others("c", 1000) == [
        Piece("a", "a.py", "a = 1"),
        Piece("b", "b.py", "b = 1"),
    ]
    assert names(neighbours.of_others("a", 1000)) == ["b.py", "c.py"]


def test_a_piece_is_what_stands_around_the_last_edit() -> None:
    neighbours = Neighbours()
    neighbours.touched("a", "a.py", lines("x", 200), 100)
    [piece] = neighbours.of_others("b", 10_000)
    got = piece.text.split("\n")
    assert (got[0], got[-1], len(got)) == ("x 84", "x 115", LINES)


def test_a_file_that_is_edited_at_two_places_gives_two_pieces() -> None:
    neighbours = Neighbours()
    for line in (10, 12, 150):
        neighbours.touched("a", "a.py", lines("x", 200), line)
    assert [piece.text.split("\n")[0] for piece in neighbours.of_others("b", 10_000)] == [
        "x 0",
        "x 134",
    ]


def test_typing_in_a_file_changes_nothing_of_what_it_is_given() -> None:
    neighbours = Neighbours()
    neighbours.touched("a", "a.py", "a = 1\n", 0)
    before = neighbours.of_others("b", 1000)
    for count in range(100):
        neighbours.touched("b", "b.py", "y" * count + "\n", count)
        assert neighbours.of_others("b", 1000) == before


def test_a_piece_replaces_one_that_is_nearly_the_same() -> None:
    neighbours = Neighbours()
    text = lines("x")
    for version in (text, text + "new\n"):
        neighbours.touched("a", "a.py", version, 0)
        assert len(neighbours.of_others("b", 10_000)) == 1


def test_only_so_many_pieces_are_kept() -> None:
    neighbours = Neighbours()
    for number in range(PIECES + 5):
        neighbours.touched(f"{number}", f"{number}.py", f"value{number}\n", 0)
    assert names(neighbours.of_others("x", 10_000)) == [f"{n}.py" for n in range(5, PIECES + 5)]


@pytest.mark.parametrize(
    ("chars", "expected"),
    [(0, []), (4, []), (5, ["c"]), (9, ["c"]), (10, ["b", "c"]), (99, ["a", "b", "c"])],
)
def test_the_newest_pieces_that_fit_the_budget_are_given(chars: int, expected: list[str]) -> None:
    neighbours = Neighbours()
    for name in "abc":
        neighbours.touched(name, name, 4 * name, 0)
    pieces = neighbours.of_others("x", chars)
    assert names(pieces) == expected
    assert sum(len(piece.text) + len(piece.name) for piece in pieces) <= chars


@pytest.mark.parametrize(
    ("chars", "text"),
    [(4, ""), (6, ""), (7, "one"), (12, "one"), (13, "one\ntwo 2"), (99, "one\ntwo 2")],
)
def test_the_last_piece_that_has_room_is_cut_behind_a_line(chars: int, text: str) -> None:
    neighbours = Neighbours()
    neighbours.touched("a", "a.py", "one\ntwo 2\n", 0)
    assert [piece.text for piece in neighbours.of_others("x", chars)] == [text] * bool(text)


def test_what_is_forgotten_or_empty_is_given_to_nobody() -> None:
    neighbours = Neighbours()
    neighbours.touched("a", "a.py", "a\n", 0)
    assert neighbours.of_others("x", 99)
    neighbours.touched("a", "a.py", "b\n", 0)
    neighbours.forget("a")
    neighbours.touched("e", "e.py", " \n\n", 0)
    neighbours.touched("n", "n.py", "", 7)
    assert neighbours.of_others("x", 99) == []


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("", "", 1.0), ("a\nb", " a\n\nb\n", 1.0), ("a\nb", "b\nc", 1 / 3), ("a", "b", 0.0)],
)
def test_pieces_are_alike_by_their_lines(one: str, other: str, expected: float) -> None:
    assert likeness(one, other) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("python", "# a.py\na = 1\n\n# b.py\nx = "),
        ("lua", "-- a.py\na = 1\n\n-- b.py\nx = "),
        ("rust", "// a.py\na = 1\n\n// b.py\nx = "),
    ],
)
def test_pieces_stand_before_the_prefix_under_comments_with_their_names(
    language: str, expected: str
) -> None:
    assert lay_before("x = ", "b.py", [Piece("a", "a.py", "a = 1")], language) == expected
    assert lay_before("x = ", "b.py", [], language) == "x = "
