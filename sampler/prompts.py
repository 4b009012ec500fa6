"""Text <-> ids: what the model is given for a completion or a conversation. No model, no sampling.

A "plain" model reads the code before the cursor as it is. An "instruct" model (Gemma 4's turns and
channels) is asked: the user's turn says what to do and holds the code after the cursor, the
model's turn is opened with an empty thought block and the code before the cursor, so that the
reply goes on at the cursor. What changes while one types stands last, so that the ids before it
stay the same from keystroke to keystroke. What is written in a file never becomes a special token.

A cursor rarely stands on a token border: behind "ret" or "foo(" the tokenizer would have cut
elsewhere had it seen the rest. So the last piece before the cursor is taken back from the prefix
and the first token of the hole must begin with it (token healing); its text is cut off again.
"""

import re
from bisect import bisect_left
from collections.abc import Container
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from sampler.params import InvalidParameter

Family = Literal["plain", "instruct"]

# Without it the canvas fills with thoughts instead of an answer.
EMPTY_THOUGHT = "<|channel>thought\n<channel|>"

# Stands for a turn's text while the chat template is rendered; a private character of Unicode.
_MARK = "\ue000{}\ue001"
_MARKED = re.compile("\ue000(\\d+)\ue001")


def family(tokens: Container[str], chat_template: object) -> Family:
    """Tell how a model is prompted by the tokens and the chat template of its tokenizer.

    A base model has no template, and a template without thought channels is a plain model's.
    """
    channels = "<|channel>" in tokens and "<channel|>" in tokens
    return "instruct" if chat_template and channels else "plain"


def first_kept(length: int, budget: int) -> int:
    """Return where the newest of `length` tokens begin that are kept within `budget`.

    The start stays put while the text grows and then jumps by a quarter of the budget.
    """
    if length <= budget:
        return 0
    if budget < 1:
        return length
    jump = max(1, budget // 4)
    return -(-(length - budget) // jump) * jump


def fence(text: str) -> str:
    """Return a Markdown fence that nothing in `text` closes."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(3, longest + 1)


@dataclass(frozen=True)
class CompletionPrompt:
    """`prefix_ids` are encoded; the text of the hole begins with `healed`, which is already typed.

    `first` [V] is true for the tokens that may come first; None where nothing was healed.
    """

    prefix_ids: list[int]
    suffix_ids: list[int]
    healed: str
    first: Tensor | None

    def joining(self, text: str) -> str:
        """Return what a hole's text adds to what is typed already; "" where it does not join."""
        return text.removeprefix(self.healed) if text.startswith(self.healed) else ""


class Prompts:
    """The prompts of one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.family = family(tokenizer.get_added_vocab(), tokenizer.chat_template)
        self._special = set(tokenizer.all_special_ids) | {
            i for i, token in tokenizer.added_tokens_decoder.items() if token.special
        }

    @cached_property
    def _pieces(self) -> list[str]:
        """Every token as the tokenizer spells it; "" for special ones, which no text contains."""
        pieces = self.tokenizer.convert_ids_to_tokens(list(range(len(self.tokenizer))))
        return ["" if i in self._special or p is None else p for i, p in enumerate(pieces)]

    @cached_property
    def _sorted(self) -> tuple[list[str], Tensor]:
        """The pieces in alphabetical order, and the id of each."""
        order = sorted(range(len(self._pieces)), key=self._pieces.__getitem__)
        return [self._pieces[i] for i in order], torch.tensor(order)

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

    @cached_property
    def line_ends(self) -> Tensor:
        """How many line ends each token [V] holds."""
        each = self.tokenizer.batch_decode([[i] for i in range(len(self._pieces))])
        return torch.tensor([text.count("\n") for text in each])

    def text(self, text: str) -> list[int]:
        """Return the ids of a text that is to be continued."""
        bos = self.tokenizer.bos_token_id
        return ([] if bos is None else [bos]) + self.encode(text)

    def completion(
        self,
        prefix: str,
        suffix: str,
        *,
        prefix_tokens: int,
        suffix_tokens: int,
        language: str = "",
    ) -> CompletionPrompt:
        """Return the prompt of the hole between `prefix` and `suffix`, each cut to its budget.

        `prefix_tokens` bounds all that is encoded. Where the suffix stands in a request it takes a
        quarter of that at most. `language` is the editor's name of the file's language.
        Raises InvalidParameter for a budget below 1, or too small for the request.
        """
        if prefix_tokens < 1:
            raise InvalidParameter(f"prefix_tokens must be at least 1, not {prefix_tokens}")
        ids, behind = self.encode(prefix), self.encode(suffix)
        healed, first = "", None
        if ids and (allowed := self._extensions(ids[-1])) is not None:
            healed, first, ids = self.decode(ids[-1:]), allowed, ids[:-1]
        if self.family == "instruct":
            head = self._request(behind[: prefix_tokens // 4], language, fence(prefix + suffix))
            if len(head) >= prefix_tokens:
                raise InvalidParameter(
                    f"prefix_tokens must be above the {len(head)} tokens of the request, "
                    f"not {prefix_tokens}"
                )
        else:
            bos = self.tokenizer.bos_token_id
            head = [] if bos is None else [bos]
        kept = ids[first_kept(len(ids), prefix_tokens - len(head)) :]
        return CompletionPrompt(head + kept, behind[:suffix_tokens], healed, first)

    def _request(self, suffix: list[int], language: str, fence: str) -> list[int]:
        """Return the turn that asks for the code before `suffix`, and the opened reply to it."""
        what = f"{language} file" if language else "file"
        ask = (
            f"Complete my {what} at the cursor. Your reply is the file itself and already holds "
            "what stands before the cursor: go on exactly there, write only what is missing, and "
            "explain nothing. "
        )
        if suffix:
            ask += f"This follows the cursor, do not repeat it:\n{fence}{language}\n"
            content = [*self.encode(ask), *suffix, *self.encode(f"\n{fence}")]
        else:
            content = self.encode(ask + "Nothing follows the cursor.")
        opened = self.encode(f"{fence}{language}\n")
        return [*self._render(["user"], [content]), *opened]

    def conversation(self, turns: list[dict[str, str]]) -> list[int]:
        """Return the ids of a conversation by the model's own chat template.

        Raises InvalidParameter where the tokenizer has none.
        """
        if not self.tokenizer.chat_template:
            raise InvalidParameter("this model's tokenizer has no chat template; it cannot chat")
        if self.family == "instruct":
            # The template trims them too.
            contents = [self.encode(turn["content"].strip()) for turn in turns]
            return self._render([turn["role"] for turn in turns], contents)
        ids: list[int] = self.tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_dict=False
        )
        return ids

    def rewriting(self, instruction: str, text: str) -> list[int]:
        """Return the turn that asks for a text to be rewritten, and the opened reply to it.

        Raises InvalidParameter where the model takes no instructions.
        """
        if self.family != "instruct":
            raise InvalidParameter(
                "this model only goes on with a text and takes no instructions, so it cannot "
                "rewrite one; set model.name to one that chats"
            )
        marks = fence(text)
        ask = f"{instruction}\n{marks}\n{text}\n{marks}\nReply with the new text alone, fenced so."
        opened = self.encode(f"{marks}\n")
        return [*self._render(["user"], [self.encode(ask)]), *opened]

    def _render(self, roles: list[str], contents: list[list[int]]) -> list[int]:
        """Return turns of encoded contents by the chat template, up to behind the empty thought.

        Only the template's own text is searched for special tokens.
        """
        marked = [
            {"role": role, "content": _MARK.format(number)} for number, role in enumerate(roles)
        ]
        text: str = self.tokenizer.apply_chat_template(
            marked, add_generation_prompt=True, tokenize=False
        )
        if not text.endswith(EMPTY_THOUGHT):
            text += EMPTY_THOUGHT
        ids: list[int] = []
        for at, part in enumerate(_MARKED.split(text)):
            if at % 2:
                ids += contents[int(part)]
            else:
                ids += self.tokenizer(part, add_special_tokens=False).input_ids
        return ids

    def _extensions(self, token: int) -> Tensor | None:
        """Return which tokens begin with this one's text; None where the token cannot be healed."""
        piece = self._pieces[token]
        text = self.decode([token])
        # A line break with its indentation is whole as it stands: more of it is another line's.
        # A token of broken UTF-8 has no text of its own to cut off again.
        if not piece or text.startswith(("\n", "\r")) or "\ufffd" in text:
            return None
        pieces, ids = self._sorted
        begin, end = bisect_left(pieces, piece), bisect_left(pieces, piece + "\U0010ffff")
        allowed = torch.zeros(len(pieces), dtype=torch.bool)
        allowed[ids[begin:end]] = True
        return allowed


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
