"""What clients of llama.cpp's `/infill` send and read, as far as it means something here. Pure.

Fields that stand nowhere below are ignored, as llama.cpp's server does: `samplers`, `top_k`,
`cache_prompt`, `id_slot` ... speak of how it works inside.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

from dgemma_lsp import client, elsewhere
from dgemma_lsp.config import Completion
from dgemma_lsp.context import for_model, window
from dgemma_lsp.elsewhere import Lines
from dgemma_lsp.neighbours import Piece, fitting, lay_before
from dgemma_lsp.stops import Stops
from dgemma_lsp.verdict import worth_showing
from dgemma_lsp.wire import Complete, Done, Sampling

_LONGEST_MS = 3_600_000

Limit = Annotated[int, Meta(ge=-1, le=65536)]
Milliseconds = Annotated[int, Meta(ge=0, le=_LONGEST_MS)]


class Extra(Struct, frozen=True, kw_only=True):
    """A piece of another file."""

    text: str
    filename: str = ""


class InfillRequest(Struct, frozen=True, kw_only=True):
    """The body of `/infill`: `prompt` is the cursor's line up to the cursor, as llama.vim sends it.

    `n_predict` -1 leaves the length to us.
    """

    input_prefix: str = ""
    input_suffix: str = ""
    input_extra: list[Extra] = []
    prompt: str = ""
    n_predict: Limit = -1
    stop: list[str] = []
    seed: int | None = None
    t_max_prompt_ms: Milliseconds = 0
    t_max_predict_ms: Milliseconds = 0
    response_fields: list[str] | None = None
    stream: bool = False

    @property
    def prefix(self) -> str:
        """What stands before the cursor."""
        return self.input_prefix + self.prompt

    @property
    def only_announces(self) -> bool:
        """Tell whether nothing is to be written; older clients ask for what nobody can have."""
        return self.n_predict == 0 or (self.n_predict == 1 and self.t_max_predict_ms == 1)

    @property
    def document(self) -> str:
        """A name for what is being edited, as the client has none.

        While somebody types on a line, what stands above it and below it stays: that is the same
        document, and the newer request takes the place of the older one.
        """
        below = self.input_suffix.partition("\n")[2]
        above = (self.input_prefix + self.prompt).rpartition("\n")[0]
        digest = hashlib.sha256(f"{above}\0{below}".encode(errors="surrogatepass"))
        return f"infill:{digest.hexdigest()}"

    def job(self, options: Completion) -> Complete:
        """Return what the model is asked."""
        prefix, suffix = window(
            self.prefix + self.input_suffix,
            len(self.prefix),
            prefix_chars=options.prefix_chars,
            suffix_chars=options.suffix_chars,
        )
        return Complete(
            id="infill",
            document=self.document,
            version=0,
            prefix=for_model(self._behind_others(prefix, options.context_chars)),
            suffix=for_model(suffix),
            copies=elsewhere.copies(
                [Lines(extra.text) for extra in self.input_extra],
                for_model(self.prefix),
                for_model(self.input_suffix),
                count=options.copied,
                max_lines=options.max_lines,
            ),
            max_lines=1 if "\n" in self.stop else options.max_lines,
            deadline_ms=self._deadline_ms(options),
            sampling=Sampling(
                max_steps=options.steps or None,
                max_tokens=self.n_predict if self.n_predict > 0 else None,
                seed=None if self.seed is None or self.seed < 0 else self.seed,
            ),
        )

    def warming(self, options: Completion) -> Complete | None:
        """Return what makes the model read what is announced; None where it would read nothing.

        It is bulk work: it takes nobody's place.
        """
        job = self.job(options)
        if not job.prefix:
            return None
        return replace(job, priority="bulk", deadline_ms=None, sampling=Sampling(max_steps=1))

    def _behind_others(self, prefix: str, chars: int) -> str:
        pieces = [Piece(extra.filename, extra.filename, extra.text) for extra in self.input_extra]
        return lay_before(prefix, "this file", fitting(pieces, chars), "")

    def _deadline_ms(self, options: Completion) -> int:
        asked = self.t_max_prompt_ms + self.t_max_predict_ms
        return min(asked, _LONGEST_MS) if asked else options.deadline_ms


def shown(asked: InfillRequest, given: client.Completion, options: Completion) -> str:
    """Return what of the model's text is worth showing at the cursor; "" for nothing."""
    stops = Stops(asked.stop)
    # The client does not say in which language somebody writes.
    texts = worth_showing(given, asked.prefix, asked.input_suffix, options, language="", count=1)
    return "".join(stops.push(text) for text in texts) + stops.rest()


def answer(asked: InfillRequest, content: str, done: Done, model: str) -> dict[str, Any]:
    """Return the body of the answer, or what the client wants of it."""
    took = done.timings
    body = {
        "index": 0,
        "content": content,
        "model": model,
        "stop": True,
        "stop_type": "limit" if done.reason == "deadline" else "eos",
        "tokens_predicted": took.tokens,
        "tokens_evaluated": took.prompt_tokens,
        "tokens_cached": took.prompt_tokens,
        "timings": {
            **_pace("prompt", took.prompt_tokens, took.prefill_ms),
            **_pace("predicted", took.tokens, took.denoise_ms),
        },
    }
    return body if asked.response_fields is None else _picked(body, asked.response_fields)


def _pace(name: str, tokens: int, ms: float) -> dict[str, float]:
    return {
        f"{name}_n": tokens,
        f"{name}_ms": ms,
        f"{name}_per_token_ms": ms / tokens if tokens else 0.0,
        f"{name}_per_second": tokens * 1000 / ms if ms else 0.0,
    }


def _picked(body: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Return the fields under the names by which they were asked for, such as timings/prompt_n."""
    picked = {}
    for field in fields:
        found: Any = body
        for part in field.split("/"):
            found = found.get(part) if isinstance(found, dict) else None
        if found is not None:
            picked[field] = found
    return picked
