"""Text <-> ids: what the model is given for a completion or a conversation. No model, no sampling.

A cursor rarely stands on a token border: behind "ret" or "foo(" the tokenizer would have cut
elsewhere had it seen the rest. So the last piece before the cursor is taken back from the prefix
and the first token of the hole must begin with it (token healing); its text is cut off again.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sampler.params import InvalidParameter


@dataclass(frozen=True)
class CompletionPrompt:
    """`prefix_ids` are encoded; the text of the hole begins with `healed`, which is already typed.

    `first` [V] is true for the tokens that may come first; None where nothing was healed.
    """

    prefix_ids: list[int]
    suffix_ids: list[int]
    healed: str
    first: Tensor | None


class Prompts:
    """The prompts of one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._special = set(tokenizer.all_special_ids)

    @cached_property
    def _pieces(self) -> list[str]:
        """Every token as the tokenizer spells it; "" for special ones, which no text contains."""
        pieces = self.tokenizer.convert_ids_to_tokens(list(range(len(self.tokenizer))))
        return ["" if i in self._special or p is None else p for i, p in enumerate(pieces)]

    def encode(self, text: str) -> list[int]:
        """Return the ids of plain text; what looks like a special token in it stays text."""
        ids: list[int] = self.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True
        ).input_ids
        return ids

    def decode(self, ids: list[int]) -> str:
        """Return the text of ids without special tokens."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def completion(
        self, prefix: str, suffix: str, *, prefix_tokens: int, suffix_tokens: int
    ) -> CompletionPrompt:
        """Return the prompt of the hole between `prefix` and `suffix`, each cut to its budget.

        Raises InvalidParameter for a budget below 1.
        """
        if prefix_tokens < 1:
            raise InvalidParameter(f"prefix_tokens must be at least 1, not {prefix_tokens}")
        ids = self.encode(prefix)
        healed, first = "", None
        if ids and (allowed := self._extensions(ids[-1])) is not None:
            healed, first, ids = self.decode(ids[-1:]), allowed, ids[:-1]
        bos = [self.tokenizer.bos_token_id] if self.tokenizer.bos_token_id is not None else []
        kept = ids[-(prefix_tokens - len(bos)) :] if prefix_tokens > len(bos) else []
        return CompletionPrompt(bos + kept, self.encode(suffix)[:suffix_tokens], healed, first)

    def conversation(self, turns: list[dict[str, str]]) -> list[int]:
        """Return the ids of a conversation by the model's own chat template.

        Raises InvalidParameter where the tokenizer has none.
        """
        if not self.tokenizer.chat_template:
            raise InvalidParameter("this model's tokenizer has no chat template; it cannot chat")
        ids: list[int] = self.tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_dict=False
        )
        return ids

    def _extensions(self, token: int) -> Tensor | None:
        """Return which tokens begin with this one's text; None where the token cannot be healed."""
        piece = self._pieces[token]
        text = self.decode([token])
        # A line break with its indentation is whole as it stands: more of it is another line's.
        # A token of broken UTF-8 has no text of its own to cut off again.
        if not piece or text.startswith(("\n", "\r")) or "\ufffd" in text:
            return None
        return torch.tensor([p.startswith(piece) for p in self._pieces])


class TextStream:
    """Turns the ids of growing output into text, piece by piece, never cutting a character."""

    def __init__(self, prompts: Prompts) -> None:
        self._prompts = prompts
        self._ids: list[int] = []
        self._given = 0

    def preview(self, ids: list[int]) -> str:
        """Return the text that `ids` would add, without adding them."""
        text = self._prompts.decode(self._ids + ids)
        return text[self._given :]

    def push(self, ids: list[int]) -> str:
        """Add `ids` and return their text; a half character waits for its other half."""
        text = self.preview(ids).rstrip("\ufffd")
        self._ids += ids
        self._given += len(text)
        return text
