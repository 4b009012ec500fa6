from typing import Any

import msgspec
import pytest

from dgemma_lsp.errors import InvalidRequest
from dgemma_lsp.openai_types import ChatRequest, Choices, Piece, TextRequest, Usage
from dgemma_lsp.wire import Block, Chat, Complete, Done, Generate, Sampling, Timings, Turn


def text_request(**fields: Any) -> TextRequest:
    return msgspec.convert({"prompt": "x", **fields}, TextRequest)


def chat_request(*messages: dict[str, Any], **fields: Any) -> ChatRequest:
    return msgspec.convert({"messages": list(messages), **fields}, ChatRequest)


USER = {"role": "user", "content": "hello"}


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, 2]}, r"prompt\[0\]"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 17}, "n"),
        ({"stop": 1}, "stop"),
        ({"suffix": ["x"]}, "suffix"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=rf"\$\.{where}"):
        text_request(**fields)


def test_a_prompt_alone_is_continued_as_often_as_asked_each_time_with_another_seed() -> None:
    asked = text_request(prompt=["x\r\n", "y"], n=2, seed=7, max_tokens=5)
    assert asked.jobs("unique") == [
        Generate(id="0", prompt="x\n", sampling=Sampling(max_tokens=5, seed=7)),
        Generate(id="1", prompt="x\n", sampling=Sampling(max_tokens=5, seed=8)),
        Generate(id="2", prompt="y", sampling=Sampling(max_tokens=5, seed=7)),
        Generate(id="3", prompt="y", sampling=Sampling(max_tokens=5, seed=8)),
    ]


def test_between_a_prompt_and_a_suffix_is_a_hole_with_as_many_candidates_as_asked() -> None:
    [job] = text_request(suffix="b", n=3, stop=["\n"], document="d").jobs("unique")
    assert job == Complete(
        id="0",
        document="d#0",
        version=0,
        prefix="x",
        suffix="b",
        candidates=3,
        max_lines=1,
    )


def test_an_empty_suffix_still_makes_a_hole_and_null_is_as_if_it_were_not_there() -> None:
    assert isinstance(text_request(suffix="").jobs("u")[0], Complete)
    assert isinstance(text_request(suffix=None, n=None, stop=None).jobs("u")[0], Generate)


def test_holes_share_a_document_only_where_the_client_says_so() -> None:
    documents = [
        job.document
        for unique, fields in [("1", {}), ("2", {}), ("3", {"document": "d"})]
        for job in text_request(suffix="", prompt=["a", "b"], **fields).jobs(unique)
        if isinstance(job, Complete)
    ]
    assert documents == ["1#0", "1#1", "2#0", "2#1", "d#0", "d#1"]


@pytest.mark.parametrize("seed", [-1, 2**63, 2**63 - 1])
def test_a_seed_beyond_the_models_is_brought_into_its_range(seed: int) -> None:
    for job in text_request(seed=seed, n=2).jobs("u"):
        assert msgspec.convert(msgspec.to_builtins(job), Generate) == job


def test_turns_are_read_in_every_form_that_holds_text_alone() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    asked = chat_request(
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": parts, "name": "me"},
        {"role": "assistant", "content": None},
        USER,
        max_tokens=9,
        max_completion_tokens=8,
    )
    turns = [
        Turn(role="system", content="be brief"),
        Turn(role="user", content="ab"),
        Turn(role="assistant", content=""),
        Turn(role="user", content="hello"),
    ]
    [job] = asked.jobs("u")
    assert job == Chat(id="0", messages=turns, drafts=False, sampling=Sampling(max_tokens=8))


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"role": "tool", "content": "x"}, r"messages\[1\]\.role .* not 'tool'"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
            r"messages\[1\]\.content\[0\].* not 'image_url'",
        ),
    ],
)
def test_a_turn_that_cannot_be_read_is_named(message: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        chat_request(USER, message).jobs("u")


def block(text: str, job: int = 0, candidate: int = 0) -> Block:
    return Block(id=f"{job}", block=0, text=text, candidate=candidate)


def done(job: int = 0, reason: Any = "eos") -> Done:
    return Done(id=f"{job}", reason=reason, timings=Timings(prompt_tokens=2, tokens=3))


def generates(count: int) -> list[Generate]:
    return [Generate(id=f"{at}", prompt="x") for at in range(count)]


HOLE = Complete(id="0", document="d", version=0, prefix="")


def test_texts_of_several_jobs_come_interleaved_and_end_each_for_itself() -> None:
    choices = Choices(generates(2), 1, [])
    assert choices.take(block("a", 0)) == [Piece(0, "a")]
    assert choices.take(block("b", 1)) == [Piece(1, "b")]
    assert choices.take(done(0, "length")) == [Piece(0, "", "length")]
    assert (choices.finished, choices.usage) == (False, None)
    assert choices.take(done(1)) == [Piece(1, "", "stop")]
    assert choices.finished
    assert choices.usage == Usage(prompt_tokens=4, completion_tokens=6, total_tokens=10)


def test_the_candidates_of_a_hole_are_texts_of_their_own() -> None:
    choices = Choices([HOLE], 2, [])
    assert choices.take(block("b", candidate=1)) == [Piece(1, "b")]
    assert choices.take(block("a", candidate=0)) == [Piece(0, "a")]
    assert choices.take(done(reason="settled")) == [Piece(0, "", "stop"), Piece(1, "", "stop")]


def test_a_text_that_is_stopped_is_waited_for_no_longer_but_a_hole_has_ended_anyway() -> None:
    choices = Choices(generates(1), 1, ["\n"])
    assert choices.take(block("a\nb")) == [Piece(0, "a", "stop")]
    assert (choices.finished, choices.usage) == (True, None)
    choices = Choices([HOLE], 1, ["\n"])
    assert choices.take(block("a\nb")) == [Piece(0, "a", "stop")]
    assert not choices.finished
    assert choices.take(done()) == []
    assert choices.finished
    assert choices.usage is not None


def test_what_was_held_back_for_a_stop_string_comes_at_the_end() -> None:
    choices = Choices(generates(1), 1, ["END"])
    assert choices.take(block("aEN")) == [Piece(0, "a")]
    assert choices.take(done()) == [Piece(0, "EN", "stop")]
