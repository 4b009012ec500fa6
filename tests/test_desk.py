import json
from typing import Any

import aiohttp
import pytest
from live_daemon import configured, idle, on_socket, paths, serving
from page_visitor import enter, link, visitor

from dgemma_lsp.config import Paths

__all__ = ["paths"]


async def write(session: aiohttp.ClientSession, **wanted: Any) -> list[dict[str, Any]]:
    """The lines that the desk answers with."""
    text = wanted.setdefault("text", "Some words.")
    body = {"mode": "shorten", "start": 0, "end": len(text), **wanted}
    async with session.post("/page/write", json=body) as answer:
        assert answer.status == 200
        return [json.loads(line) async for line in answer.content]


async def test_the_desk_tells_the_modes_and_what_a_model_cannot_do(paths: Paths) -> None:
    async with serving(paths, configured("fake")), visitor(paths) as session:
        await enter(session, await link(session, paths))
        told = await (await session.get("/page/modes")).json()
    modes = {mode["mode"]: mode for mode in told["modes"]}
    assert told["model"] == "fake"
    assert modes["translate"]["needs"] == ["to"]
    assert modes["custom"]["needs"] == ["instruction"]
    assert modes["shorten"] == {
        "mode": "shorten",
        "title": "Shorten",
        "way": "in_place",
        "strength": 1.0,
        "needs": [],
        "refusal": "",
    }


async def test_variants_come_after_how_far_they_are(paths: Paths) -> None:
    async with serving(paths), visitor(paths) as session:
        await enter(session, await link(session, paths))
        first, *others, last = await write(session, mode="explain", text="/echo It does this.")
    assert first == {"type": "parts", "parts": []}
    assert {line["type"] for line in others} == {"draft", "progress"}
    (variant,) = last["variants"]
    assert last["type"] == "variants"
    assert "It does this." in variant.pop("text")
    assert variant == {"told": True, "left": 0}


async def test_what_is_written_is_seen_on_the_way_to_it(paths: Paths) -> None:
    async with serving(paths), visitor(paths) as session:
        await enter(session, await link(session, paths))
        *lines, _ = await write(session, mode="explain", text="/echo It does this.")
    drafts = [line for line in lines if line["type"] == "draft"]
    assert {draft["variant"] for draft in drafts} == {0}
    assert [draft["part"] for draft in drafts if draft["final"]] == list(range(len(drafts)))
    assert "It does this." in "".join(draft["text"] for draft in drafts)


async def test_the_parts_of_a_text_come_before_their_drafts(paths: Paths) -> None:
    async with serving(paths), visitor(paths) as session:
        await enter(session, await link(session, paths))
        body = {"mode": "shorten", "text": "a `b` c", "start": 0, "end": 7}
        async with session.post("/page/write", json=body) as answer:
            parts = json.loads(await answer.content.readline())
    kept = [{"text": text, "kept": True} for text in (" `b`", "")]
    assert parts == {"type": "parts", "parts": [{"text": "a"}, kept[0], {"text": " c"}, kept[1]]}


async def test_only_the_selection_is_rewritten(paths: Paths) -> None:
    text = "kept 😀 /echo new kept"
    start, end = text.index("/echo"), text.index(" kept", 8)
    async with serving(paths), visitor(paths) as session:
        await enter(session, await link(session, paths))
        lines = await write(session, mode="summarise", text=text, start=start, end=end)
    (variant,) = lines[-1]["variants"]
    assert variant["text"].startswith("kept 😀 ") and variant["text"].endswith(" kept")
    assert "new" in variant["text"] and "/echo" not in variant["text"]


async def test_what_the_model_fails_on_is_told_in_the_last_line(paths: Paths) -> None:
    async with serving(paths), visitor(paths) as session:
        await enter(session, await link(session, paths))
        *_, last = await write(session, mode="explain", text="/fail it is too warm")
    assert last == {"type": "failed", "message": "it is too warm"}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"mode": "sing"}, "'sing'"),
        ({"mode": "translate"}, "translate: say into which language"),
        ({"mode": "explain", "text": "a", "end": 2}, "end 2: the text has 1 characters"),
        ({"variants": 9}, "variants"),
        ({"mode": None}, "mode"),
    ],
)
async def test_what_cannot_be_wanted_is_refused_in_a_line(
    paths: Paths, wanted: dict[str, Any], message: str
) -> None:
    body = {"mode": "shorten", "text": "Words.", "start": 0, "end": 6, **wanted}
    async with serving(paths), visitor(paths) as session:
        await enter(session, await link(session, paths))
        answer = await session.post("/page/write", json=body)
        told = (await answer.json())["error"]["message"]
    assert answer.status == 400
    assert message in told and "\n" not in told


async def test_a_desk_that_is_left_takes_its_requests_back(paths: Paths) -> None:
    async with serving(paths), visitor(paths) as session, on_socket(paths) as client:
        await enter(session, await link(session, paths))
        body = {"mode": "explain", "text": "/hang", "start": 0, "end": 5}
        async with session.post("/page/write", json=body):
            await client.report_when(lambda report: report.running == 1)
        assert (await idle(client)).withdrawn == 1
