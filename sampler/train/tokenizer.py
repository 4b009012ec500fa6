"""nano's tokenizer: byte-level BPE on code, loadable by `AutoTokenizer`. Knows no model.

A newline and the indentation after it are one piece, so that the cursor after the indentation of
a fresh line lies on a token border.
"""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD, EOS, BOS = 0, 1, 2
SPECIAL_TOKENS = [
    *("<pad>", "<eos>", "<bos>", "<|turn>", "<turn|>"),
    *("<|image>", "<image|>", "<image_soft_token>"),
    *(f"<reserved{i}>" for i in range(8)),
]
IMAGE_BEGIN, IMAGE_END, IMAGE_SOFT = 5, 6, 7

_PIECES = (
    r"\r?\n *"  # a line break with the next line's indentation
    r"| ?[\p{L}_]+"  # a word or identifier
    r"|\p{N}"  # each digit by itself
    r"| ?[^\s\p{L}\p{N}_]+"  # punctuation
    r"|\s"
)

# nano knows code alone: a conversation is laid out as what its corpus is full of, comments.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "# {{ m['role'] | capitalize }}: {{ m['content'] | trim | replace('\n', '\n# ') }}\n"
    "{% endfor %}{% if add_generation_prompt %}# Assistant:{% endif %}"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Return a tokenizer of exactly `vocab_size` pieces learnt from `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def save(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the tokenizer's files into a model folder."""
    tokenizer.save_pretrained(str(folder))
