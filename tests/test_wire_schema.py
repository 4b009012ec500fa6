"""The written protocol says what the message types say, field by field."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from command import Command, dgemma

import dgemma_lsp
from dgemma_lsp import wire, wire_chat, wire_schema
from dgemma_lsp.errors import BY_CODE

__all__ = ["dgemma"]

DOCUMENT = (Path(dgemma_lsp.__file__).parent / "web" / "PROTOCOL.md").read_text(encoding="utf-8")
REQUESTS = [wire.Hello, wire.Cancel, wire.Chat, *wire_chat.ChatRequest.__args__]
RESPONSES = [
    *(wire.Welcome, wire.Draft, wire.Block, wire.Done, wire.Failed),
    *wire_chat.ChatResponse.__args__,
]
PARTS = [
    *(wire_chat.Summary, wire_chat.KeptTurn, wire_chat.Attachment, wire_chat.Usage),
    *(wire.Turn, wire.Sampling, wire.Timings),
]
KINDS = [*REQUESTS, *RESPONSES, *PARTS]

SECTIONS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))
EXAMPLES = re.findall(r"^([<>]) (\{.*\})$", DOCUMENT, re.MULTILINE)


def named(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag or kind.__name__)


def test_the_document_has_a_section_for_each_message_and_no_other() -> None:
    assert list(SECTIONS) == [named(kind) for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_a_section_names_the_fields_their_types_and_their_defaults(
    kind: type[msgspec.Struct],
) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) ?\| (.+) \|$", SECTIONS[named(kind)], re.M)
    assert [(name, type, default) for name, type, default, _ in rows] == wire_schema.fields(kind)


@pytest.mark.parametrize(("way", "frame"), EXAMPLES)
def test_an_example_is_a_frame_of_the_protocol(way: str, frame: str) -> None:
    decode: Any = wire.decode_request if way == ">" else wire.decode_response
    known = msgspec.to_builtins(decode(frame))
    assert contains(known, json.loads(frame)), "a field of the example is unknown"


def contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(key in whole and contains(whole[key], part[key]) for key in part)
    return bool(whole == part)


def test_the_table_of_errors_names_codes_that_exist() -> None:
    rows = re.findall(r"^\| (`\w+`.*?) \|", DOCUMENT.split("## Errors")[1].split("##")[0], re.M)
    codes = {code for row in rows for code in re.findall(r"`(\w+)`", row)}
    assert "not_found" in codes
    assert codes <= set(BY_CODE)


def test_the_command_prints_a_schema_that_has_every_message(dgemma: Command) -> None:
    outcome = dgemma("schema")
    printed = json.loads(outcome.out)
    assert outcome.code == 0
    assert {kind.__name__ for kind in KINDS} <= set(printed["$defs"])
    reached = json.dumps(printed["$defs"]["Request"]) + json.dumps(printed["$defs"]["Response"])
    for kind in [*REQUESTS, *RESPONSES]:
        assert f'"#/$defs/{kind.__name__}"' in reached


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (wire.Cancel, ("id", "text, 1 to 200 characters", "")),
        (wire.Chat, ("messages", "list of `Turn`, 1 at least", "")),
        (wire.Sampling, ("max_steps", "integer, 1 to 1024 or null", "`null`")),
        (wire_chat.ReadTurns, ("turn", "integer, 1 or more", "")),
        (wire_chat.ExportConversation, ("format", "`json` or `markdown`", '`"markdown"`')),
    ],
)
def test_a_field_is_told_in_words(kind: type[msgspec.Struct], field: tuple[str, str, str]) -> None:
    assert field in wire_schema.fields(kind)
