import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as t
from pygls.exceptions import JsonRpcException
from scripted_daemon import Script, ScriptedDaemon, silent
from scripted_editor import Editor, editor, folder, plain
from scripted_rewrites import in_capitals

from dgemma_lsp import wire
from dgemma_lsp.config import Config, Model
from dgemma_lsp.ignores import NAME
from dgemma_lsp.protocol import REWRITE
from dgemma_lsp.rewrite_handlers import COMMAND, LOOKED_AT_CHARS, OFFERED

__all__ = ["folder"]

URI = "file:///tmp/a%20b/wörld.md"
TEXT = "# 😋 one `x` two\n\nthree four\n"
PREVIEWS = t.ClientCapabilities(
    workspace=t.WorkspaceClientCapabilities(
        workspace_edit=t.WorkspaceEditClientCapabilities(
            document_changes=True,
            change_annotation_support=t.ChangeAnnotationsSupportOptions(),
        )
    )
)


@asynccontextmanager
async def written(
    folder: Path,
    script: Script = in_capitals,
    *,
    text: str = TEXT,
    language: str = "markdown",
    capabilities: t.ClientCapabilities = PREVIEWS,
    **options: Any,
) -> AsyncIterator[tuple[Editor, ScriptedDaemon]]:
    """An editor with one document, and the daemon that its server asks."""
    config = Config(model=Model(name="scripted"))
    async with (
        ScriptedDaemon(folder / "daemon.sock", script) as daemon,
        editor(folder, config, capabilities, **options) as one,
    ):
        one.open(text, URI, language)
        yield one, daemon


def lines(first: int, last: int, until: int = 0) -> dict[str, Any]:
    ends = {"start": (first, 0), "end": (last, until)}
    return {name: {"line": line, "character": at} for name, (line, at) in ends.items()}


def asked(mode: str = "shorten", range: Any = None, **more: Any) -> dict[str, Any]:
    return {"textDocument": {"uri": URI}, "range": range or lines(0, 3), "mode": mode, **more}


def whole(answer: Any) -> Any:
    """What pygls made of an answer as what it was, lists too."""
    if isinstance(answer, list | tuple) and not hasattr(answer, "_asdict"):
        return [whole(one) for one in answer]
    answer = plain(answer)
    return {k: whole(v) for k, v in answer.items()} if isinstance(answer, dict) else answer


async def ask(one: Editor, *args: Any, **more: Any) -> Any:
    return whole(await one.send(REWRITE, asked(*args, **more)))


async def offered(one: Editor, range: Any, *problems: Any, only: Any = None) -> Any:
    """The code actions as they are: pygls' client would take them for commands."""
    context = {"diagnostics": problems} | ({"only": only} if only else {})
    params = {"textDocument": {"uri": URI}, "range": range, "context": context}
    answer = one.send(t.TEXT_DOCUMENT_CODE_ACTION, params, id="actions")
    one.client.protocol._result_types["actions"] = None  # type: ignore[assignment]
    return whole(await answer)


async def test_the_edits_say_where_they_go_in_the_editors_units(folder: Path) -> None:
    async with written(folder) as (one, _):
        answer = await ask(one)
    (variant,) = answer["variants"]
    (change,) = variant["edit"]["documentChanges"]
    assert [(edit["range"], edit["newText"]) for edit in change["edits"]] == [
        (
            {"start": {"line": 0, "character": 2}, "end": {"line": 0, "character": 16}},
            "😋 ONE `x` TWO",
        ),
        (
            {"start": {"line": 2, "character": 0}, "end": {"line": 2, "character": 10}},
            "THREE FOUR",
        ),
    ]


async def test_every_edit_asks_for_confirmation_and_names_the_version(folder: Path) -> None:
    async with written(folder) as (one, _):
        answer = await ask(one)
    edit = answer["variants"][0]["edit"]
    (annotation,) = edit["changeAnnotations"].values()
    assert annotation["needsConfirmation"] is True
    (change,) = edit["documentChanges"]
    assert change["textDocument"] == {"uri": URI, "version": 0}
    assert {e["annotationId"] for e in change["edits"]} == set(edit["changeAnnotations"])


async def test_each_variant_has_a_seed_of_its_own_and_equal_ones_are_one(folder: Path) -> None:
    async with written(folder) as (one, daemon):
        answer = await ask(one, variants=3, seed=5)
        jobs = await daemon.heard_of(wire.Rewrite, 3)
    assert sorted(job.sampling.seed or 0 for job in jobs) == [5, 6, 7]
    assert len(answer["variants"]) == 1


async def test_what_the_person_says_reaches_the_model(folder: Path) -> None:
    async with written(folder) as (one, daemon):
        await ask(one, "translate", to="Dutch", keep=["four"], strength=0.5, length=5)
        (job,) = await daemon.heard_of(wire.Rewrite)
    assert "Dutch" in job.instruction
    assert job.strength == 0.5
    assert job.length == 1.0
    assert wire.Part(" four", True) in job.parts


async def test_what_only_tells_something_has_no_edit(folder: Path) -> None:
    async with written(folder) as (one, _):
        answer = await ask(one, "explain")
    assert "three four" in answer["told"]
    assert answer["variants"] == []


@pytest.mark.parametrize(
    ("mode", "range", "message"),
    [
        ("sing", None, "mode 'sing': there are shorten, "),
        ("translate", None, "translate: say into which language"),
        ("shorten", lines(1, 1), "no prose in the selection"),
    ],
)
async def test_what_cannot_be_is_refused_in_one_line(
    folder: Path, mode: str, range: Any, message: str
) -> None:
    async with written(folder) as (one, _):
        with pytest.raises(JsonRpcException, match=message) as told:
            await ask(one, mode, range)
    assert told.value.code == t.LSPErrorCodes.RequestFailed
    assert "\n" not in told.value.message


async def test_an_edit_of_a_document_that_has_changed_is_refused(folder: Path) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow(message: wire.Request, send: Any) -> None:
        reached.set()
        await go_on.wait()
        await in_capitals(message, send)

    async with written(folder, slow) as (one, _):
        answer = one.send(REWRITE, asked())
        await reached.wait()
        one.change("other\n", uri=URI)
        # What comes behind the change is answered behind it.
        await offered(one, lines(0, 1))
        go_on.set()
        with pytest.raises(JsonRpcException, match="has changed") as told:
            await answer
    assert told.value.code == t.LSPErrorCodes.ContentModified


async def test_a_cancelled_request_is_taken_back_from_the_daemon(folder: Path) -> None:
    async with written(folder, silent) as (one, daemon):
        one.send(REWRITE, asked(), id="mine")
        (job,) = await daemon.heard_of(wire.Rewrite)
        one.client.cancel_request(t.CancelParams("mine"))
        (cancel,) = await daemon.heard_of(wire.Cancel)
    assert cancel.id == job.id


async def test_a_file_that_is_left_out_is_never_sent(folder: Path) -> None:
    (folder / NAME).write_text("*.md\n")
    uri = (folder / "secret.md").as_uri()
    roots = [t.WorkspaceFolder(folder.as_uri(), "it")]
    async with written(folder, folders=roots) as (one, daemon):
        one.open(TEXT, uri, "markdown")
        with pytest.raises(JsonRpcException, match=f"{NAME} leaves this file out"):
            await one.send(REWRITE, asked() | {"textDocument": {"uri": uri}})
    assert not [message for message in daemon.heard if isinstance(message, wire.Rewrite)]


# -- code actions --------------------------------------------------------------------------------


def modes(actions: Any) -> list[str]:
    return [action["command"]["arguments"][0]["mode"] for action in actions]


@pytest.mark.parametrize(
    ("language", "text", "range", "expected"),
    [
        ("markdown", TEXT, lines(0, 3), [m for m in OFFERED if m != "docstring"]),
        ("markdown", TEXT, lines(0, 0), []),
        ("python", "def f():\n    x = 1\n", lines(0, 0), ["docstring"]),
        ("python", "def f():\n    x = 1\n", lines(0, 1), ["summarise", "docstring", "continue"]),
    ],
)
async def test_what_the_selection_allows_is_offered(
    folder: Path, language: str, text: str, range: Any, expected: list[str]
) -> None:
    async with written(folder, text=text, language=language) as (one, _):
        assert modes(await offered(one, range)) == expected


async def test_a_long_document_is_not_read_for_the_menu(folder: Path) -> None:
    text = "`x`\n" * LOOKED_AT_CHARS
    async with written(folder, text=text) as (one, _):
        assert "shorten" in modes(await offered(one, lines(0, 3)))
        with pytest.raises(JsonRpcException, match="no prose in the selection"):
            await ask(one, "shorten", lines(0, 1))


async def test_an_editor_that_would_apply_edits_unseen_is_offered_nothing(folder: Path) -> None:
    async with written(folder, capabilities=t.ClientCapabilities()) as (one, _):
        assert await offered(one, lines(0, 3)) == []


async def test_nano_is_offered_what_it_can_do_and_refuses_the_rest(folder: Path) -> None:
    config = Config(model=Model(name="nano"))
    daemon = ScriptedDaemon(folder / "daemon.sock", in_capitals)
    daemon.greeting = wire.Welcome(protocol=wire.PROTOCOL, model="nano", state="ready")
    async with daemon, editor(folder, config, PREVIEWS) as one:
        one.open("def f():\n    x = 1\n", URI, "python")
        assert modes(await offered(one, lines(0, 1))) == ["docstring", "continue"]
        with pytest.raises(JsonRpcException, match=r"takes no instructions.*set model\.name"):
            await ask(one, "summarise", lines(0, 1))


async def test_a_problem_that_is_told_can_be_fixed_on_its_lines(folder: Path) -> None:
    wrong = {"range": lines(1, 1, 5), "message": "y is not used"}
    text = "def f():\n    y = 1\n"
    async with written(folder, text=text, language="python") as (one, daemon):
        (fix,) = await offered(one, lines(1, 1, 4), wrong, only=["quickfix"])
        assert fix["kind"] == "quickfix"
        await one.send(REWRITE, fix["command"]["arguments"][0])
        (job,) = await daemon.heard_of(wire.Chat)
    assert "y is not used" in job.messages[-1].content
    assert "    y = 1\n" in job.messages[-1].content


async def test_the_command_hands_the_editor_an_edit_to_confirm(folder: Path) -> None:
    async with written(folder) as (one, _):
        applied: asyncio.Queue[t.ApplyWorkspaceEditParams] = asyncio.Queue()

        @one.client.feature(t.WORKSPACE_APPLY_EDIT)
        def apply(params: t.ApplyWorkspaceEditParams) -> t.ApplyWorkspaceEditResult:
            applied.put_nowait(params)
            return t.ApplyWorkspaceEditResult(applied=True)

        await one.send("workspace/executeCommand", {"command": COMMAND, "arguments": [asked()]})
        params = applied.get_nowait()
    assert params.label == "DGemma: Shorten"
    (annotation,) = (params.edit.change_annotations or {}).values()
    assert annotation.needs_confirmation


async def test_progress_is_shown_under_the_token_of_the_request(folder: Path) -> None:
    async with written(folder) as (one, _):
        one.client.progress_reports["token"] = []
        await ask(one, workDoneToken="token")
        kinds = [value.kind for value in one.client.progress_reports["token"]]
    assert kinds[0] == "begin"
    assert kinds[-1] == "end"
    assert "report" in kinds


async def test_who_cancels_the_progress_ends_the_work(folder: Path) -> None:
    async with written(folder, silent) as (one, daemon):
        one.client.progress_reports["token"] = []
        one.send(REWRITE, asked(workDoneToken="token"))
        await daemon.heard_of(wire.Rewrite)
        one.client.window_work_done_progress_cancel(t.WorkDoneProgressCancelParams("token"))
        await daemon.heard_of(wire.Cancel)
