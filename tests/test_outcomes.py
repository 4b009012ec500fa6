"""One document per test: what is shown at `¦`, what the editor tells, how the text goes on."""

from typing import Any

import pytest

from dgemma_lsp.outcomes import (
    Ended,
    Kept,
    Line,
    Offer,
    Outcomes,
    fits,
    kept_share,
    without_code,
)

URI = "file:///a.py"
PLACE = "x = ¦\ny\n"


class Story:
    """A text with a suggestion in it, and the lines that came of it; a second passes each time."""

    def __init__(self, *texts: str, place: str = PLACE, begun: str = "", uri: str = URI) -> None:
        self.outcomes = Outcomes("s")
        self.now = 100.0
        self.lines: list[Line] = []
        self.before, self.after = place.split("¦")
        self.uri = uri
        self.ids = self.offer(*texts, begun=begun)

    def offer(self, *texts: str, typed: str = "", begun: str = "") -> list[str]:
        offer = Offer(
            uri=self.uri,
            language="python",
            before=self.before + typed,
            after=self.after,
            texts=texts,
            begun=begun,
            latency_ms=12.34,
            steps=3,
        )
        ids, lines = self.outcomes.offered(offer, self.now)
        self.lines += lines
        return ids

    def text(self, middle: str) -> None:
        self.now += 1
        self.lines += self.outcomes.changed(self.uri, self.before + middle + self.after, self.now)

    def tell(self, what: str, id: str = "s-1.0") -> None:
        self.now += 1
        self.lines += getattr(self.outcomes, what)(id, self.now)

    @property
    def ends(self) -> list[tuple[Any, ...]]:
        return [(e.outcome, e.way, e.taken) for e in self.lines if isinstance(e, Ended)]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        pytest.param(["foo(1)"], ("accepted", "inserted", 6), id="accepted at once"),
        pytest.param(
            ["f", "fo", "foo", "foo(", "foo(1", "foo(1)"], ("accepted", "typed", 6), id="typed"
        ),
        pytest.param(["f", "foo(1)"], ("accepted", "inserted", 6), id="typed into, then accepted"),
        pytest.param(["f", "", "foo(1)"], ("accepted", "inserted", 6), id="taken back, accepted"),
        pytest.param(
            ["f", "fo", "foo", "foo()", "foo(1)"],
            ("accepted", "typed", 6),
            id="closed by the editor",
        ),
        pytest.param(["g"], ("ignored", "", 0), id="something else"),
        pytest.param(["f", "fu"], ("ignored", "typed", 1), id="left after a key"),
        pytest.param(["foo", "foo."], ("partly", "inserted", 3), id="a word of it"),
        pytest.param(["foo", "foo(1)"], ("accepted", "inserted", 6), id="a word, then the rest"),
        pytest.param(["foo(1)bar"], ("ignored", "", 0), id="more than it"),
    ],
)
def test_the_document_alone_tells_what_became_of_a_suggestion(
    states: list[str], expected: tuple[Any, ...]
) -> None:
    story = Story("foo(1)")
    for middle in states:
        story.text(middle)
    assert story.ends == [expected]


def test_an_end_says_where_when_and_how_long() -> None:
    story = Story("foo(1)")
    story.text("foo(1)")
    assert story.lines == [
        Ended(
            id="s-1",
            at=100.0,
            language="python",
            outcome="accepted",
            way="inserted",
            latency_ms=12.3,
            steps=3,
            chars=6,
            taken=6,
            seconds=1.0,
            text="foo(1)",
        )
    ]
    (bare,) = without_code(story.lines)
    assert isinstance(bare, Ended) and bare.text == "" and bare.chars == 6


@pytest.mark.parametrize("first", ["command", "document"])
def test_an_accept_counts_once_whether_the_command_or_the_change_comes_first(first: str) -> None:
    story = Story("foo(1)")
    if first == "command":
        story.tell("accepted")
        story.text("foo(1)")
    else:
        story.text("foo(1)")
        story.tell("accepted")
    assert story.ends == [("accepted", "inserted", 6)]


def test_the_second_of_several_candidates_can_be_the_one_that_is_taken() -> None:
    story = Story("foo", "bar()")
    assert story.ids == ["s-1.0", "s-1.1"]
    story.tell("accepted", story.ids[1])
    (end,) = story.lines
    assert isinstance(end, Ended) and (end.chars, end.text) == (5, "bar()")


@pytest.mark.parametrize("id", ["", "s-1", "s-1.1", "s-1.x", "s-2.0", "other"])
def test_an_id_of_nothing_open_changes_nothing(id: str) -> None:
    story = Story("foo(1)")
    story.tell("accepted", id)
    story.tell("rejected", id)
    story.outcomes.partly_accepted(id, "foo(1)", 3)
    assert story.lines == []


def test_a_dismissal_is_an_end() -> None:
    story = Story("foo(1)")
    story.tell("rejected")
    story.text("f")
    assert story.ends == [("rejected", "", 0)]


@pytest.mark.parametrize(
    ("text", "typed", "units", "taken"),
    [
        ("foo bar", "", 3, 3),
        ("foo bar", "fo", 1, 3),
        ("😋é日", "", 3, 2),
        ("ab", "", 9, 2),
    ],
)
def test_a_told_part_is_counted_in_utf_16_from_the_start_of_what_was_shown(
    text: str, typed: str, units: int, taken: int
) -> None:
    story = Story(text)
    story.text(typed)
    story.outcomes.partly_accepted("s-1.0", text.removeprefix(typed), units)
    story.lines += story.outcomes.closed(URI, story.now)
    assert story.ends == [("partly", "inserted", taken)]


def test_what_is_left_of_a_suggestion_is_the_same_suggestion() -> None:
    story = Story("foo(1)", "far")
    story.text("f")
    assert story.offer("oo(1)", typed="f") == ["s-1.0"]
    assert story.offer("ar", typed="f") == ["s-1.1"]
    assert story.lines == []


def test_another_suggestion_at_another_place_ends_the_one_before() -> None:
    story = Story("foo(1)")
    story.text("fu")
    assert story.offer("n()", typed="fu") == ["s-2.0"]
    assert story.ends == [("ignored", "", 0)]


def test_more_candidates_of_the_same_place_replace_the_one_that_was_shown() -> None:
    story = Story("foo")
    assert story.offer("foo", "bar") == ["s-2.0", "s-2.1"]
    story.text("bar")
    assert story.ends == [("accepted", "inserted", 3)]


def test_a_menu_s_selection_is_part_of_what_is_taken() -> None:
    story = Story("append(1)", place="x.¦\n", begun="ap")
    story.text("app")
    story.text("append(1)")
    assert story.ends == [("accepted", "inserted", 9)]


def test_an_editor_that_tells_what_it_shows_is_believed_about_what_it_does_not_show() -> None:
    story = Story("foo(1)")
    story.outcomes.shown("s-1.0")
    story.text("g")
    assert story.ends == [("ignored", "", 0)]
    story.before += "g"
    assert story.offer("h()") == ["s-2.0"]
    story.text("i")
    assert len(story.ends) == 1
    assert story.outcomes.next_due is None


def test_what_is_open_ends_with_its_document_and_with_the_editor() -> None:
    story = Story("foo(1)")
    assert story.outcomes.closed("file:///other", 1.0) == []
    story.lines += story.outcomes.all_closed(story.now)
    assert story.ends == [("ignored", "", 0)]
    assert story.outcomes.closed(URI, 1.0) == []


# -- what was kept -------------------------------------------------------------------------------


def kept(story: Story) -> list[tuple[float, float]]:
    found = []
    while (due := story.outcomes.next_due) is not None:
        for line in story.outcomes.due(due):
            assert isinstance(line, Kept) and line.id == "s-1"
            found.append((line.after_s, line.share))
    return found


@pytest.mark.parametrize(
    ("after", "share"),
    [
        pytest.param("x = foo(1)\ny\n", 1.0, id="untouched"),
        pytest.param("import z\nx = foo(1)\nw\ny\n", 1.0, id="moved"),
        pytest.param("x = foo(2)\ny\n", 5 / 6, id="a digit"),
        pytest.param("x = \ny\n", 0.0, id="deleted"),
        pytest.param("", 0.0, id="with all around it"),
        pytest.param("x = foo(1, 2)\ny\n", 1.0, id="added to"),
    ],
)
@pytest.mark.parametrize("way", ["accepted", "document"])
def test_half_a_minute_and_five_minutes_later_the_kept_share_is_told(
    after: str, share: float, way: str
) -> None:
    story = Story("foo(1)")
    if way == "accepted":
        story.tell("accepted")
    story.text("foo(1)")
    assert story.outcomes.due(story.now) == []
    story.outcomes.changed(URI, after, story.now)
    assert kept(story) == [(30.0, round(share, 3)), (300.0, round(share, 3))]
    assert story.outcomes.due(1e9) == []


def test_of_a_part_that_was_taken_the_kept_share_is_told_too() -> None:
    story = Story("foo bar")
    story.text("foo")
    story.text("foo()")
    assert kept(story) == [(30.0, 1.0), (300.0, 1.0)]


def test_a_closed_document_is_watched_no_longer() -> None:
    story = Story("foo")
    story.text("foo")
    story.outcomes.closed(URI, story.now)
    assert story.outcomes.next_due is None


@pytest.mark.parametrize(
    ("text", "now", "share"),
    [
        ("", "x", 0.0),
        ("a b", "a b", 1.0),
        ("a b", "b a", 1 / 3),
        ("foo(bar)", "foo(baz)", 5 / 8),
        ("日 本", "日", 1 / 3),
    ],
)
def test_the_kept_share_counts_characters_of_whole_tokens(
    text: str, now: str, share: float
) -> None:
    assert kept_share(text, now) == round(share, 3)


@pytest.mark.parametrize(
    ("present", "text", "expected"),
    [
        ("", "ab", True),
        ("a", "ab", True),
        ("ab", "ab", True),
        ("abc", "ab", False),
        ("b", "ab", True),  # its end may stand there first
        ("f()", "f(x)", True),
        ("f(]", "f(x)", False),
        ("aa", "a", False),
    ],
)
def test_a_text_is_being_typed_where_its_beginning_and_perhaps_its_end_stands(
    present: str, text: str, expected: bool
) -> None:
    assert fits(present, text) is expected
