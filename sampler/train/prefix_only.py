"""A causal checkpoint of others as a yardstick: it reads what stands before a hole, nothing behind.

Greedy, through transformers' `generate`. The white space before the cursor is taken back and must
be written again: a tokenizer would have cut it elsewhere had it seen the rest of the line.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sampler.load import UnusableModel, quiet

# A line that is longer than this is none that was cut out.
TOKENS_A_LINE = 48
PREFIX_CHARS = 6000


class PrefixOnly:
    """A checkpoint in a folder, or in a .gguf file; raises UnusableModel for what is neither."""

    def __init__(self, path: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        inside = path.suffix == ".gguf"
        folder, options = (path.parent, {"gguf_file": path.name}) if inside else (path, {})
        try:
            with quiet():
                self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, **options)
                self._model: Any = AutoModelForCausalLM.from_pretrained(
                    folder, dtype=torch.float32, **options
                )
        except Exception as exc:  # a damaged file makes transformers raise whatever it may
            reason = " ".join(str(exc).split())
            raise UnusableModel(f"{path}: no causal checkpoint that loads: {reason}") from exc
        self.name = path.stem

    def write(self, before: str, lines: int) -> str:
        """Return `lines` lines that go on at the end of `before`."""
        from transformers import LogitsProcessorList, StoppingCriteriaList

        head = before[-PREFIX_CHARS:].rstrip()
        typed = before[-PREFIX_CHARS:][len(head) :]
        prompt = self._tokenizer(head, return_tensors="pt")
        begin = prompt.input_ids.shape[1]

        def text(ids: Tensor) -> str:
            decoded: str = self._tokenizer.decode(ids[0, begin:], skip_special_tokens=True)
            return decoded

        def as_typed(ids: Tensor, logits: Tensor) -> Tensor:
            rest = typed[len(text(ids)) :]
            return logits.masked_fill(self._straying(rest), -torch.inf) if rest else logits

        def enough(ids: Tensor, logits: Tensor, **_: object) -> Tensor:
            return torch.tensor([text(ids).count("\n", len(typed)) >= lines])

        ids = self._model.generate(
            **prompt,
            do_sample=False,
            max_new_tokens=TOKENS_A_LINE * lines,
            logits_processor=LogitsProcessorList([as_typed]),
            stopping_criteria=StoppingCriteriaList([enough]),
            pad_token_id=self._tokenizer.eos_token_id,
        )
        return "\n".join(text(ids).removeprefix(typed).split("\n")[:lines]).rstrip()

    def _straying(self, rest: str) -> Tensor:
        """Return which tokens neither begin with `rest` nor does it begin with them."""
        return torch.tensor(
            [
                not (piece and (piece.startswith(rest) or rest.startswith(piece)))
                for piece in self._texts
            ]
        )

    @cached_property
    def _texts(self) -> list[str]:
        """What each token of the vocabulary reads, "" for a special one."""
        ids = [[i] for i in range(self._model.config.vocab_size)]
        texts: list[str] = self._tokenizer.batch_decode(ids, skip_special_tokens=True)
        return texts
