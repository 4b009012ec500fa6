import pytest
from transformers import AutoTokenizer

from sampler.model import NANO
from sampler.params import InvalidParameter
from sampler.prompts import Prompts, TextStream


@pytest.fixture(scope="module")
def prompts():
    return Prompts(AutoTokenizer.from_pretrained(NANO))


def complete(prompts, prefix, suffix="", prefix_tokens=100, suffix_tokens=8):
    return prompts.completion(
        prefix, suffix, prefix_tokens=prefix_tokens, suffix_tokens=suffix_tokens
    )


@pytest.mark.parametrize(
    "prefix",
    [
        "def f(x):\n    return x",
        "retu",
        "x = ",
        "print(",
        "class A:\n    ",
        "naïve = 'öäü",
        "a\tb",
        "crlf\r\n    ",
    ],
)
def test_the_prefix_is_what_is_encoded_and_what_is_healed(prompts, prefix):
    prompt = complete(prompts, prefix)
    assert prompts.decode(prompt.prefix_ids) + prompt.healed == prefix
    assert prompt.prefix_ids[0] == prompts.tokenizer.bos_token_id


@pytest.mark.parametrize("prefix", ["retu", "x = ", "print("])
def test_exactly_the_tokens_that_go_on_with_the_healed_text_may_come_first(prompts, prefix):
    prompt = complete(prompts, prefix)
    texts = [prompts.decode([i]) for i in range(len(prompts.tokenizer))]
    expected = {i for i, text in enumerate(texts) if text.startswith(prompt.healed)}
    assert set(prompt.first.nonzero()[:, 0].tolist()) == expected
    assert len(expected) > 1


def test_an_empty_prefix_has_nothing_to_heal(prompts):
    prompt = complete(prompts, "")
    assert (prompt.healed, prompt.first) == ("", None)
    assert prompt.prefix_ids == [prompts.tokenizer.bos_token_id]


@pytest.mark.parametrize("prefix", ["x:\n", "x:\n    ", "x\r\n  "])
def test_a_line_break_with_its_indentation_is_not_healed(prompts, prefix):
    prompt = complete(prompts, prefix)
    assert (prompt.healed, prompt.first) == ("", None)
    assert prompts.decode(prompt.prefix_ids) == prefix


def test_half_a_character_is_not_healed(prompts):
    prompt = complete(prompts, "x = '\U0001f9ff")
    assert prompt.first is None
    assert prompts.decode(prompt.prefix_ids) == "x = '\U0001f9ff"


@pytest.mark.parametrize("budget", [1, 2, 5])
def test_the_budgets_keep_the_text_nearest_to_the_cursor(prompts, budget):
    prompt = complete(prompts, "a = 1\n" * 50, "b = 2\n" * 50, budget, budget)
    assert len(prompt.prefix_ids) == budget
    assert len(prompt.suffix_ids) == budget
    assert ("a = 1\n" * 50).endswith(prompts.decode(prompt.prefix_ids) + prompt.healed)
    assert ("b = 2\n" * 50).startswith(prompts.decode(prompt.suffix_ids))


def test_a_budget_below_one_is_refused(prompts):
    with pytest.raises(InvalidParameter, match="not 0"):
        complete(prompts, "x", "", 0)


def test_text_that_looks_like_a_special_token_stays_text(prompts):
    ids = prompts.encode("a <eos> b <|turn>")
    assert not set(ids) & set(prompts.tokenizer.all_special_ids)
    assert prompts.decode(ids) == "a <eos> b <|turn>"


def test_a_conversation_goes_through_the_chat_template(prompts):
    ids = prompts.conversation([{"role": "user", "content": "hi\nyou"}])
    assert ids[0] == prompts.tokenizer.bos_token_id
    assert prompts.decode(ids) == "# User: hi\n# you\n# Assistant:"


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_streamed_pieces_join_to_the_whole_and_never_cut_a_character(prompts, cut):
    whole = "x = 'grün \U0001f9ff\U0001f9ff' # fin"
    ids = prompts.encode(whole)
    stream = TextStream(prompts)
    pieces = [stream.push(ids[i : i + cut]) for i in range(0, len(ids), cut)]
    assert "".join(pieces) == whole
    assert not any("�" in piece for piece in pieces)


def test_a_preview_adds_nothing(prompts):
    stream = TextStream(prompts)
    assert stream.preview(prompts.encode("abc")) == "abc"
    assert stream.push(prompts.encode("xyz")) == "xyz"
