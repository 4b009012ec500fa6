import msgspec
import pytest

from dgemma_lsp import wire
from dgemma_lsp.errors import Busy, InvalidRequest, from_code
from dgemma_lsp.wire import (
    Block,
    Cancel,
    Chat,
    Complete,
    Done,
    Draft,
    Failed,
    Hello,
    Part,
    Ready,
    Report,
    Rewrite,
    Sampling,
    Score,
    Scores,
    Status,
    Stop,
    Timings,
    Turn,
    Unusable,
    Welcome,
)

REQUESTS: list[wire.Request] = [
    Hello(protocol=1, client="editor"),
    Complete(
        id="1",
        document="file:///é.py",
        version=3,
        prefix="x = '🦊'\n",
        suffix="\n",
        language="python",
        trigger="invoked",
        candidates=3,
        deadline_ms=100,
        drafts=True,
        sampling=Sampling(max_steps=4, max_tokens=8, canvas_length=16, entropy_bound=0.5, seed=0),
    ),
    Chat(id="2", messages=[Turn(role="user", content="hi")]),
    Rewrite(
        id="5",
        instruction="Shorten.",
        parts=[Part("é"), Part("`x`", True)],
        strength=0.5,
        length=0.6,
        sampling=Sampling(seed=7),
    ),
    Score(id="5b", prefix="é", texts=["a", "b"], priority="interactive"),
    Cancel(id="1"),
    Status(id="3"),
    Stop(id="4"),
]
RESPONSES: list[wire.Response] = [
    Welcome(protocol=1, model="nano", state="loading"),
    Draft(id="1", block=0, step=2, text="é", stable=1, candidate=2),
    Block(id="1", block=0, text="é", steps=3, stable=False, candidate=2),
    Scores(id="5", log_probs=[-1.5, -2.0]),
    Done(id="1", reason="eos", timings=Timings(queue_ms=1.5, tokens=3)),
    Failed(id="", code="protocol", message="no"),
    Report(id="3", version="1", model="nano", state="ready", running=1),
]
FROM_MODEL: list[wire.FromModel] = [
    wire.Loading(progress=45),
    Ready(model="nano", device="cpu", pid=1, load_ms=2.5),
    Unusable(code="model_unavailable", message="no such folder"),
    *[m for m in RESPONSES if isinstance(m, Draft | Block | Scores | Done | Failed)],
]


def name(message: object) -> str:
    return type(message).__name__


@pytest.mark.parametrize("message", REQUESTS, ids=name)
def test_a_request_survives_both_forms(message: wire.Request) -> None:
    assert wire.decode_request(wire.encode_json(message)) == message
    assert wire.decode_request(wire.encode_binary(message)) == message


@pytest.mark.parametrize("message", RESPONSES, ids=name)
def test_a_response_survives_both_forms(message: wire.Response) -> None:
    assert wire.decode_response(wire.encode_json(message)) == message
    assert wire.decode_response(wire.encode_binary(message)) == message


@pytest.mark.parametrize("message", FROM_MODEL, ids=name)
def test_what_the_model_process_says_survives_the_pipe(message: wire.FromModel) -> None:
    assert wire.decode_from_model(wire.encode_binary(message)) == message


@pytest.mark.parametrize("message", REQUESTS[1:5], ids=name)
def test_what_the_model_process_is_told_survives_the_pipe(message: wire.ToModel) -> None:
    assert wire.decode_to_model(wire.encode_binary(message)) == message


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        ("{", "truncated"),
        ('{"type": "fly"}', "fly"),
        ('{"id": "1"}', "type"),
        ('{"type": "cancel"}', "id"),
        ('{"type": "cancel", "id": 7}', r"\$\.id"),
        ('{"type": "cancel", "id": ""}', r"\$\.id"),
        ('{"type": "cancel", "id": "' + "x" * 201 + '"}', r"\$\.id"),
        ('{"type": "chat", "id": "1", "messages": []}', r"\$\.messages"),
        (
            '{"type": "chat", "id": "1", "messages": [{"role": "boss", "content": ""}]}',
            r"\$\.messages\[0\]\.role",
        ),
        (
            '{"type": "chat", "id": "1", "messages": [{"role": "user", "content": "x"}], '
            '"sampling": {"max_steps": 0}}',
            r"\$\.sampling\.max_steps",
        ),
        (
            '{"type": "chat", "id": "1", "messages": [{"role": "user", "content": "x"}], '
            '"deadline_ms": 0}',
            r"\$\.deadline_ms",
        ),
        (b"\xc1", "MessagePack"),
        (b"", "truncated"),
    ],
)
def test_a_frame_that_cannot_be_taken_is_refused_with_its_place(
    frame: str | bytes, told: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"^cannot read this message: .*{told}"):
        wire.decode_request(frame)


@pytest.mark.parametrize("frame", ["{", '{"type": "cancel", "id": "1"}', b"\xc1"])
def test_an_answer_that_is_none_is_told_by_the_client(frame: str | bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"^cannot read the daemon's answer: "):
        wire.decode_response(frame)


def test_a_field_of_a_newer_version_is_ignored() -> None:
    frame = '{"type": "cancel", "id": "1", "why": {"new": [1, 2]}}'
    assert wire.decode_request(frame) == Cancel(id="1")


@pytest.mark.parametrize(
    "kind",
    [Hello, Complete, Chat, Cancel, Status, Stop, Welcome, Draft, Block, Done, Failed, Report],
)
def test_each_message_is_known_by_its_own_name(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.tag == kind.__name__.lower()


def test_an_error_becomes_the_message_from_which_the_client_makes_it_again() -> None:
    message = wire.failed("7", Busy("try again"))
    assert message == Failed(id="7", code="busy", message="try again")
    again = from_code(message.code, message.message)
    assert (type(again), str(again)) == (Busy, "try again")
