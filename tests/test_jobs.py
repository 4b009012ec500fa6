import json
from typing import Any

import pytest
from live_daemon import chat, complete, generate, on_socket, paths, rewrite, serving, texts
from msgspec.structs import replace

from dgemma_lsp import config as configuration
from dgemma_lsp import jobs, wire
from dgemma_lsp.config import Config, Paths

__all__ = ["paths"]


async def test_what_the_client_left_open_is_taken_from_the_configuration(paths: Paths) -> None:
    config = Config(
        model=configuration.Model(name="fake"),
        completion=configuration.Completion(steps=7),
        chat=configuration.Chat(steps=9, max_tokens=11, system="be brief"),
    )
    async with serving(paths, config), on_socket(paths) as client:
        (completion,) = texts(await client.ask(complete("1", "/job")))
        (conversation,) = texts(await client.ask(chat("2", "/job", drafts=False)))
        (text,) = texts(await client.ask(generate("3", "/job")))
    assert json.loads(completion)["sampling"] == {"max_steps": 7}
    assert json.loads(conversation)["sampling"] == {"max_steps": 9, "max_tokens": 11}
    assert json.loads(conversation)["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "/job"},
    ]
    assert json.loads(text)["sampling"] == {"max_steps": 9, "max_tokens": 11}
    assert json.loads(text)["prompt"] == "/job"


@pytest.mark.parametrize("make", [complete, chat, generate, rewrite])
def test_what_the_client_said_wins_over_the_configuration(make: Any) -> None:
    config = Config(
        completion=configuration.Completion(steps=7),
        chat=configuration.Chat(steps=9, max_tokens=11),
    )
    sampling = wire.Sampling(max_steps=1, max_tokens=2, seed=3)
    job, notice = jobs.for_model(make("1", "hello", sampling=sampling), "key", config)
    assert (job.id, job.sampling, notice) == ("key", sampling, "")


@pytest.mark.parametrize(
    "message",
    [
        complete("1", "x", "d", previous="y", max_lines=3, priority="bulk", drafts=True),
        generate("1", "x", priority="bulk"),
        chat("1", "x", priority="bulk"),
        rewrite("1", "x", priority="bulk", strength=0.5, length=2.0),
    ],
    ids=["complete", "generate", "chat", "rewrite"],
)
def test_what_else_the_client_said_reaches_the_model_as_it_is(message: wire.Job) -> None:
    config = Config(chat=configuration.Chat(max_tokens=11))
    job, _ = jobs.for_model(message, "key", config)
    assert replace(job, id=message.id, sampling=message.sampling) == message


@pytest.mark.parametrize("make", [complete, chat, generate, rewrite])
@pytest.mark.parametrize(
    ("drafts", "deadline_ms", "asked"),
    [(False, None, False), (True, None, True), (False, 100, True), (True, 100, True)],
)
def test_the_model_is_asked_for_drafts_where_someone_needs_them(
    make: Any, drafts: bool, deadline_ms: int | None, asked: bool
) -> None:
    message = make("1", "x", drafts=drafts, deadline_ms=deadline_ms)
    assert jobs.for_model(message, "key", Config())[0].drafts is asked
