import pytest

from dgemma_lsp import wire
from dgemma_lsp.errors import InvalidRequest
from dgemma_lsp.wire import Sampling
from dgemma_lsp.wire_chat import (
    About,
    Attachment,
    BranchConversation,
    CaughtUp,
    ChangeConversation,
    ChatRequest,
    ChatResponse,
    ChooseTurn,
    Conversations,
    DeleteConversation,
    EditTurn,
    ExportConversation,
    Exported,
    KeptTurn,
    ListConversations,
    NewConversation,
    ReadTurns,
    Regenerate,
    SendTurn,
    StopAnswer,
    Summary,
    Taken,
    TurnEnded,
    TurnTold,
    Usage,
    WatchConversation,
)

FILE = Attachment(name="é.py", text="x = '🦊'\n", language="python", first_line=7)
SUMMARY = Summary(
    conversation="8c1f", title="שלום", system=None, head=2, turns=3, created=1.5, updated=2.5
)
ANSWER = KeptTurn(
    turn=2,
    role="assistant",
    text="🦊",
    parent=1,
    siblings=[2, 3],
    state="stopped",
    notices=["cut"],
    blocks=1,
    model="nano",
    usage=Usage(tokens=3, steps=2),
)
REQUESTS: list[ChatRequest] = [
    ListConversations(id="1", skip=3, limit=1000),
    NewConversation(id="1", title="t", system="Be brief."),
    WatchConversation(id="1", conversation="8c1f", after_turn=2, after_block=1, drafts=False),
    ReadTurns(id="1", conversation="8c1f", turn=2),
    ChangeConversation(id="1", conversation="8c1f", system=""),
    DeleteConversation(id="1", conversation="8c1f"),
    BranchConversation(id="1", conversation="8c1f", turn=2),
    ExportConversation(id="1", conversation="8c1f", format="json"),
    SendTurn(id="1", conversation="8c1f", text="hi", attachments=[FILE], sampling=Sampling(seed=3)),
    EditTurn(id="1", conversation="8c1f", turn=1, text="hi", attachments=[], once="a"),
    Regenerate(id="1", conversation="8c1f"),
    ChooseTurn(id="1", conversation="8c1f", turn=3),
    StopAnswer(id="1", conversation="8c1f"),
]
RESPONSES: list[ChatResponse] = [
    Conversations(id="1", conversations=[SUMMARY], more=True),
    About(id="1", conversation=SUMMARY),
    Taken(id="1", conversation="8c1f", question=1, answer=2),
    TurnTold(id="1", turn=ANSWER),
    TurnEnded(id="1", turn=2, state="failed", reason="busy", message="no", notices=["cut"]),
    CaughtUp(id="1"),
    Exported(id="1", text="# שלום\n"),
]


def name(message: object) -> str:
    return type(message).__name__


def test_every_message_stands_in_a_table_here() -> None:
    assert {type(message) for message in REQUESTS} == set(ChatRequest.__args__)
    assert {type(message) for message in RESPONSES} == set(ChatResponse.__args__)


@pytest.mark.parametrize("message", REQUESTS, ids=name)
def test_a_request_survives_both_forms(message: ChatRequest) -> None:
    assert wire.decode_request(wire.encode_json(message)) == message
    assert wire.decode_request(wire.encode_binary(message)) == message


@pytest.mark.parametrize("message", RESPONSES, ids=name)
def test_a_response_survives_both_forms(message: ChatResponse) -> None:
    assert wire.decode_response(wire.encode_json(message)) == message
    assert wire.decode_response(wire.encode_binary(message)) == message


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ('"type": "watch_conversation"', "conversation"),
        ('"type": "watch_conversation", "conversation": ""', r"\$\.conversation"),
        ('"type": "watch_conversation", "conversation": "c", "limit": 0', r"\$\.limit"),
        ('"type": "read_turns", "conversation": "c", "turn": 0', r"\$\.turn"),
        ('"type": "export_conversation", "conversation": "c", "format": "pdf"', r"\$\.format"),
        (
            '"type": "send_turn", "conversation": "c", "text": "x", "attachments": [{"name": ""}]',
            r"\$\.attachments\[0\]\.name",
        ),
    ],
)
def test_a_wrong_field_is_named(fields: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        wire.decode_request(f'{{"id": "1", {fields}}}')
