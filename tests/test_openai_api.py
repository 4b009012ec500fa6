"""The official client against the daemon over the scripted model process."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from live_daemon import configured, endpoint, idle, on_socket, paths, serving
from openai import AsyncOpenAI

from dgemma_lsp.config import Paths

__all__ = ["paths"]


@asynccontextmanager
async def client(paths: Paths, **options: Any) -> AsyncIterator[AsyncOpenAI]:
    there = endpoint(paths)
    options = {"api_key": there.token, "max_retries": 0, **options}
    url = f"http://127.0.0.1:{there.port}/v1"
    async with AsyncOpenAI(base_url=url, **options) as asking:
        yield asking


async def test_the_model_that_is_served_is_listed(paths: Paths) -> None:
    async with serving(paths), client(paths) as api:
        assert [model.id async for model in api.models.list()] == ["fake"]


async def test_a_text_is_continued(paths: Paths) -> None:
    async with serving(paths), client(paths) as api:
        answer = await api.completions.create(model="any", prompt="/echo one\n/echo two")
        assert (answer.object, answer.model) == ("text_completion", "fake")
        [choice] = answer.choices
        assert (choice.text, choice.finish_reason) == ("onetwo", "stop")
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (0, 5)


async def test_a_suffix_makes_a_hole(paths: Paths) -> None:
    async with serving(paths), client(paths) as api:
        answer = await api.completions.create(
            model="any", prompt="/job", suffix="behind", max_tokens=9
        )
        job = json.loads(answer.choices[0].text)
        assert (job["type"], job["prefix"], job["suffix"]) == ("complete", "/job", "behind")
        assert job["sampling"] == {"max_tokens": 9}


async def test_a_conversation_is_answered(paths: Paths) -> None:
    async with serving(paths), client(paths) as api:
        answer = await api.chat.completions.create(
            model="any",
            messages=[
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "/job"},
            ],
            n=2,
            seed=4,
        )
        jobs = [json.loads(choice.message.content or "") for choice in answer.choices]
        assert [choice.index for choice in answer.choices] == [0, 1]
        assert [job["sampling"]["seed"] for job in jobs] == [4, 5]
        assert jobs[0]["messages"][0] == {"role": "system", "content": "be brief"}


async def test_a_stream_brings_blocks_and_no_drafts(paths: Paths) -> None:
    async with serving(paths), client(paths) as api:
        script = "/drafts 5\n/echo one\n/drafts 5\n/echo two"
        stream = await api.chat.completions.create(
            model="any",
            messages=[{"role": "user", "content": script}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        told = [choice for chunk in chunks for choice in chunk.choices]
        assert [choice.delta.content for choice in told] == ["", "one", "two", None]
        assert [choice.delta.role for choice in told] == ["assistant", None, None, None]
        assert [choice.finish_reason for choice in told] == [None, None, None, "stop"]
        assert [chunk.usage is not None for chunk in chunks] == [False] * 4 + [True]
        assert len({chunk.id for chunk in chunks}) == 1


async def test_a_streamed_text_ends_at_a_stop_string_and_the_model_is_let_go(paths: Paths) -> None:
    async with serving(paths), client(paths) as api, on_socket(paths) as other:
        stream = await api.completions.create(
            model="any", prompt="/echo one E\n/echo ND two\n/hang", stop="END", stream=True
        )
        chunks = [chunk.choices[0] async for chunk in stream]
        assert [chunk.text for chunk in chunks] == ["one ", ""]
        assert [chunk.finish_reason for chunk in chunks] == [None, "stop"]
        await idle(other)


@pytest.mark.parametrize(
    ("body", "error", "told"),
    [
        ({"prompt": ""}, openai.BadRequestError, "prompt"),
        ({"prompt": "/echo x", "max_tokens": "many"}, openai.BadRequestError, "max_tokens"),
        ({"prompt": "x" * 5_000_000}, openai.APIStatusError, "size"),
        ({"prompt": "/fail a reason"}, openai.InternalServerError, "a reason"),
        ({"prompt": "/echo x\n/crash"}, openai.InternalServerError, "died"),
    ],
)
async def test_errors_come_by_type_with_what_is_wrong(
    paths: Paths, body: dict[str, Any], error: type[openai.APIStatusError], told: str
) -> None:
    async with serving(paths), client(paths) as api:
        with pytest.raises(error) as raised:
            await api.completions.create(model="any", extra_body=body, prompt="")
        assert told in str(raised.value.body)


async def test_a_wrong_token_and_a_full_queue_are_errors_of_their_own(paths: Paths) -> None:
    async with serving(paths, configured(parallel=1, queue=1)), on_socket(paths) as other:
        async with client(paths, api_key="wrong") as api:
            with pytest.raises(openai.AuthenticationError):
                await api.models.list()
        async with client(paths) as api:
            with pytest.raises(openai.RateLimitError):
                await api.completions.create(model="any", prompt="/hang", n=3)
        await idle(other)  # those that had a place were given up with the third


async def test_what_ends_badly_after_the_stream_has_begun_is_told_in_it(paths: Paths) -> None:
    async with serving(paths), client(paths) as api:
        stream = await api.completions.create(
            model="any", prompt="/echo one\n/fail a reason", stream=True
        )
        texts = []
        with pytest.raises(openai.APIError, match="a reason"):
            async for chunk in stream:
                texts.append(chunk.choices[0].text)
        assert texts == ["one"]


async def test_what_fails_before_the_stream_begins_has_a_status(paths: Paths) -> None:
    async with serving(paths), client(paths) as api:
        with pytest.raises(openai.InternalServerError, match="a reason"):
            await api.completions.create(model="any", prompt="/fail a reason", stream=True)


async def test_the_newest_of_a_named_document_wins_and_the_older_is_not_asked_again(
    paths: Paths,
) -> None:
    async with serving(paths), client(paths, max_retries=5) as api, on_socket(paths) as other:
        named = {"extra_body": {"document": "d"}, "model": "any", "suffix": ""}
        older = asyncio.create_task(api.completions.create(prompt="/hang", **named))
        await other.report_when(lambda report: report.running == 1)
        newer = await api.completions.create(prompt="/echo new", **named)
        assert newer.choices[0].text == "new"
        with pytest.raises(openai.ConflictError):
            await older


async def test_a_client_that_goes_away_gives_the_model_back(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as other:
        for stream in (False, True):
            async with client(paths) as api:
                asked = asyncio.create_task(
                    api.completions.create(model="any", prompt="/echo x\n/hang", stream=stream)
                )
                await other.report_when(lambda report: report.running == 1)
                if stream:
                    await (await asked).close()
                else:
                    asked.cancel()
                await idle(other)
