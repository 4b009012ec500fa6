import pytest
import torch
from fake_denoiser import FakeDenoiser
from loops import new_engine, prompt_of, step_to_the_end
from tiny_model import tiny_model

from sampler import score
from sampler.engine import Request
from sampler.events import Weighed
from sampler.forward import Forward
from sampler.params import InvalidParameter

# Beginnings in common with the first, none, a text that is all of it and more, and its beginning.
TEXTS = [
    [9, 10, 11, 12, 13],
    [9, 10, 40, 12, 13],
    [50, 10, 11, 12],
    [9, 10, 11, 12, 13, 14, 15],
    [9, 10],
    *([9, 10, 11, 60 + i, 20, 21] for i in range(12)),
]


def weighed(denoiser, texts):
    """Return what is said of the texts, read together."""
    request = Request(score.score(prompt_of(20), texts), rows=8, tokens=1, room=8)
    ((event,),) = step_to_the_end(new_engine(denoiser), request)
    assert isinstance(event, Weighed)
    return event.log_probs


@pytest.fixture(scope="module")
def tiny():
    return tiny_model()


def test_each_text_has_the_log_probability_that_transformers_gives_it(tiny) -> None:
    told = weighed(Forward(tiny), TEXTS)
    prompt = prompt_of(20)
    for text, log_prob in zip(TEXTS, told, strict=True):
        with torch.no_grad():
            hidden = tiny.model.encoder(input_ids=torch.tensor([prompt + text])).last_hidden_state
            logits = tiny.lm_head(hidden)[0].float()
        if (cap := tiny.config.text_config.final_logit_softcapping) is not None:
            logits = torch.tanh(logits / cap) * cap
        log_p = logits.log_softmax(-1)[len(prompt) - 1 : -1]
        wanted = float(log_p.gather(-1, torch.tensor(text)[:, None]).double().sum())
        assert log_prob == pytest.approx(wanted, abs=1e-3)


def test_a_text_has_the_same_number_alone_and_beside_others(tiny) -> None:
    denoiser = Forward(tiny)
    alone = [weighed(denoiser, [text])[0] for text in TEXTS]
    assert weighed(denoiser, TEXTS) == pytest.approx(alone, abs=1e-3)


def test_no_pass_reads_more_than_its_share() -> None:
    denoiser = FakeDenoiser()
    texts = [[1] * length for length in (400, 3, 200, 200, 200, 7, 1)]
    weighed(denoiser, texts)
    behind_the_prompt = denoiser.passes[1:]
    assert max(tokens for _, _, tokens in behind_the_prompt) <= score.TOKENS


@pytest.mark.parametrize("texts", [[], [[]], [[3], []]])
def test_where_there_is_nothing_to_score_it_is_said(texts) -> None:
    with pytest.raises(InvalidParameter, match="empty"):
        next(score.score([2], texts))


def test_every_text_is_read_once_behind_what_it_shares_with_the_first() -> None:
    every = list(score.passes(TEXTS))
    assert sorted(row for _, rows in every for row in rows) == list(range(len(TEXTS)))
    for shared, rows in every:
        assert len(rows) <= score.ROWS
        for row in rows:
            assert TEXTS[row][:shared] == TEXTS[0][:shared]
            assert len(TEXTS[row]) > shared
