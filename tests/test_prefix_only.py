"""The yardstick's way of asking, on a random model of the smallest size: not its worth."""

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from sampler.load import NANO, UnusableModel
from sampler.train.prefix_only import TOKENS_A_LINE, PrefixOnly


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("causal") / "small"
    tok = AutoTokenizer.from_pretrained(NANO)
    tok.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tok),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=tok.bos_token_id,
        eos_token_id=tok.eos_token_id,
        pad_token_id=tok.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return PrefixOnly(folder)


BEFORE = "def area(width):\n    "


@pytest.mark.parametrize("lines", [1, 3])
def test_it_writes_no_more_lines_than_it_is_told(model, lines):
    text = model.write(BEFORE, lines)
    assert text.count("\n") < lines
    assert text == model.write(BEFORE, lines)
    assert len(model._tokenizer(text).input_ids) <= 2 * TOKENS_A_LINE * lines


def test_the_white_space_before_the_cursor_is_written_again(model, monkeypatch):
    told = []
    generate = model._model.generate
    monkeypatch.setattr(
        model._model, "generate", lambda **given: told.append(generate(**given)) or told[-1]
    )
    model.write(BEFORE, 1)
    assert model._tokenizer.decode(told[0][0], skip_special_tokens=True).startswith(BEFORE)


@pytest.mark.parametrize("name", ["absent", "absent.gguf"])
def test_what_is_no_checkpoint_is_named(tmp_path, name):
    with pytest.raises(UnusableModel, match=r"absent.*: no causal checkpoint that loads: "):
        PrefixOnly(tmp_path / name)
