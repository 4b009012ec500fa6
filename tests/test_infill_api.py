"""`/infill` asked as llama.vim asks it, with curl's headers, over the scripted model process."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from live_daemon import complete, endpoint, idle, on_socket, paths, serving

from dgemma_lsp import config as configuration
from dgemma_lsp.config import Config, Paths

__all__ = ["paths"]

FIELDS = [
    "content",
    "timings/prompt_n",
    "timings/prompt_ms",
    "timings/prompt_per_token_ms",
    "timings/prompt_per_second",
    "timings/predicted_n",
    "timings/predicted_ms",
    "timings/predicted_per_token_ms",
    "timings/predicted_per_second",
    "truncated",
    "tokens_cached",
]


def fim(prompt: str, prefix: str = "", suffix: str = ")\n\n", **fields: Any) -> dict[str, Any]:
    """What llama.vim sends for a suggestion before a closing bracket.

    A script that says ONE) shows ONE: it is neither what stands before the cursor nor behind it.
    """
    body = {
        "id_slot": 0,
        "input_prefix": prefix,
        "input_suffix": suffix,
        "input_extra": [{"text": "x = 1\n", "time": [1, 2], "filename": "a.py"}],
        "prompt": prompt,
        "n_predict": 128,
        "stop": [],
        "n_indent": 0,
        "top_k": 40,
        "top_p": 0.90,
        "samplers": ["top_k", "top_p", "infill"],
        "stream": False,
        "cache_prompt": True,
        "t_max_prompt_ms": 30_000,
        "t_max_predict_ms": 250,
        "response_fields": FIELDS,
        "model": "",
    }
    return body | fields


WARM_UP = {
    "id_slot": 0,
    "input_prefix": "",
    "input_suffix": "",
    "input_extra": [{"text": "/hang\n", "time": [1, 2], "filename": "a.py"}],
    "prompt": "",
    "n_predict": 0,
    "temperature": 0.0,
    "samplers": [],
    "stream": False,
    "cache_prompt": True,
    "t_max_prompt_ms": 1,
    "t_max_predict_ms": 1,
    "response_fields": [""],
    "model": "",
}


class Curl:
    """Sends what llama.vim has curl send, and reads what its callback gets."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url = session, url

    async def post(self, body: object) -> tuple[int, str]:
        async with self.session.post(self.url, data=json.dumps(body)) as answer:
            return answer.status, await answer.text()


@asynccontextmanager
async def curl(paths: Paths) -> AsyncIterator[Curl]:
    there = endpoint(paths)
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {there.token}",
        "Expect": "100-continue",
    }
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Curl(session, f"http://127.0.0.1:{there.port}/infill")


def is_taken_by_llama_vim(raw: str) -> bool:
    """Tell whether its callback goes on with an answer, one line at a time in Vim."""
    return "\n" not in raw and bool(re.search(r'^\s*\{.*"content"\s*:"', raw))


async def test_llama_vim_gets_what_it_reads_and_nothing_else(paths: Paths) -> None:
    async with serving(paths), curl(paths) as vim:
        status, raw = await vim.post(fim("/echo one)"))
        assert status == 200
        assert is_taken_by_llama_vim(raw)
        body = json.loads(raw)
        assert body["content"] == "one"
        assert set(body) == set(FIELDS) - {"truncated"}
        assert body["timings/predicted_n"] == 5


async def test_the_model_gets_the_text_around_the_cursor(paths: Paths) -> None:
    async with serving(paths), curl(paths) as vim:
        _, raw = await vim.post(fim("/job", suffix=""))
        job = json.loads(json.loads(raw)["content"])
        assert (job["prefix"], job["suffix"]) == ("/job", "")
        assert (job["deadline_ms"], job["sampling"]["max_tokens"]) == (30_250, 128)


async def test_announcing_other_files_takes_no_model_where_they_are_not_read(paths: Paths) -> None:
    async with serving(paths), curl(paths) as vim:
        assert await vim.post(WARM_UP) == (200, "{}")


async def test_announcing_other_files_takes_nobodys_place(paths: Paths) -> None:
    config = Config(
        model=configuration.Model(name="fake"),
        completion=configuration.Completion(context_chars=99),
    )
    async with serving(paths, config), curl(paths) as vim, on_socket(paths) as other:
        warming = asyncio.create_task(vim.post(WARM_UP))
        real = asyncio.create_task(vim.post(fim("/hang")))
        await other.report_when(lambda report: report.running == 2)
        assert not real.done()
        await other.ask(complete("1", "/free"))
        assert (await warming, (await real)[0]) == ((200, "{}"), 200)


async def test_who_types_on_takes_the_place_of_the_older_request(paths: Paths) -> None:
    async with serving(paths), curl(paths) as vim, on_socket(paths) as other:
        older = asyncio.create_task(vim.post(fim("/hang")))
        await other.report_when(lambda report: report.running == 1)
        _, raw = await vim.post(fim("/echo new)"))
        assert json.loads(raw)["content"] == "new"
        status, raw = await older
        assert (status, json.loads(raw)["error"]["code"]) == (409, "superseded")
        assert not is_taken_by_llama_vim(raw)


async def test_another_place_takes_nobodys_place(paths: Paths) -> None:
    async with serving(paths), curl(paths) as vim, on_socket(paths) as other:
        first = asyncio.create_task(vim.post(fim("/hang")))
        await other.report_when(lambda report: report.running == 1)
        await vim.post(fim("/free", suffix="\nanother file\n"))
        assert (await first)[0] == 200


async def test_a_deadline_without_a_text_is_no_empty_answer_that_a_client_would_keep(
    paths: Paths,
) -> None:
    async with serving(paths), curl(paths) as vim:
        status, raw = await vim.post(fim("/hang", t_max_prompt_ms=10, t_max_predict_ms=10))
        assert (status, json.loads(raw)["error"]["code"]) == (504, "deadline")
        assert "20 ms" in raw
        assert not is_taken_by_llama_vim(raw)


async def test_at_the_deadline_what_is_stable_is_the_answer(paths: Paths) -> None:
    async with serving(paths), curl(paths) as vim, on_socket(paths) as other:
        await other.report_when(lambda report: report.state == "ready")
        body = fim("/drafts 3\n/hang", t_max_prompt_ms=1000, t_max_predict_ms=1000)
        _, raw = await vim.post(body)
        assert json.loads(raw)["content"] == "abc"


async def test_an_editor_that_kills_its_curl_gives_the_model_back(paths: Paths) -> None:
    async with serving(paths), curl(paths) as vim, on_socket(paths) as other:
        asked = asyncio.create_task(vim.post(fim("/hang")))
        await other.report_when(lambda report: report.running == 1)
        asked.cancel()
        await idle(other)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"prompt": 1}, "$.prompt"),
        ({"input_extra": [{"filename": "x"}]}, "$.input_extra[0]"),
        ({"n_predict": -2}, "$.n_predict"),
        ([], "object"),
    ],
)
async def test_a_wrong_field_is_named(paths: Paths, body: object, where: str) -> None:
    async with serving(paths), curl(paths) as vim:
        status, raw = await vim.post(body)
        error = json.loads(raw)["error"]
        assert (status, error["code"]) == (400, "invalid_request")
        assert where in error["message"]


async def test_a_stream_is_one_event_with_the_whole_text(paths: Paths) -> None:
    async with serving(paths), curl(paths) as vim:
        _, raw = await vim.post(fim("/echo one)", stream=True))
        head, body, *rest = re.split(r"(?<=data: )|\n\n", raw)
        assert (head, rest) == ("data: ", [""])
        assert json.loads(body)["content"] == "one"


async def test_a_daemon_that_goes_down_says_so(paths: Paths) -> None:
    async with serving(paths) as daemon, curl(paths) as vim, on_socket(paths) as other:
        asked = asyncio.create_task(vim.post(fim("/hang")))
        await other.report_when(lambda report: report.running == 1)
        daemon.stop("the test says so")
        status, raw = await asked
        assert (status, json.loads(raw)["error"]["code"]) == (503, "stopping")
