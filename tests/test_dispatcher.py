import asyncio
import os
import random
import signal
from typing import Any

import pytest
from live_daemon import (
    TRANSPORTS,
    chat,
    complete,
    configured,
    end,
    generate,
    idle,
    on_loopback,
    on_socket,
    paths,
    rewrite,
    serving,
    texts,
)

from dgemma_lsp import dispatcher, wire
from dgemma_lsp.config import Paths
from dgemma_lsp.wire import Block, Cancel, Done, Draft, Failed

__all__ = ["paths"]


# Answers


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("make", [complete, chat, generate, rewrite])
async def test_a_request_is_answered_on_both_listeners(
    paths: Paths, transport: Any, make: Any
) -> None:
    async with serving(paths), transport(paths) as client:
        answers = await client.ask(make("1", "/echo héllo"))
    assert texts(answers) == ["héllo"]
    assert end(answers) == "eos"


async def test_done_carries_the_times_of_the_daemon_and_the_counts_of_the_model(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as client:
        *_, done = await client.ask(complete("1", "/echo x"))
    assert isinstance(done, Done)
    assert 0 <= done.timings.queue_ms <= done.timings.total_ms
    assert done.timings.total_ms > 0
    assert (done.timings.tokens, done.timings.steps) == (5, 2)


async def test_the_report_counts_steps_and_those_for_withdrawn_requests(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.ask(complete("done", "/echo x"))
        await client.send(complete("withdrawn", "/drafts 3\n/hang", drafts=True))
        drafts = [await client.receive() for _ in range(3)]
        assert all(isinstance(draft, Draft) for draft in drafts)
        await client.send(Cancel(id="withdrawn"))
        await client.until_end("withdrawn")
        report = await client.report()
    assert (report.completed, report.withdrawn, report.failed) == (1, 1, 0)
    assert (report.steps, report.withdrawn_steps) == (5, 3)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_texts_that_are_scored_are_answered_in_their_order(
    paths: Paths, transport: Any
) -> None:
    async with serving(paths), transport(paths) as client:
        scores, done = await client.ask(wire.Score(id="1", texts=["a", "abc", "ab"]))
    assert scores == wire.Scores(id="1", log_probs=[-1.0, -3.0, -2.0])
    assert isinstance(done, Done)


async def test_scoring_is_taken_back_like_any_other_request(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.send(wire.Score(id="1", texts=["/hang"]))
        await client.report_when(lambda report: report.running == 1)
        await client.send(Cancel(id="1"))
        assert end([await client.receive()]) == "cancelled"
        await idle(client)


@pytest.mark.parametrize("wanted", [True, False])
async def test_drafts_reach_the_client_that_asked_for_them_and_no_other(
    paths: Paths, wanted: bool
) -> None:
    async with serving(paths), on_socket(paths) as client:
        answers = await client.ask(
            complete("1", "/drafts 3\n/echo x", drafts=wanted, deadline_ms=60_000)
        )
    drafts = [answer.step for answer in answers if isinstance(answer, Draft)]
    assert drafts == ([1, 2, 3] if wanted else [])


async def test_requests_sent_while_the_model_loads_are_answered_when_it_is_ready(
    paths: Paths,
) -> None:
    fifo = paths.runtime.parent / "fifo"
    os.mkfifo(fifo)
    async with serving(paths, configured(f"fake-waits:{fifo}")), on_socket(paths) as client:
        await client.send(complete("1", "/echo x"), chat("2", "/echo y"))
        report = await client.report()
        assert (report.state, report.queued, report.running) == ("loading", 2, 0)
        await asyncio.to_thread(fifo.write_bytes, b"go")
        answers = await client.until_end("1", "2")
    assert (texts(answers["1"]), texts(answers["2"])) == (["x"], ["y"])


async def test_how_much_of_the_model_is_loaded_is_reported_until_it_is_ready(
    paths: Paths,
) -> None:
    fifo = paths.runtime.parent / "fifo"
    os.mkfifo(fifo)
    async with serving(paths, configured(f"fake-waits:{fifo}")), on_socket(paths) as client:
        await client.report_when(lambda report: report.progress == 45)
        await asyncio.to_thread(fifo.write_bytes, b"go")
        ready = await client.report_when(lambda report: report.state == "ready")
    assert ready.progress is None


async def test_two_connections_with_the_same_ids_are_answered_each_for_itself(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as one, on_loopback(paths) as other:
        await one.send(complete("1", "/hang"))
        await one.report_when(lambda report: report.running == 1)
        await one.send(complete("2", "/echo one"))
        await other.send(complete("1", "/echo other"), chat("2", "/free"))
        assert texts((await other.until_end("1", "2"))["1"]) == ["other"]
        answers = await one.until_end("1", "2")
    assert (end(answers["1"]), texts(answers["2"])) == ("eos", ["one"])


async def test_a_chat_is_answered_while_a_completion_runs_and_the_other_way_round(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.send(complete("1", "/hang"))
        assert end(await client.ask(chat("2", "/echo x"))) == "eos"
        await client.send(chat("3", "/hang"), Cancel(id="1"))
        assert end((await client.until_end("1"))["1"]) == "cancelled"
        assert end(await client.ask(complete("4", "/echo x"))) == "eos"


# Many at once


async def test_the_model_holds_many_requests_and_the_report_counts_them(paths: Paths) -> None:
    async with serving(paths, configured(parallel=4)), on_socket(paths) as client:
        await client.report_when(lambda report: report.state == "ready")
        makes = (complete, complete, complete, chat, generate, complete)
        await client.send(*[make(str(n), "/hang") for n, make in enumerate(makes)])
        report = await client.report()
        assert (report.running, report.queued) == (4, 2)
        # The last one gets the place of the first, and frees the others.
        await client.send(*[Cancel(id=id) for id in "450"], chat("6", "/free"))
        answers = await client.until_end(*"0123456")
        report = await client.report()
    ends = [end(answers[id]) for id in "0123456"]
    assert ends == ["cancelled", "eos", "eos", "eos", "cancelled", "cancelled", "eos"]
    assert (report.running, report.queued, report.completed) == (0, 0, 4)


async def test_a_newer_completion_stops_that_of_its_own_document_and_no_other(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.send(*[complete(id, "/hang", f"{id}.py") for id in "abc"])
        answers = await client.ask(complete("d", "/echo newest", "b.py", version=2))
        assert texts(answers) == ["newest"]
        report = await client.report_when(lambda report: report.running == 2)
        assert report.queued == 0
        await client.send(chat("e", "/free"))
        answers = await client.until_end("a", "c", "e")
    assert [end(answers[id]) for id in "ac"] == ["eos", "eos"]


async def test_neither_a_completion_nor_a_chat_waits_for_a_batch(paths: Paths) -> None:
    async with serving(paths, configured(parallel=3)), on_socket(paths) as client:
        await client.report_when(lambda report: report.state == "ready")
        await client.send(*[generate(str(n), "/hang", priority="bulk") for n in range(5)])
        report = await client.report()
        assert (report.running, report.queued) == (1, 4)
        assert end(await client.ask(chat("chat", "/echo x"))) == "eos"
        await client.send(chat("chat", "/hang"))
        assert end(await client.ask(complete("complete", "/echo x"))) == "eos"


# Newest wins, cancel, deadline


async def test_the_newest_completion_of_a_document_wins(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.send(complete("1", "/hang", "file.py", version=1))
        await client.send(complete("2", "/hang", "file.py", version=2))
        await client.send(complete("3", "/echo newest", "file.py", version=3))
        answers = await client.until_end("1", "2", "3")
    assert [end(answers[id]) for id in "123"] == ["superseded", "superseded", "eos"]
    assert texts(answers["3"]) == ["newest"]


async def test_a_cancelled_request_ends_and_its_id_may_be_used_again_at_once(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.send(complete("1", "/hang"), Cancel(id="1"))
        assert end((await client.until_end("1"))["1"]) == "cancelled"
        answers = await client.ask(complete("1", "/echo again"))
        assert texts(answers) == ["again"]


async def test_a_cancel_of_a_request_that_has_ended_is_answered_by_nothing(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.ask(complete("1", "/echo x"))
        await client.send(Cancel(id="1"), Cancel(id="never seen"))
        await client.report()  # the next message is the report


@pytest.mark.parametrize("make", [complete, chat, generate, rewrite])
async def test_at_the_deadline_the_stable_part_of_the_newest_draft_is_the_answer(
    paths: Paths, make: Any
) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.report_when(lambda report: report.state == "ready")
        answers = await client.ask(
            make("1", "/echo final\n/drafts 3\n/hang", deadline_ms=1000, drafts=False)
        )
        final, stable, done = answers
        assert final == Block(id="1", block=0, text="final", steps=2)
        assert stable == Block(id="1", block=1, text="abc", steps=3, stable=False)
        assert isinstance(done, Done)
        assert done.reason == "deadline"
        assert done.timings.total_ms >= 1000
        assert done.timings.steps == 5
        await idle(client)  # the model was told to stop


async def test_at_the_deadline_of_a_request_that_waits_the_answer_is_empty(paths: Paths) -> None:
    async with serving(paths, configured(parallel=1)), on_socket(paths) as client:
        await client.send(complete("1", "/hang"))
        answers = await client.ask(complete("2", "/echo x", deadline_ms=1))
        assert (texts(answers), end(answers)) == ([], "deadline")


async def test_a_deadline_that_is_kept_by_the_model_changes_nothing(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        answers = await client.ask(complete("1", "/drafts 3\n/echo x", deadline_ms=60_000))
    assert (texts(answers), end(answers)) == (["x"], "eos")


async def test_a_full_queue_says_so(paths: Paths) -> None:
    async with serving(paths, configured(parallel=1, queue=1)), on_socket(paths) as client:
        await client.send(complete("1", "/hang"), complete("2", "/echo x"))
        (failed,) = await client.ask(complete("3", "/echo x"))
    assert isinstance(failed, Failed)
    assert failed.code == "busy"


# The model process


async def test_a_killed_model_process_fails_the_request_in_flight_and_the_next_succeeds(
    paths: Paths,
) -> None:
    async with serving(paths), on_socket(paths) as client:
        await client.send(complete("1", "/hang"))
        report = await client.report_when(lambda report: report.running == 1)
        os.kill(report.model_pid, signal.SIGKILL)
        (failed,) = (await client.until_end("1"))["1"]
        assert isinstance(failed, Failed)
        assert failed.code == "model_crashed"
        assert "SIGKILL" in failed.message
        assert texts(await client.ask(complete("2", "/echo back"))) == ["back"]
        report = await client.report()
    assert (report.state, report.restarts, report.failed) == ("ready", 1, 1)


async def test_a_killed_model_process_fails_all_that_it_held_and_nothing_that_waits(
    paths: Paths,
) -> None:
    async with serving(paths, configured(parallel=4)), on_socket(paths) as client:
        held = [complete("0", "/hang"), complete("1", "/hang", deadline_ms=60_000)]
        held += [chat("2", "/drafts 3\n/hang"), complete("3", "/hang")]
        waiting = [complete("4", "/echo x"), chat("5", "/echo x"), generate("6", "/echo x")]
        waiting += [generate("7", "/echo x", priority="bulk")]
        await client.report_when(lambda report: report.state == "ready")
        await client.send(*held, *waiting)
        report = await client.report()
        assert (report.running, report.queued) == (4, 4)
        os.kill(report.model_pid, signal.SIGKILL)
        answers = await client.until_end(*"01234567")
        report = await client.report()
    assert [end(answers[id]) for id in "01234567"] == ["model_crashed"] * 4 + ["eos"] * 4
    assert (report.completed, report.failed, report.restarts) == (4, 4, 1)


@pytest.mark.parametrize("script", ["/crash", "/garbage\n/hang"])
async def test_requests_that_wait_outlive_the_model_process(paths: Paths, script: str) -> None:
    async with serving(paths, configured(parallel=1)), on_socket(paths) as client:
        await client.send(complete("1", script), complete("2", "/echo patient"))
        answers = await client.until_end("1", "2")
    assert end(answers["1"]) == "model_crashed"
    assert texts(answers["2"]) == ["patient"]


async def test_a_job_that_the_model_fails_is_typed_and_harms_no_other(paths: Paths) -> None:
    async with serving(paths), on_socket(paths) as client:
        answers = await client.ask(complete("1", "/fail out of memory"))
        assert answers == [Failed(id="1", code="model_failed", message="out of memory")]
        assert end(await client.ask(complete("2", "/echo x"))) == "eos"


async def test_an_unusable_model_fails_every_request_with_its_reason_and_is_not_restarted(
    paths: Paths,
) -> None:
    async with serving(paths, configured("fake-unusable")), on_socket(paths) as client:
        for id in "12":
            (failed,) = await client.ask(complete(id, "/echo x"))
            assert isinstance(failed, Failed)
            assert failed.code == "model_unavailable"
            assert failed.message == "fake-unusable: no such model"
        report = await client.report()
    assert (report.state, report.restarts) == ("failed", 0)
    assert report.detail == "fake-unusable: no such model"


async def test_a_model_that_dies_at_every_load_fails_the_requests(paths: Paths) -> None:
    async with serving(paths, configured("fake-crash")), on_socket(paths) as client:
        (failed,) = await client.ask(complete("1", "/echo x"))
        assert isinstance(failed, Failed)
        assert failed.code == "model_crashed"
        assert "exit code 3" in failed.message
        assert (await client.report()).state == "restarting"


async def test_a_model_that_does_not_let_go_of_a_stopped_job_is_killed(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "STOPPED_S", 0.05)
    async with serving(paths, configured(parallel=1)), on_socket(paths) as client:
        await client.send(complete("1", "/deaf"), Cancel(id="1"), complete("2", "/echo x"))
        answers = await client.until_end("1", "2")
    assert (end(answers["1"]), end(answers["2"])) == ("cancelled", "eos")


# Cancellation


@pytest.mark.parametrize(("seed", "parallel"), [(1, 1), (2, 8)])
async def test_after_a_thousand_random_cancels_the_daemon_is_idle_and_each_request_has_ended_once(
    paths: Paths, seed: int, parallel: int
) -> None:
    rng = random.Random(seed)
    scripts = ["/hang", "/echo x", "/drafts 3\n/hang", "/drafts 2\n/echo x", "/fail on purpose"]
    config = configured(queue=1000, parallel=parallel)

    async def one_client(transport: Any, requests: int) -> list[str]:
        async with transport(paths) as client:
            ids = [str(n) for n in range(requests)]
            collecting = asyncio.create_task(client.until_end(*ids))
            for id in ids:
                script = rng.choice(scripts)
                options = {
                    "priority": rng.choice(["interactive", "interactive", "bulk"]),
                    "deadline_ms": rng.choice([None, 1, 10, 60_000]),
                    "drafts": rng.random() < 0.5,
                }
                make = rng.choice([complete, complete, complete, chat, generate, rewrite])
                document = {"document": rng.choice("abc")} if make is complete else {}
                await client.send(make(id, script, **document, **options))
                if rng.random() < 0.5:
                    await asyncio.sleep(0)
                await client.send(Cancel(id=rng.choice(ids[: int(id) + 1])))
                if options["deadline_ms"] not in (1, 10):  # those end by themselves
                    await client.send(Cancel(id=id))
            answers = await collecting
            ends = [a for id in ids for a in answers[id] if isinstance(a, Done | Failed)]
            assert len(ends) == requests
            assert all(end(answers[id]) for id in ids)
            await client.send(wire.Status(id="last"))
            assert list(await client.until_end("last")) == ["last"], "more came after an end"
            return [end(answers[id]) for id in ids]

    async with serving(paths, config):
        ends = await asyncio.gather(one_client(on_socket, 500), one_client(on_loopback, 500))
        async with on_socket(paths) as client:
            report = await idle(client)
            assert end(await client.ask(complete("last", "/echo x"))) == "eos"
    assert report.restarts == 0
    assert {"cancelled", "superseded", "deadline"} <= set(ends[0] + ends[1])
    assert set(ends[0] + ends[1]) <= {"cancelled", "superseded", "deadline", "eos", "model_failed"}
