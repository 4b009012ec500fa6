import pytest

from dgemma_lsp import proofreader, wire
from dgemma_lsp.proofreader import Proofreader

TEXT = "It is one functoin of many here. Nothing is wrong with this one.\n"


class Model:
    """Finds a text the more probable the shorter its list of `wrong` words is."""

    def __init__(self, *wrong: str) -> None:
        self.wrong = wrong
        self.asked: list[wire.Score] = []

    async def score(self, message: wire.Score) -> list[float]:
        self.asked.append(message)
        return [-50.0 * sum(word in text for word in self.wrong) for text in message.texts]


async def read(proofreader: Proofreader, text: str, own=()) -> list[proofreader.Finding]:
    doubts = proofreader.doubts(text, "plaintext", own)
    for doubt in proofreader.unknown(doubts):
        await proofreader.ask(doubt)
    return proofreader.findings(doubts)


async def test_what_the_model_finds_more_probable_is_told_with_its_place() -> None:
    (one,) = await read(Proofreader(Model("functoin").score), TEXT)
    assert TEXT[one.start : one.end] == "functoin"
    assert (one.text, one.rule, one.fault) == ("function", "spelling", "functoin")
    assert "function" in one.message
    assert one.sentence == "It is one functoin of many here."


async def test_what_it_does_not_is_not() -> None:
    assert await read(Proofreader(Model("function").score), TEXT) == []


async def test_nothing_is_told_before_the_model_was_asked() -> None:
    reader = Proofreader(Model("functoin").score)
    assert reader.findings(reader.doubts(TEXT, "plaintext", [])) == []


async def test_only_a_changed_sentence_is_asked_about_again() -> None:
    model = Model("functoin")
    reader = Proofreader(model.score)
    await read(reader, TEXT)
    before = len(model.asked)
    await read(reader, TEXT)
    assert len(model.asked) == before
    await read(reader, TEXT.replace("many", "several"))
    assert [message.texts[0] for message in model.asked[before:]] == [
        "It is one functoin of several here."
    ]


async def test_the_sentence_next_to_the_cursor_is_asked_about_first() -> None:
    model = Model()
    reader = Proofreader(model.score)
    doubts = reader.doubts("Teh first one of them. Teh second one of them.\n", "plaintext", [])
    first, second = reader.unknown(doubts, near=40)
    assert first.sentence.text.startswith("Teh second")
    await reader.ask(first)
    assert reader.unknown(doubts, near=40) == [second]


async def test_all_changes_of_a_sentence_are_asked_about_at_once_behind_the_sentence() -> None:
    model = Model()
    await read(Proofreader(model.score), "It is one functoin of the the many.\n")
    (message,) = model.asked
    assert message.texts[0] == "It is one functoin of the the many."
    assert "It is one function of the the many." in message.texts
    assert "It is one functoin of the many." in message.texts
    assert message.priority == "bulk"


async def test_one_s_own_words_are_right() -> None:
    assert await read(Proofreader(Model("functoin").score), TEXT, ["functoin"]) == []


async def test_a_rule_that_is_off_is_not_told() -> None:
    reader = Proofreader(Model("functoin").score)
    await read(reader, TEXT)
    assert reader.findings(reader.doubts(TEXT, "plaintext", []), ["spelling"]) == []


def test_without_a_model_the_rules_tell_what_is_plain() -> None:
    reader = Proofreader(None)
    (one,) = reader.findings(reader.doubts("This is the the end of it.\n", "plaintext", []))
    assert (one.rule, one.text) == ("repeated", "")


@pytest.mark.parametrize("rule", ["spelling", "spacing", "casing", "repeated"])
def test_every_rule_has_a_message(rule) -> None:
    assert rule in proofreader.MESSAGES
