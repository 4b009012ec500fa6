"""The official `openai` client against the shipped daemon with nano."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from home import Home, until
from http_daemon import daemon, report
from openai import AsyncOpenAI, OpenAI

from dgemma_lsp.runtime import Endpoint

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parent.parent.parent
CLIENTS = ROOT / "dgemma_lsp" / "web" / "CLIENTS.md"
PROMPT = "import os\n\n\ndef join(a, b):\n    return os.path.j"
SUFFIX = "(a, b)\n\n\nprint(join('a', 'b'))\n"


@pytest.fixture(scope="module")
def there(daemon_home: Home) -> Iterator[Endpoint]:
    with daemon(daemon_home) as endpoint:
        yield endpoint


def address(there: Endpoint) -> str:
    return f"http://127.0.0.1:{there.port}/v1"


@pytest.fixture
def client(there: Endpoint) -> Iterator[OpenAI]:
    with OpenAI(base_url=address(there), api_key=there.token, max_retries=0) as api:
        yield api


def test_the_served_model_is_nano(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["nano"]


def test_the_lines_of_the_manual_work_as_they_stand(daemon_home: Home, there: Endpoint) -> None:
    blocks = re.findall(r"```python\n(.*?)```", CLIENTS.read_text(), flags=re.DOTALL)
    lines = next(block for block in blocks if "openai" in block)
    run = subprocess.run(
        [sys.executable, "-c", lines], env=daemon_home.env, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()


def test_the_same_seed_gives_the_same_text_streamed_or_not(client: OpenAI) -> None:
    asked = {"model": "nano", "prompt": "import os\n", "max_tokens": 48, "seed": 3}
    whole = client.completions.create(**asked)
    assert whole.choices[0].text
    assert whole.usage is not None
    assert 0 < whole.usage.completion_tokens <= 48
    chunks = list(client.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason


def test_several_texts_of_one_prompt_differ_by_their_seeds(client: OpenAI) -> None:
    answer = client.completions.create(model="nano", prompt="def ", max_tokens=32, n=3, seed=1)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.text for choice in answer.choices}) > 1


def test_a_hole_before_a_suffix_is_filled_within_the_length_asked_for(client: OpenAI) -> None:
    asked = {"model": "nano", "prompt": PROMPT, "suffix": SUFFIX, "n": 2}
    answer = client.completions.create(**asked)
    assert [choice.finish_reason for choice in answer.choices] == ["stop", "stop"]
    assert answer.choices[0].text.strip()
    short = client.completions.create(**asked, max_tokens=2)
    assert short.usage is not None
    assert 0 < short.usage.completion_tokens <= 2 * 2


def test_a_text_ends_before_the_stop_string(client: OpenAI) -> None:
    asked = {"model": "nano", "prompt": "import os\nimport sys\n", "max_tokens": 48}
    # What a seed gives differs between processors; some text has a second line.
    seed, without = next(
        (seed, text)
        for seed in range(40)
        if "\n" in (text := client.completions.create(**asked, seed=seed).choices[0].text)[1:]
    )
    line_end = without.index("\n", 1)
    stop = [without[line_end : line_end + 2]]
    [stopped] = client.completions.create(**asked, seed=seed, stop=stop).choices
    assert (stopped.text, stopped.finish_reason) == (without[:line_end], "stop")


def test_a_conversation_is_answered_and_streamed(client: OpenAI) -> None:
    asked = {
        "model": "nano",
        "messages": [{"role": "user", "content": "Write a function."}],
        "max_tokens": 48,
    }
    whole = client.chat.completions.create(**asked)
    assert whole.choices[0].message.role == "assistant"
    assert whole.choices[0].finish_reason in ("stop", "length")
    told = [
        chunk.choices[0].delta.content
        for chunk in client.chat.completions.create(**asked, stream=True)
    ]
    assert "".join(text or "" for text in told) == whole.choices[0].message.content


def test_errors_have_the_clients_own_types(there: Endpoint, client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="max_tokens"):
        client.completions.create(model="nano", prompt="x", max_tokens=0)
    with pytest.raises(openai.APIStatusError, match="nano holds") as raised:
        client.completions.create(model="nano", prompt="word " * 10_000, max_tokens=64)
    assert raised.value.status_code == 413
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="nano", input="x")
    stranger = OpenAI(base_url=address(there), api_key="wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError, match=r"endpoint\.json"):
        stranger.models.list()


async def test_who_goes_away_frees_the_model(daemon_home: Home, there: Endpoint) -> None:
    def requests(*names: str) -> list[int]:
        counts = report(daemon_home)["requests"]
        return [counts[name] for name in names]

    ended, withdrawn = requests("completed", "failed"), requests("withdrawn")[0]
    async with AsyncOpenAI(base_url=address(there), api_key=there.token, max_retries=0) as api:
        asked = asyncio.create_task(
            api.completions.create(model="nano", prompt="x = 1\n" * 20, max_tokens=900, n=16)
        )
        await asyncio.to_thread(until, lambda: requests("running")[0], "the request")
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await asyncio.to_thread(until, lambda: not any(requests("running", "queued")), "its end")
    assert requests("completed", "failed") == ended
    assert requests("withdrawn") == [withdrawn + 16]
