"""Every message between processes, as tagged unions, and their codecs. No socket, no policy.

A connection begins with `Hello`, answered by `Welcome` (or by `Failed` with an empty id and the end
of the connection). Then requests, in any order and interleaved:

    Complete, Chat,
    Generate, Rewrite  -> Draft* Block* and exactly one of Done, Failed
    Score              -> Scores Done, or Failed
    Status             -> Report Done
    Stop               -> Done, then the daemon goes down
    those of wire_chat -> what they ask for, and exactly one of Done, Failed
    Cancel             -> nothing of its own; the request it names ends in Failed("cancelled"),
                          unless it has ended already

A `Draft` replaces the drafts before it and may change; a `Block` is final and is appended to the
blocks before it of the same candidate. One set of types serves three transports: msgpack frames on
the daemon's Unix socket, JSON text frames on loopback TCP, and msgpack with a length prefix on the
pipe to the model process.

Evolution rule: a new field has a default, a field never changes its type or meaning, a field or
message that went away is never reused; unknown fields are ignored. Anything else raises `PROTOCOL`.
Request parameters that vLLM has too carry its names without the `diffusion_` prefix.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from dgemma_lsp.errors import DgemmaError, InvalidRequest
from dgemma_lsp.wire_chat import ChatRequest as ChatRequest
from dgemma_lsp.wire_chat import ChatResponse as ChatResponse
from dgemma_lsp.wire_types import Id as Id
from dgemma_lsp.wire_types import ModelState as ModelState
from dgemma_lsp.wire_types import Priority as Priority
from dgemma_lsp.wire_types import Reason as Reason
from dgemma_lsp.wire_types import Role as Role
from dgemma_lsp.wire_types import Sampling as Sampling
from dgemma_lsp.wire_types import Timings as Timings
from dgemma_lsp.wire_types import Trigger as Trigger

PROTOCOL = 1
MAX_FRAME_BYTES = 4 * 1024 * 1024


class Hello(Struct, frozen=True, kw_only=True, tag="hello"):
    """The first message of a connection."""

    protocol: int
    client: str = ""


class Copy(Struct, frozen=True, kw_only=True):
    """A text that stands at a like place elsewhere.

    So many characters right `before` and `after` it are as they are around the cursor.
    """

    text: str
    before: Annotated[int, Meta(ge=0)] = 0
    after: Annotated[int, Meta(ge=0)] = 0

    @property
    def agreement(self) -> int:
        """How many characters of its surroundings agree."""
        return self.before + self.after


class Complete(Struct, frozen=True, kw_only=True, tag="complete"):
    """Fill the hole between `prefix` and `suffix` of a document.

    `document` and `version` decide which request of several is the newest. `deadline_ms` counts
    from the daemon's receipt; at the deadline the stable part is the answer, or nothing.
    `previous` is what an earlier answer suggests at this place: the model starts from it.
    `copies` are what stands at like places elsewhere, the likest first: the model weighs them too.
    `bound` are the names that the document binds beside the code at the hole, where that is known.
    Besides the `candidates`, `spares` more texts are told of those that were weighed anyway, for
    who can judge them better than the model. For an automatic request with one candidate, what is
    copied or written token by token is the answer without denoising where it is good enough.
    Of the text `max_lines` lines will be shown (0: all); once they are settled they are the answer.
    """

    id: Id
    document: str
    version: int
    prefix: str
    suffix: str = ""
    language: str = ""
    trigger: Trigger = "automatic"
    candidates: Annotated[int, Meta(ge=1, le=16)] = 1
    spares: Annotated[int, Meta(ge=0, le=64)] = 0
    previous: str = ""
    copies: Annotated[list[Copy], Meta(max_length=64)] = []
    bound: Annotated[list[str], Meta(max_length=2_000)] | None = None
    max_lines: Annotated[int, Meta(ge=0, le=1000)] = 0
    priority: Priority = "interactive"
    deadline_ms: Annotated[int, Meta(ge=1, le=3_600_000)] | None = None
    drafts: bool = False
    sampling: Sampling = Sampling()


class Turn(Struct, frozen=True, kw_only=True):
    """One message of a conversation."""

    role: Role
    content: str


class Chat(Struct, frozen=True, kw_only=True, tag="chat"):
    """Answer a conversation whose last turn is the user's."""

    id: Id
    messages: Annotated[list[Turn], Meta(min_length=1)]
    priority: Priority = "interactive"
    deadline_ms: Annotated[int, Meta(ge=1, le=3_600_000)] | None = None
    drafts: bool = True
    sampling: Sampling = Sampling()


class Generate(Struct, frozen=True, kw_only=True, tag="generate"):
    """Continue a text, block after block."""

    id: Id
    prompt: Annotated[str, Meta(min_length=1)]
    priority: Priority = "interactive"
    deadline_ms: Annotated[int, Meta(ge=1, le=3_600_000)] | None = None
    drafts: bool = False
    sampling: Sampling = Sampling()


class Part(Struct, frozen=True, omit_defaults=True):
    """A piece of a text that is rewritten; one that is `kept` comes back as it is."""

    text: str
    kept: bool = False


class Rewrite(Struct, frozen=True, kw_only=True, tag="rewrite"):
    """Rewrite a text in place as `instruction` says: what is kept is pinned while the rest is made.

    There is one `Block` for each part, with the part's index, in their order. `strength` is the
    share of the present text that is noise at first, from a touch-up to 1, all of it. The new text
    of a part is meant to be `length` times as long as the present one.
    """

    id: Id
    instruction: Annotated[str, Meta(min_length=1)]
    parts: Annotated[list[Part], Meta(min_length=1)]
    strength: Annotated[float, Meta(ge=0, le=1)] = 1.0
    length: Annotated[float, Meta(gt=0, le=16)] = 1.0
    priority: Priority = "interactive"
    deadline_ms: Annotated[int, Meta(ge=1, le=3_600_000)] | None = None
    drafts: bool = False
    sampling: Sampling = Sampling()


class Score(Struct, frozen=True, kw_only=True, tag="score"):
    """Tell how probable each of `texts` is behind `prefix`, to the model read causally.

    Nobody waits at a keyboard for it, so it comes after completions and chats.
    """

    id: Id
    prefix: Annotated[str, Meta(max_length=100_000)] = ""
    texts: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=100_000)]],
        Meta(min_length=1, max_length=1000),
    ]
    priority: Priority = "bulk"


class Cancel(Struct, frozen=True, kw_only=True, tag="cancel"):
    """Take the request `id` back."""

    id: Id


class Status(Struct, frozen=True, kw_only=True, tag="status"):
    """Ask how the daemon and the model are."""

    id: Id


class Stop(Struct, frozen=True, kw_only=True, tag="stop"):
    """Ask the daemon to go down; requests in flight fail with `stopping`."""

    id: Id


class Welcome(Struct, frozen=True, kw_only=True, tag="welcome"):
    """The answer to `Hello`; `state` tells whether the model is loaded already."""

    protocol: int
    model: str
    state: ModelState


class Draft(Struct, frozen=True, kw_only=True, tag="draft"):
    """The best text of one block after one denoising step; replaces earlier drafts of the block.

    The first `stable` characters of `text` have stopped changing. `turn` is that of a conversation
    which the daemon keeps, else 0.
    """

    id: Id
    block: int
    step: int
    text: str
    stable: int = 0
    candidate: int = 0
    turn: int = 0


class Block(Struct, frozen=True, kw_only=True, tag="block"):
    """A finished block: its text is final. `stable` is False where the step cap cut it short.

    `confidence` of a completion is the mean log probability of its tokens in nats, by the same
    model read causally; candidates come in its order, the most probable first.
    """

    id: Id
    block: int
    text: str
    steps: int = 0
    stable: bool = True
    candidate: int = 0
    confidence: float | None = None
    turn: int = 0


class Scores(Struct, frozen=True, kw_only=True, tag="scores"):
    """The log probability of each text in nats, summed over its tokens, in the texts' order."""

    id: Id
    log_probs: list[float]


class Done(Struct, frozen=True, kw_only=True, tag="done"):
    """The request `id` ended well."""

    id: Id
    reason: Reason
    timings: Timings = Timings()


class Failed(Struct, frozen=True, kw_only=True, tag="failed"):
    """The request `id` ended badly; an empty `id` speaks of the connection itself."""

    id: str
    code: str
    message: str


class Report(Struct, frozen=True, kw_only=True, tag="report"):
    """How the daemon and the model are.

    `progress` is how much of the model's weights is loaded, in percent, while the state is
    `loading` or `restarting` and the model process has told it.
    `withdrawn` requests were taken back or superseded. `steps` are the denoising steps of all that
    have ended, `withdrawn_steps` of them those for requests that were withdrawn.
    """

    id: Id
    version: str
    model: str
    state: ModelState
    detail: str = ""
    device: str = ""
    pid: int = 0
    model_pid: int = 0
    restarts: int = 0
    uptime_s: float = 0.0
    idle_minutes: float = 0.0
    port: int = 0
    running: int = 0
    queued: int = 0
    completed: int = 0
    failed: int = 0
    withdrawn: int = 0
    steps: int = 0
    withdrawn_steps: int = 0
    progress: int | None = None


class Loading(Struct, frozen=True, kw_only=True, tag="loading"):
    """Model process -> daemon: so many percent of the model's weights are loaded."""

    progress: int


class Ready(Struct, frozen=True, kw_only=True, tag="ready"):
    """Model process -> daemon: the model is loaded."""

    model: str
    device: str
    pid: int
    load_ms: float


class Unusable(Struct, frozen=True, kw_only=True, tag="unusable"):
    """Model process -> daemon: the model can never be loaded as asked; do not restart."""

    code: str
    message: str


Request = (
    Hello | Complete | Chat | Generate | Rewrite | Score | Cancel | Status | Stop | ChatRequest
)
Response = Welcome | Draft | Block | Scores | Done | Failed | Report | ChatResponse
Job = Complete | Chat | Generate | Rewrite | Score
ToModel = Complete | Chat | Generate | Rewrite | Score | Cancel
FromModel = Loading | Ready | Unusable | Draft | Block | Scores | Done | Failed


def failed(id: str, error: DgemmaError) -> Failed:
    """Return the message that tells an error; `errors.from_code` is the way back."""
    return Failed(id=id, code=error.code, message=str(error))


_to_binary = msgspec.msgpack.Encoder()
_to_json = msgspec.json.Encoder()
_request_json: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_request_binary: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_response_json: msgspec.json.Decoder[Response] = msgspec.json.Decoder(Response)
_response_binary: msgspec.msgpack.Decoder[Response] = msgspec.msgpack.Decoder(Response)
_to_model: msgspec.msgpack.Decoder[ToModel] = msgspec.msgpack.Decoder(ToModel)
_from_model: msgspec.msgpack.Decoder[FromModel] = msgspec.msgpack.Decoder(FromModel)


def encode_binary(message: Request | Response | ToModel | FromModel) -> bytes:
    """Return the msgpack form, for the Unix socket and the pipe."""
    return _to_binary.encode(message)


def encode_json(message: Request | Response) -> str:
    """Return the JSON form, for loopback TCP."""
    return _to_json.encode(message).decode()


def decode_request(frame: str | bytes) -> Request:
    """Decode a client's frame: text is JSON, bytes are msgpack.

    Raises InvalidRequest, with the path of the wrong field, for anything else.
    """
    try:
        if isinstance(frame, str):
            return _request_json.decode(frame)
        return _request_binary.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidRequest(f"cannot read this message: {exc}") from exc


def decode_response(frame: str | bytes) -> Response:
    """Decode a daemon's frame; raises InvalidRequest where it is none."""
    try:
        if isinstance(frame, str):
            return _response_json.decode(frame)
        return _response_binary.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidRequest(f"cannot read the daemon's answer: {exc}") from exc


def decode_to_model(frame: bytes) -> ToModel:
    """Decode what the daemon wrote to the model process."""
    return _to_model.decode(frame)


def decode_from_model(frame: bytes) -> FromModel:
    """Decode what the model process wrote to the daemon."""
    return _from_model.decode(frame)
