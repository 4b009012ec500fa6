"""What clients of OpenAI's API send and read, as far as it means something here. Pure.

Fields that stand nowhere below are ignored, as OpenAI's and llama.cpp's servers do: the sampler
draws by its own temperatures, and one model is served, whatever `model` says.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from dgemma_lsp.context import for_model
from dgemma_lsp.errors import InvalidRequest
from dgemma_lsp.stops import Stops
from dgemma_lsp.wire import (
    Block,
    Chat,
    Complete,
    Done,
    Generate,
    Job,
    Reason,
    Role,
    Sampling,
    Turn,
)

_SEEDS = 2**63  # of the wire; a client may send a negative one

Finish = Literal["stop", "length"]
Text = Annotated[str, Meta(min_length=1)]
Tokens = Annotated[int, Meta(ge=1, le=65536)]
Count = Annotated[int, Meta(ge=1, le=16)]

_FINISH: dict[Reason, Finish] = {"length": "length", "deadline": "length"}

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


class StreamOptions(Struct, frozen=True, kw_only=True):
    """What a stream tells besides the text."""

    include_usage: bool = False


class Asked(Struct, frozen=True, kw_only=True):
    """What both kinds of request have in common."""

    n: Count | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def count(self) -> int:
        """How many texts are wanted of each prompt."""
        return self.n or 1

    @property
    def stops(self) -> list[str]:
        """The strings before which a text ends."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def wants_usage(self) -> bool:
        """Tell whether a stream ends with the count of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage

    def sampling(self, max_tokens: int | None, number: int = 0) -> Sampling:
        """Return how the text of this number is drawn: each has a seed of its own."""
        seed = None if self.seed is None and number == 0 else ((self.seed or 0) + number) % _SEEDS
        return Sampling(max_tokens=max_tokens, seed=seed)


class TextRequest(Asked, frozen=True, kw_only=True):
    """The body of `/v1/completions`.

    With `suffix` the hole between it and the prompt is filled. `document` is of our own: of several
    requests that name the same one the newest wins.
    """

    prompt: Text | Annotated[list[Text], Meta(min_length=1, max_length=16)]
    suffix: str | None = None
    max_tokens: Tokens | None = None
    document: Text | None = None

    @property
    def width(self) -> int:
        """How many texts one job brings."""
        return 1 if self.suffix is None else self.count

    def jobs(self, unique: str) -> list[Job]:
        """Return what the model is asked; `unique` names the document where the client does not."""
        prompts = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        if self.suffix is None:
            numbered = [(prompt, number) for prompt in prompts for number in range(self.count)]
            return [
                Generate(
                    id=f"{at}",
                    prompt=for_model(prompt),
                    sampling=self.sampling(self.max_tokens, number),
                )
                for at, (prompt, number) in enumerate(numbered)
            ]
        return [self._hole(f"{at}", prompt, unique) for at, prompt in enumerate(prompts)]

    def _hole(self, id: str, prompt: str, unique: str) -> Complete:
        return Complete(
            id=id,
            document=f"{self.document or unique}#{id}",
            version=0,
            prefix=for_model(prompt),
            suffix=for_model(self.suffix or ""),
            candidates=self.count,
            max_lines=1 if "\n" in self.stops else 0,
            sampling=self.sampling(self.max_tokens),
        )


class Part(Struct, frozen=True, kw_only=True):
    """A piece of a message; of all kinds there are, text alone can be read here."""

    type: str
    text: str = ""


class Message(Struct, frozen=True, kw_only=True):
    """One turn of a conversation."""

    role: str
    content: str | list[Part] | None = None


class ChatRequest(Asked, frozen=True, kw_only=True):
    """The body of `/v1/chat/completions`; with `n_predict` 0 llama.vim only announces one."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    n_predict: int | None = None

    @property
    def width(self) -> int:
        """How many texts one job brings."""
        return 1

    def jobs(self, unique: str) -> list[Job]:
        """Return what the model is asked; raises InvalidRequest, naming the turn, for no text."""
        turns = [_turn(at, message) for at, message in enumerate(self.messages)]
        longest = self.max_completion_tokens or self.max_tokens
        return [
            Chat(
                id=f"{number}",
                messages=turns,
                drafts=False,
                sampling=self.sampling(longest, number),
            )
            for number in range(self.count)
        ]


def _turn(at: int, message: Message) -> Turn:
    role = _ROLES.get(message.role)
    if role is None:
        raise InvalidRequest(
            f"messages[{at}].role must be one of {', '.join(_ROLES)}, not {message.role!r}"
        )
    if not isinstance(message.content, list):
        return Turn(role=role, content=message.content or "")
    for number, part in enumerate(message.content):
        if part.type != "text":
            raise InvalidRequest(
                f"messages[{at}].content[{number}]: only text can be read, not {part.type!r}"
            )
    return Turn(role=role, content="".join(part.text for part in message.content))


class Usage(Struct, frozen=True, kw_only=True):
    """How many tokens were read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Piece(Struct, frozen=True):
    """What is new of one of the texts; `finish` says why nothing more comes."""

    index: int
    text: str
    finish: Finish | None = None


class Choices:
    """The texts that a request brings, from the answers of all its jobs; each brings `width`."""

    def __init__(self, jobs: Sequence[Job], width: int, stops: Sequence[str]) -> None:
        self._width = width
        self._open = {index: Stops(stops) for index in range(len(jobs) * width)}
        self._jobs = len(jobs)
        # A hole's texts come when the model has ended: what it says last is worth waiting for.
        self._awaited = {job.id for job in jobs if isinstance(job, Complete)}
        self._told: list[Done] = []

    @property
    def finished(self) -> bool:
        """Tell whether nothing comes any more that anybody waits for."""
        return not self._open and not self._awaited

    @property
    def usage(self) -> Usage | None:
        """The count of tokens, None where a text was stopped before the model counted them."""
        if len(self._told) < self._jobs:
            return None
        read = sum(done.timings.prompt_tokens for done in self._told)
        written = sum(done.timings.tokens for done in self._told)
        return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)

    def take(self, message: Block | Done) -> list[Piece]:
        """Return what of the texts is new and final."""
        first = int(message.id) * self._width
        if isinstance(message, Done):
            self._told.append(message)
            self._awaited.discard(message.id)
            finish = _FINISH.get(message.reason, "stop")
            ending = [at for at in range(first, first + self._width) if at in self._open]
            return [Piece(at, self._open.pop(at).rest(), finish) for at in ending]
        index = first + message.candidate
        if (stops := self._open.get(index)) is None:
            return []
        text = stops.push(message.text)
        if stops.found:
            del self._open[index]
            return [Piece(index, text, "stop")]
        return [Piece(index, text)] if text else []
