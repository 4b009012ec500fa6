"""A batch against a scripted daemon: what is asked, what is asked again, and what ends it all."""

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter

import pytest
from background import in_background
from command import dgemma
from rich.console import Console
from scripted_daemon import ScriptedDaemon, silent

from dgemma_lsp import batch, settings, wire
from dgemma_lsp.batch import Batch
from dgemma_lsp.batch_progress import Screen
from dgemma_lsp.config import Config, Daemon, Model
from dgemma_lsp.errors import DaemonUnavailable, ModelUnavailable, UserError
from dgemma_lsp.settings import Settings

__all__ = ["dgemma"]

SAMPLING = wire.Sampling()


def text_of(message):
    match message:
        case wire.Generate(prompt=text) | wire.Complete(prefix=text):
            return text
        case wire.Chat(messages=turns):
            return turns[-1].content


async def answer(message, send):
    """Answer as the daemon does, by the request's text and seed alone."""
    text = f"{text_of(message)} {message.sampling.seed}"
    for block in range(2):
        await send(wire.Block(id=message.id, block=block, text=text if block else "so: ", steps=2))
    timings = wire.Timings(queue_ms=5.0, total_ms=9.0, tokens=7, steps=4)
    await send(wire.Done(id=message.id, reason="eos", timings=timings))


async def fail(message, send, code, text="no luck"):
    await send(wire.Failed(id=message.id, code=code, message=text))


@pytest.fixture
def home(dgemma, tmp_path, monkeypatch):
    """A user with a socket of their own, and short pauses."""
    monkeypatch.setattr(batch, "PAUSE_S", 0.01)

    class Home:
        source = tmp_path / "in.jsonl"
        out = tmp_path / "out.jsonl"
        errors = tmp_path / "out.errors.jsonl"
        journal = tmp_path / "out.jsonl.partial"
        socket = dgemma.paths.socket
        command = dgemma

        def write(self, *prompts):
            lines = [json.dumps({"prompt": p}) if isinstance(p, str) else p for p in prompts]
            self.source.write_text("".join(f"{line}\n" for line in lines))

        async def run(self, *, rows=32, parallel=8, model_given=False, restart=False):
            config = Config(model=Model(rows=rows), daemon=Daemon(parallel=parallel))
            found = Settings(config=config, paths=dgemma.paths, model_given=model_given)
            work = Batch(self.source, self.out, SAMPLING, restart=restart)
            with work.journal:
                await work.run(found, Screen(Console(quiet=True), len(work)))
            return work

        def results(self):
            return [json.loads(line) for line in self.out.read_text().splitlines()]

        def failures(self):
            lines = self.errors.read_text().splitlines() if self.errors.exists() else []
            return {line["line"]: line["error"] for line in map(json.loads, lines)}

    settings.prepare_folders(dgemma.paths)
    return Home()


def asked(daemon):
    """How often each line was asked."""
    jobs = wire.Generate | wire.Chat | wire.Complete
    return Counter(int(message.id) for message in daemon.heard if isinstance(message, jobs))


# -- what is asked and written -------------------------------------------------------------------


async def test_each_kind_of_line_is_answered(home):
    home.source.write_text(
        '{"prompt": "a", "id": "first", "sampling": {"seed": 3}}\n'
        "\n"
        '{"messages": [{"role": "user", "content": "b"}]}\n'
        '{"prefix": "c", "id": 1.50, "sampling": {"max_steps": 2}}\n'
    )
    async with ScriptedDaemon(home.socket, answer) as daemon:
        work = await home.run()
    assert work.told() == f"3 done: {home.out}"
    assert home.out.read_text() == (
        '{"line":1,"id":"first","text":"so: a 3","reason":"eos","tokens":7,"steps":4,"ms":4.0}\n'
        '{"line":3,"text":"so: b 196608","reason":"eos","tokens":7,"steps":4,"ms":4.0}\n'
        '{"line":4,"id":1.50,"text":"so: c 262144","reason":"eos","tokens":7,"steps":4,"ms":4.0}\n'
    )
    assert not home.errors.exists()
    assert not home.journal.exists()
    jobs = [message for message in daemon.heard if isinstance(message, wire.Job)]
    assert {job.priority for job in jobs} == {"bulk"}
    assert not any(job.drafts for job in jobs)


async def test_an_empty_input_gives_an_empty_output(home):
    home.write()
    async with ScriptedDaemon(home.socket, silent):
        work = await home.run()
    assert (home.out.read_text(), work.told()) == ("", f"0 done: {home.out}")


async def test_results_stand_in_the_order_of_the_input_in_whatever_order_they_come(home):
    home.write(*"abcdef")
    waiting = []

    async def in_reverse(message, send):
        waiting.append((message, send))
        if len(waiting) == 6:
            for each in reversed(waiting):
                await answer(*each)

    async with ScriptedDaemon(home.socket, in_reverse):
        await home.run()
    assert [result["line"] for result in home.results()] == [1, 2, 3, 4, 5, 6]


async def test_bad_lines_and_refused_ones_are_told_by_number_and_the_rest_is_done(home):
    home.write("a", "nonsense {", "b", "refused", "c")
    home.source.write_text(home.source.read_text().replace('"prompt": "nonsense {"', "nonsense"))

    async def script(message, send):
        refused = text_of(message) == "refused"
        await (fail(message, send, "invalid_request") if refused else answer(message, send))

    async with ScriptedDaemon(home.socket, script) as daemon:
        work = await home.run()
    assert [result["line"] for result in home.results()] == [1, 3, 5]
    assert set(home.failures()) == {2, 4}
    assert home.failures()[4] == "no luck"
    assert work.told() == f"3 done, 2 failed (lines 2, 4): see {home.errors}"
    assert asked(daemon) == {1: 1, 3: 1, 4: 1, 5: 1}


async def test_a_request_too_large_to_send_fails_alone(home):
    home.write("a", "x" * wire.MAX_FRAME_BYTES, "b")
    async with ScriptedDaemon(home.socket, answer):
        await home.run()
    assert [result["line"] for result in home.results()] == [1, 3]
    assert "over the limit of 4194304: send less text" in home.failures()[2]


# -- how many at once ----------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "parallel", "most"), [(4, 8, 4), (100, 8, 40), (1, 8, 1)])
async def test_as_many_are_in_flight_as_model_and_queue_take(home, rows, parallel, most):
    home.write(*["a"] * 60)
    flying = []

    async def script(message, send):
        flying.append((message, send))
        if len(flying) == most:
            await asyncio.sleep(0.05)  # one too many would come in this time
            assert len(flying) == most
            daemon.script = answer
            for each in flying:
                await answer(*each)

    async with ScriptedDaemon(home.socket, script) as daemon:
        await home.run(rows=rows, parallel=parallel)
    assert len(home.results()) == 60


async def test_a_busy_daemon_loses_nothing(home):
    home.write(*["a"] * 40)
    places, held = 3, []

    async def script(message, send):
        if len(held) >= places:
            await fail(message, send, "busy")
            return
        held.append(message)
        await asyncio.sleep(0)
        held.remove(message)
        await answer(message, send)

    async with ScriptedDaemon(home.socket, script):
        await home.run()
    assert [result["line"] for result in home.results()] == list(range(1, 41))
    assert home.failures() == {}


async def test_where_others_fill_the_queue_it_asks_again_after_a_while(home):
    home.write("a", "b")
    refusals = iter(range(5))

    async def script(message, send):
        full = next(refusals, None) is not None
        await (fail(message, send, "busy") if full else answer(message, send))

    async with ScriptedDaemon(home.socket, script):
        await home.run()
    assert len(home.results()) == 2


# -- when the model or the daemon dies -----------------------------------------------------------


def dying(poison, code="model_crashed", states=("ready",)):
    """A model that dies of a text, with all that is in flight, and is back at once."""
    flying, told = {}, iter(states)

    async def script(message, send):
        if isinstance(message, wire.Status):
            state, restarts = next(told, states[-1]), len(states)
            report = wire.Report(
                id=message.id, version="", model="m", state=state, restarts=restarts, detail="ouch"
            )
            await send(report)
            await send(wire.Done(id=message.id, reason="reported"))
            return
        flying[message.id] = (message, send)
        await asyncio.sleep(0.01)
        if text_of(message) == poison:
            for each in list(flying.values()):
                await fail(*each, code)
            flying.clear()
        elif flying.pop(message.id, None):
            await answer(message, send)

    return script


@pytest.mark.parametrize("code", ["model_crashed", "model_failed"])
async def test_only_the_line_that_the_model_dies_of_is_given_up(home, code):
    home.write("a", "b", "poison", "c", "d")
    async with ScriptedDaemon(home.socket, dying("poison", code)) as daemon:
        await home.run()
    assert [result["line"] for result in home.results()] == [1, 2, 4, 5]
    assert home.failures() == {3: "no luck"}
    assert asked(daemon)[3] == 3
    assert max(asked(daemon)[line] for line in (1, 2, 4, 5)) <= 2


async def test_it_waits_for_a_model_that_comes_back(home):
    home.write("a", "poison")
    states = ("restarting", "restarting", "ready")
    async with ScriptedDaemon(home.socket, dying("poison", states=states)) as daemon:
        await home.run()
    assert len([m for m in daemon.heard if isinstance(m, wire.Status)]) >= 3
    assert len(home.results()) == 1


async def test_nothing_is_asked_before_the_model_is_loaded(home):
    home.write("a")
    async with ScriptedDaemon(home.socket, dying("", states=("loading", "loading", "ready"))) as it:
        it.greeting = wire.Welcome(protocol=wire.PROTOCOL, model="scripted", state="loading")
        await home.run()
    kinds = [type(message) for message in it.heard]
    assert kinds == [wire.Hello, wire.Status, wire.Status, wire.Status, wire.Generate]
    assert len(home.results()) == 1


@pytest.mark.parametrize(
    "report",
    [lambda n: ("failed", 1), lambda n: ("restarting", n)],
    ids=["that can not be loaded", "that dies again and again"],
)
async def test_a_model_that_does_not_come_back_ends_it_and_no_line_is_blamed(home, report):
    home.write("a", "poison", "b")
    asked_for = iter(range(99))

    async def script(message, send):
        if isinstance(message, wire.Status):
            state, restarts = report(next(asked_for))
            await send(
                wire.Report(
                    id=message.id, version="", model="m", state=state, restarts=restarts, detail="!"
                )
            )
            await send(wire.Done(id=message.id, reason="reported"))
        elif text_of(message) == "a":
            await answer(message, send)
        else:
            await fail(message, send, "model_crashed")

    async with ScriptedDaemon(home.socket, script) as daemon:
        with pytest.raises(ModelUnavailable, match="cannot be loaded: !; 1 of 3 lines are done"):
            await home.run()
        assert not home.out.exists()
        daemon.script = answer
        await home.run()
    assert [result["line"] for result in home.results()] == [1, 2, 3]
    assert asked(daemon)[1] == 1


async def test_a_model_that_cannot_be_had_ends_it(home):
    home.write("a")

    async def script(message, send):
        await fail(message, send, "model_unavailable", "no weights")

    async with ScriptedDaemon(home.socket, script):
        with pytest.raises(ModelUnavailable, match="no weights; 0 of 1 lines are done: run the"):
            await home.run()


@pytest.mark.parametrize("stopping", [True, False])
async def test_a_connection_that_breaks_is_made_anew_and_goes_on(home, stopping):
    home.write(*"abcdefgh")
    count = iter(range(99))

    async def script(message, send):
        if next(count) % 3 != 2:
            await answer(message, send)
        elif stopping:
            await fail(message, send, "stopping")
        else:
            await daemon.connections[-1].close()

    async with ScriptedDaemon(home.socket, script) as daemon:
        await home.run(rows=1)
    assert [result["line"] for result in home.results()] == list(range(1, 9))
    assert len(daemon.connections) == 4
    assert asked(daemon) == {1: 1, 2: 1, 3: 2, 4: 1, 5: 2, 6: 1, 7: 2, 8: 1}


async def test_a_connection_that_always_breaks_is_given_up(home):
    home.write("a", "b")

    async def script(message, send):
        if text_of(message) == "a":
            await answer(message, send)
        else:
            await daemon.connections[-1].close()

    async with ScriptedDaemon(home.socket, script) as daemon:
        with pytest.raises(
            DaemonUnavailable, match=r"broke.*; 1 of 2 lines are done: run the same"
        ):
            await home.run(rows=1)
    assert asked(daemon) == {1: 1, 2: batch.LOSSES}


async def test_a_daemon_that_comes_back_with_another_model_is_not_mixed_in(home):
    home.write("a", "b")

    async def script(message, send):
        await answer(message, send)
        daemon.greeting = wire.Welcome(protocol=wire.PROTOCOL, model="other", state="ready")
        await daemon.connections[-1].close()

    async with ScriptedDaemon(home.socket, script) as daemon:
        with pytest.raises(UserError, match="the model scripted, and now other answers"):
            await home.run(rows=1)


# -- going on ------------------------------------------------------------------------------------


def until(last):
    """A script whose model goes away for good at a text."""

    async def script(message, send):
        gone = text_of(message) == last
        await (fail(message, send, "model_unavailable") if gone else answer(message, send))

    return script


async def test_after_a_break_only_what_is_missing_is_asked_and_the_text_is_the_same(home):
    home.write(*"abcdef")
    async with ScriptedDaemon(home.socket, answer):
        await home.run()
    expected = home.out.read_bytes()

    async with ScriptedDaemon(home.socket, until("d")) as daemon:
        with pytest.raises(ModelUnavailable):
            await home.run(rows=1, restart=True)
        assert home.out.read_bytes() == expected, "what is replaced stays until then"
        daemon.script = answer
        await home.run()
    assert home.out.read_bytes() == expected
    assert asked(daemon) == {1: 1, 2: 1, 3: 1, 4: 2, 5: 1, 6: 1}


async def test_whoever_began_anew_is_told_not_to_do_so_again(home):
    home.write(*"ab")
    async with ScriptedDaemon(home.socket, until("b")):
        with pytest.raises(ModelUnavailable, match="run the same command without --restart to go"):
            await home.run(rows=1, restart=True)


async def test_an_input_that_changed_is_noticed(home):
    home.write(*"ab")

    async with ScriptedDaemon(home.socket, until("b")) as daemon:
        with pytest.raises(ModelUnavailable):
            await home.run(rows=1)
        home.write(*"ac")
        with pytest.raises(UserError, match=r"begun with other input.*`--restart` begins anew"):
            await home.run()
        await home.run(restart=True)
    assert [result["text"][4] for result in home.results()] == ["a", "c"]
    assert asked(daemon) == {1: 2, 2: 2}


# -- the command ---------------------------------------------------------------------------------


def test_the_options_hold_for_lines_without_their_own(home):
    home.source.write_text('{"prompt": "a"}\n{"prompt": "b", "sampling": {"max_steps": 2}}\n')
    with in_background(lambda: ScriptedDaemon(home.socket, answer)) as daemon:
        options = ["--steps", 7, "--max-tokens", 9, "--seed", 5]
        outcome = home.command("batch", home.source, home.out, *options)
    assert outcome == (0, f"2 done: {home.out}\n", "")
    first, second = (m.sampling for m in daemon.heard if isinstance(m, wire.Generate))
    assert first == wire.Sampling(max_steps=7, max_tokens=9, seed=65541)
    assert second == wire.Sampling(max_steps=2, max_tokens=9, seed=131077)


def test_lines_that_failed_give_exit_code_1(home):
    home.write("a")
    home.source.write_text(home.source.read_text() + "nonsense\n")
    with in_background(lambda: ScriptedDaemon(home.socket, answer)):
        outcome = home.command("batch", home.source, home.out)
    assert outcome == (1, f"1 done, 1 failed (line 2): see {home.errors}\n", "")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["{source}"], "OUT.jsonl"),
        (["{folder}/absent.jsonl", "{out}"], "absent.jsonl: no such file"),
        (["{folder}", "{out}"], "is a folder"),
        (["{source}", "{folder}"], "is a folder; name a file"),
        (["{source}", "{source}"], "in.jsonl: is the input itself"),
        (["{source}", "{folder}/absent/out.jsonl"], "cannot be written: No such file"),
        (["{source}", "{source}/out.jsonl"], "cannot be written: Not a directory"),
        (["{source}", "{old}"], "old.jsonl: exists already"),
        (["{source}", "{out}", "--max-tokens", "0"], "--max-tokens"),
        (["{source}", "{out}", "--steps", "0"], "--steps"),
        (["{source}", "{out}", "--seed", "-1"], "--seed"),
    ],
)
def test_what_cannot_be_done_gets_one_line_and_exit_code_2(home, tmp_path, arguments, named):
    home.write("a")
    old = tmp_path / "old.jsonl"
    old.write_text("precious")
    places = {"source": home.source, "out": home.out, "folder": tmp_path, "old": old}
    outcome = home.command("batch", *(part.format(**places) for part in arguments))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("dgemma: ")
    assert outcome.err.count("\n") == 1
    assert named in outcome.err
    assert old.read_text() == "precious"
    assert not home.socket.exists()


def test_a_daemon_that_cannot_be_started_is_told_with_how_far_it_is(home, monkeypatch):
    home.write("a")
    monkeypatch.setattr("dgemma_lsp.client.DAEMON_COMMAND", (sys.executable, "-c", "exit(3)"))
    outcome = home.command("batch", home.source, home.out)
    assert (outcome.code, outcome.out) == (1, "")
    assert "the daemon ended with status 3" in outcome.err
    assert outcome.err.endswith("; 0 of 1 lines are done: run the same command to go on\n")
    assert not home.journal.exists()


def first_lines_only(count):
    """A script that answers so many lines and no more."""

    async def script(message, send):
        if int(message.id) <= count:
            await answer(message, send)

    return script


@pytest.mark.parametrize("done", [0, 1, 3, 6])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_ended_from_outside_goes_on_where_it_was(home, done, number):
    home.write(*"abcdefg")
    command = [sys.executable, "-m", "dgemma_lsp", "batch", str(home.source), str(home.out)]
    with in_background(lambda: ScriptedDaemon(home.socket, first_lines_only(done))) as daemon:
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
            while not home.journal.exists() or home.journal.read_bytes().count(b"\n") <= done:
                assert run.poll() is None
            run.send_signal(number)
            code = run.wait(30)
            error = run.stderr.read()
        assert not home.out.exists()
        before = asked(daemon)
        daemon.script = answer
        outcome = home.command("batch", home.source, home.out)
    if number is signal.SIGINT:
        line = f"interrupted; {done} of 7 lines are done: run the same command to go on"
        assert (code, error.strip()) == (130, f"dgemma: {line}")
    else:
        assert code == -number
    assert outcome == (0, f"7 done: {home.out}\n", "")
    assert [result["line"] for result in home.results()] == list(range(1, 8))
    again = asked(daemon) - before
    assert again == {line: 1 for line in range(done + 1, 8)}
