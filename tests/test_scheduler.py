import random
from collections import Counter

import pytest

from dgemma_lsp.errors import DaemonStopping, ModelUnavailable
from dgemma_lsp.scheduler import Action, Reply, Scheduler, Start, Stop
from dgemma_lsp.wire import Chat, Complete, Job, Turn


def complete(key: str, document: str = "", version: int = 1) -> Complete:
    return Complete(id=key, document=document or key, version=version, prefix="")


def chat(key: str) -> Chat:
    return Chat(id=key, messages=[Turn(role="user", content="hello")])


def ready(limit: int = 8) -> Scheduler:
    scheduler = Scheduler(limit)
    assert scheduler.model_ready() == []
    return scheduler


def short(actions: list[Action]) -> list[str]:
    """The actions as words: `start a`, `stop a`, `a superseded`."""
    words = []
    for action in actions:
        match action:
            case Start(job=job):
                words.append(f"start {job.id}")
            case Stop(key=key):
                words.append(f"stop {key}")
            case Reply(failed=failed):
                words.append(f"{failed.id} {failed.code}")
    return words


def test_a_request_starts_at_once_when_the_model_is_free() -> None:
    assert short(ready().submit(1, complete("a"))) == ["start a"]


def test_requests_wait_while_the_model_loads_and_start_when_it_is_ready() -> None:
    scheduler = Scheduler(8)
    assert scheduler.submit(1, complete("a")) == []
    assert scheduler.submit(1, chat("b")) == []
    assert short(scheduler.model_ready()) == ["start a", "start b"]


def test_the_model_holds_one_completion_and_one_chat_at_a_time() -> None:
    scheduler = ready()
    actions = [
        scheduler.submit(1, job) for job in [complete("a"), complete("b"), chat("c"), chat("d")]
    ]
    assert [short(a) for a in actions] == [["start a"], [], ["start c"], []]
    assert (scheduler.running, scheduler.queued) == (2, 2)


def test_waiting_requests_start_in_the_order_of_their_arrival() -> None:
    scheduler = ready()
    for key in "abc":
        scheduler.submit(1, complete(key))
    assert short(scheduler.finished("a")) == ["start b"]
    assert short(scheduler.finished("b")) == ["start c"]
    assert short(scheduler.finished("c")) == []
    assert (scheduler.running, scheduler.queued) == (0, 0)


def test_a_queue_full_of_chats_keeps_no_completion_waiting() -> None:
    scheduler = ready(limit=1)
    for key in "abc":
        scheduler.submit(1, chat(key))
    assert short(scheduler.submit(1, complete("d"))) == ["start d"]


def test_the_newest_completion_of_a_document_stops_the_one_that_runs() -> None:
    scheduler = ready()
    scheduler.submit(1, complete("a", "file.py", 1))
    assert short(scheduler.submit(1, complete("b", "file.py", 2))) == ["stop a", "a superseded"]
    assert short(scheduler.finished("a")) == ["start b"]


def test_the_newest_completion_of_a_document_replaces_the_one_that_waits() -> None:
    scheduler = ready(limit=1)
    scheduler.submit(1, complete("a", "other.py"))
    scheduler.submit(1, complete("b", "file.py", 1))
    assert short(scheduler.submit(1, complete("c", "file.py", 2))) == ["b superseded"]
    assert short(scheduler.finished("a")) == ["start c"]


def test_the_newest_completion_of_a_document_wins_whoever_asks() -> None:
    scheduler = ready()
    scheduler.submit(1, complete("a", "file.py", 7))
    assert short(scheduler.submit(2, complete("b", "file.py", 1))) == ["stop a", "a superseded"]


def test_an_older_version_that_comes_late_on_the_same_connection_is_the_one_that_loses() -> None:
    scheduler = ready()
    scheduler.submit(1, complete("a", "file.py", 2))
    assert short(scheduler.submit(1, complete("b", "file.py", 1))) == ["b superseded"]


def test_chats_never_supersede_each_other() -> None:
    scheduler = ready()
    scheduler.submit(1, chat("a"))
    assert scheduler.submit(1, chat("b")) == []


def test_a_full_queue_refuses_the_request_and_keeps_the_others() -> None:
    scheduler = ready(limit=2)
    for key in "abc":
        scheduler.submit(1, complete(key))
    assert short(scheduler.submit(1, complete("d"))) == ["d busy"]
    assert (scheduler.running, scheduler.queued) == (1, 2)


def test_a_request_that_finds_no_place_supersedes_nobody() -> None:
    scheduler = ready(limit=1)
    scheduler.submit(1, complete("a", "file.py", 1))
    scheduler.submit(1, complete("b"))
    assert short(scheduler.submit(1, complete("c", "file.py", 2))) == ["c busy"]
    assert short(scheduler.cancel("a")) == ["stop a", "a cancelled"]


def test_cancelling_a_waiting_request_ends_it_without_the_model() -> None:
    scheduler = ready()
    scheduler.submit(1, complete("a"))
    scheduler.submit(1, complete("b"))
    assert short(scheduler.cancel("b")) == ["b cancelled"]
    assert scheduler.finished("a") == []


def test_a_cancelled_request_is_answered_at_once_and_keeps_its_place_until_the_model_let_go() -> (
    None
):
    scheduler = ready()
    scheduler.submit(1, complete("a"))
    scheduler.submit(1, complete("b"))
    assert short(scheduler.cancel("a")) == ["stop a", "a cancelled"]
    assert scheduler.running == 1
    assert short(scheduler.finished("a")) == ["start b"]


@pytest.mark.parametrize("event", ["cancel", "answered"])
def test_what_is_unknown_or_stopped_already_is_not_stopped_again(event: str) -> None:
    scheduler = ready()
    scheduler.submit(1, complete("a"))
    scheduler.cancel("a")
    assert getattr(scheduler, event)("a") == []
    assert getattr(scheduler, event)("never seen") == []


def test_a_request_answered_at_its_deadline_is_stopped_without_another_answer() -> None:
    scheduler = ready()
    scheduler.submit(1, complete("a"))
    scheduler.submit(1, complete("b"))
    assert short(scheduler.answered("b")) == []
    assert short(scheduler.answered("a")) == ["stop a"]
    assert scheduler.queued == 0


def test_a_dead_model_fails_what_it_held_and_the_others_wait_for_its_return() -> None:
    scheduler = ready()
    for job in [complete("a"), complete("b"), chat("c")]:
        scheduler.submit(1, job)
    actions = scheduler.model_lost("killed by SIGKILL")
    assert short(actions) == ["a model_crashed", "c model_crashed"]
    assert "killed by SIGKILL" in actions[0].failed.message
    assert scheduler.submit(1, complete("d")) == []
    assert short(scheduler.model_ready()) == ["start b"]


def test_a_request_that_was_answered_before_the_model_died_is_not_answered_again() -> None:
    scheduler = ready()
    scheduler.submit(1, complete("a"))
    scheduler.cancel("a")
    assert scheduler.model_lost("exit code 1") == []
    assert scheduler.running == 0


def test_nobody_waits_for_ever_for_a_model_that_dies_whenever_it_is_loaded() -> None:
    scheduler = Scheduler(8)
    scheduler.submit(1, complete("a"))
    assert scheduler.model_lost("exit code 1") == []
    assert scheduler.model_lost("exit code 1") == []
    actions = scheduler.model_lost("exit code 1")
    assert short(actions) == ["a model_crashed"]
    assert "3 times" in actions[0].failed.message


def test_deaths_of_a_loaded_model_are_not_counted_as_failed_loads() -> None:
    scheduler = ready()
    for _ in range(5):
        scheduler.model_lost("exit code 1")
        scheduler.model_ready()
    scheduler.model_lost("exit code 1")
    scheduler.submit(1, complete("a"))
    assert scheduler.model_lost("exit code 1") == []


@pytest.mark.parametrize("error", [ModelUnavailable("no such model"), DaemonStopping("down")])
def test_once_refused_every_request_fails_with_the_reason(error: Exception) -> None:
    scheduler = ready()
    for key in "ab":
        scheduler.submit(1, complete(key))
    actions = [*scheduler.refuse(error), *scheduler.submit(1, complete("c"))]
    assert short(actions) == [f"{key} {error.code}" for key in "abc"]
    assert {action.failed.message for action in actions} == {str(error)}
    assert (scheduler.running, scheduler.queued) == (0, 0)


def test_a_connection_that_closes_frees_everything_of_its_own_and_nothing_else() -> None:
    scheduler = ready()
    for session, job in [
        (1, complete("a")),
        (2, complete("b")),
        (1, complete("c")),
        (1, chat("d")),
    ]:
        scheduler.submit(session, job)
    assert sorted(short(scheduler.disconnected(1))) == [
        "a cancelled",
        "c cancelled",
        "d cancelled",
        "stop a",
        "stop d",
    ]
    assert short(scheduler.finished("a")) == ["start b"]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_every_request_ends_once_and_the_model_holds_two_jobs_at_most(
    seed: int,
) -> None:
    rng = random.Random(seed)
    scheduler = Scheduler(4)
    held: set[str] = set()  # in the model
    submitted: list[str] = []
    ends: Counter[str] = Counter()

    def take(actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Start(job=job):
                    held.add(job.id)
                case Reply(failed=failed):
                    ends[failed.id] += 1
        kinds = Counter(key.split("-")[0] for key in held)
        assert max(kinds.values(), default=0) <= 1

    def submit() -> None:
        job: Job = chat(f"chat-{len(submitted)}")
        if rng.random() < 0.7:
            document = rng.choice("xyz")
            job = complete(f"complete-{len(submitted)}", document, rng.randrange(9))
        submitted.append(job.id)
        take(scheduler.submit(rng.randrange(3), job))

    def finish() -> None:
        if held:
            key = rng.choice(sorted(held))
            held.discard(key)
            ends[key] += key not in ends
            take(scheduler.finished(key))

    def lose() -> None:
        held.clear()
        take(scheduler.model_lost("exit code 1"))

    events = [
        (8, submit),
        (6, finish),
        (3, lambda: take(scheduler.cancel(rng.choice(submitted or ["none"])))),
        (1, lambda: take(scheduler.disconnected(rng.randrange(3)))),
        (1, lose),
        (2, lambda: take(scheduler.model_ready())),
    ]
    weights = [weight for weight, _ in events]
    for _, event in rng.choices(events, weights, k=500):
        event()
    take(scheduler.refuse(DaemonStopping("down")))
    assert set(ends.values()) == {1}
    assert set(ends) == set(submitted)
