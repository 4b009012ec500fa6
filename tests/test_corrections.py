import pytest

from dgemma_lsp import corrections, english, passages
from dgemma_lsp.passages import Sentence


def sentence(text, opens=True):
    return Sentence(text, tuple(range(len(text))), opens, passages.fixed(text))


def proposed(text, familiar=(), opens=True):
    """Return what is proposed for a sentence: rule, and the sentence with the change."""
    one = sentence(text, opens)
    found = corrections.propose(one, english.load(), set(familiar))
    return {(correction.rule, correction.applied(text)) for correction in found}


@pytest.mark.parametrize(
    ("rule", "wrong", "right"),
    [
        ("spelling", "This functoin is called here.", "This function is called here."),
        ("spelling", "Retrun the number of items.", "Return the number of items."),
        ("confused", "It comes form the other side.", "It comes from the other side."),
        ("spacing", "It is one ofthe best things.", "It is one of the best things."),
        ("spacing", "It is one of  the best things.", "It is one of the best things."),
        ("spacing", "One thing , and the other.", "One thing, and the other."),
        ("spacing", "One thing,and the other.", "One thing, and the other."),
        ("spacing", "This is the end .", "This is the end."),
        ("spacing", "It is done now.Then it ends.", "It is done now. Then it ends."),
        ("casing", "the first word is small.", "The first word is small."),
        ("casing", "The first Word is small.", "The first word is small."),
        ("casing", "What i mean is this.", "What I mean is this."),
        ("casing", "We meet on monday at last.", "We meet on Monday at last."),
        ("repeated", "This is the the end.", "This is the end."),
        ("article", "This is a example of it.", "This is an example of it."),
        ("article", "It is an useful thing to have.", "It is a useful thing to have."),
        ("article", "This is an utility for it.", "This is a utility for it."),
        ("article", "Wait for a hour or so.", "Wait for an hour or so."),
        ("agreement", "The values is returned here.", "The values are returned here."),
        ("agreement", "It return the number of them.", "It returns the number of them."),
        ("agreement", "This are a test of it.", "This is a test of it."),
        ("agreement", "Now they doesn't go there.", "Now they don't go there."),
        ("agreement", "Give these value to them.", "Give these values to them."),
        ("confused", "It is more then enough.", "It is more than enough."),
        ("confused", "Its a thing of its own.", "It's a thing of its own."),
    ],
)
def test_what_is_wrong_has_its_correction_among_the_proposals(rule, wrong, right) -> None:
    assert (rule, right) in proposed(wrong)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Call `functoin` with the value.", ["functoin"]),
        ("The file functoin_of is read here.", ["functoin_of"]),
        ('They call it "teh thing" in here.', ["teh"]),
        ("See https://exmaple.org/teh for that one.", ["exmaple", "teh"]),
        ("Version 2nd of teh3 is read here.", ["2nd", "teh3"]),
    ],
)
def test_code_links_numbers_and_quoted_words_are_left_alone(text, words) -> None:
    for _, changed in proposed(text):
        assert all(word in changed for word in words)


@pytest.mark.parametrize(
    "text",
    [
        "One of these is enough for it.",
        "Things like this are told here.",
        "Every file in these is read.",
        "Something like those was tried.",
        "A test for these does exist.",
        "Nothing but these has changed.",
        "Does it have a name or none?",
        "The end of it are two words.",
    ],
)
def test_what_stands_before_a_verb_is_not_always_its_subject(text) -> None:
    kinds = [one.kind for one in corrections.propose(sentence(text), english.load(), set())]
    assert "agreement.verb" not in kinds


def test_a_familiar_word_is_spelt_as_it_should_be() -> None:
    wrong = "The foobaz of the value is read."
    assert not any("foobaz" not in changed for _, changed in proposed(wrong, ["foobaz"]))


def test_a_comment_may_begin_with_a_small_letter() -> None:
    assert ("casing", "The first word is small.") not in proposed(
        "the first word is small.", opens=False
    )


@pytest.mark.parametrize("text", ["Dies ist kein Englisch, sondern Deutsch.", "Zu kurz.", ""])
def test_nothing_is_proposed_where_there_is_no_english_sentence(text) -> None:
    assert proposed(text) == set()


def test_every_rule_that_is_proposed_is_explained() -> None:
    text = "teh the the a example , it return Thing ofthe monday then i ."
    one = sentence(text, opens=True)
    found = corrections.propose(one, english.load(), set())
    assert {correction.rule for correction in found} <= corrections.RULES.keys()


@pytest.mark.parametrize("word", ["codenames", "unserializer", "preprocessor"])
def test_a_word_with_a_usual_ending_or_beginning_is_no_misspelt_one(word) -> None:
    wrong = f"The {word} of the value is read."
    assert all(
        word in changed or "  " in changed
        for rule, changed in proposed(wrong)
        if rule == "spelling"
    )
