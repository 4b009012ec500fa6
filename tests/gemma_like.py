"""A small tokenizer of Gemma 4's kind, and a random checkpoint that takes instructions by it."""

from pathlib import Path

from tiny_model import tiny_model
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import PreTrainedTokenizerFast

from sampler.prompts import EMPTY_THOUGHT

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>", "<|channel>", "<channel|>"]
CODE = """def mean(values):
    total = sum(values)
    return total / len(values)

thought user model python ```
"""
TURNS = (
    "{{ bos_token }}{% for m in messages %}"
    "<|turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ m['content'] | trim }}<turn|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn>model\n{% endif %}"
)
# The large checkpoints' templates close the thoughts themselves, the small ones' do not.
TEMPLATES = [TURNS, TURNS.replace("<|turn>model\n{%", "<|turn>model\n" + EMPTY_THOUGHT + "{%")]


def gemma_like(template):
    """A tokenizer of Gemma 4's kind: no pre-tokenizer, "▁" for blanks, bytes as a last resort."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    # Every character of ASCII, and as bytes what is beyond.
    alphabet = [chr(c) for c in range(33, 127)] + ["▁", "\n"]
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=[*SPECIAL, *(f"<0x{b:02X}>" for b in range(256))],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator([CODE] * 4, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    )
    fast.chat_template = template
    return fast


def save_checkpoint(folder: Path) -> Path:
    """Save a small random model that takes instructions; what it writes is any text at all."""
    tokenizer = gemma_like(TURNS)
    model = tiny_model(vocab=len(tokenizer), positions=4096, canvas=32)
    eos = [tokenizer.convert_tokens_to_ids(token) for token in ("<eos>", "<turn|>")]
    model.generation_config.eos_token_id = eos
    model.generation_config.max_denoising_steps = 3
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
