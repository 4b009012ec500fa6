from collections import Counter
from typing import Any

import pytest
from random_requests import World

from dgemma_lsp.errors import DaemonStopping, ModelUnavailable
from dgemma_lsp.scheduler import PATIENCE, Action, Reply, Scheduler, Start, Stop
from dgemma_lsp.wire import Chat, Complete, Generate, Job, Turn


def complete(key: str, document: str = "", version: int = 1, **options: str) -> Complete:
    return Complete(id=key, document=document or key, version=version, prefix="", **options)


def chat(key: str, **options: str) -> Chat:
    return Chat(id=key, messages=[Turn(role="user", content="hello")], **options)


def generate(key: str, **options: str) -> Generate:
    return Generate(id=key, prompt="hello", **options)


def ready(*, parallel: int = 1, limit: int = 8) -> Scheduler:
    scheduler = Scheduler(parallel=parallel, limit=limit)
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
    scheduler = Scheduler(parallel=2, limit=8)
    assert scheduler.submit(1, chat("a")) == []
    assert scheduler.submit(1, complete("b")) == []
    assert short(scheduler.model_ready()) == ["start b", "start a"]


@pytest.mark.parametrize(
    ("parallel", "make", "started"),
    [
        (1, complete, 1),
        (2, complete, 2),
        (8, complete, 8),
        (1, chat, 1),
        (2, chat, 1),
        (3, chat, 2),
        (8, chat, 7),
        (8, generate, 7),
    ],
)
def test_the_last_of_several_places_is_for_completions_alone(
    parallel: int, make: Any, started: int
) -> None:
    scheduler = ready(parallel=parallel)
    actions = [short(scheduler.submit(1, make(str(n)))) for n in range(9)]
    assert actions == [[f"start {n}"] if n < started else [] for n in range(9)]
    assert (scheduler.running, scheduler.queued) == (started, 9 - started)


@pytest.mark.parametrize("make", [complete, chat, generate])
@pytest.mark.parametrize(("parallel", "started"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 6)])
def test_bulk_work_leaves_a_place_for_a_chat_and_one_for_a_completion(
    make: Any, parallel: int, started: int
) -> None:
    scheduler = ready(parallel=parallel, limit=9)
    for n in range(9):
        scheduler.submit(1, make(str(n), priority="bulk"))
    assert scheduler.running == started
    if parallel > 2:
        assert short(scheduler.submit(2, chat("chat"))) == ["start chat"]
    if parallel > 1:
        assert short(scheduler.submit(2, complete("complete"))) == ["start complete"]
        assert scheduler.running == parallel


def test_chats_and_bulk_work_together_leave_the_last_place_to_completions() -> None:
    scheduler = ready(parallel=3)
    for job in [chat("a"), chat("b"), chat("c", priority="bulk")]:
        scheduler.submit(1, job)
    assert (scheduler.running, scheduler.queued) == (2, 1)
    assert short(scheduler.submit(1, complete("d"))) == ["start d"]
    assert short(scheduler.finished("d")) == []
    assert short(scheduler.finished("a")) == ["start c"]


def test_short_work_goes_first_and_bulk_work_last() -> None:
    scheduler = ready()
    waiting = [complete("e", priority="bulk"), generate("c"), chat("d"), complete("b")]
    for job in [complete("a"), *waiting]:
        scheduler.submit(1, job)
    order = [short(scheduler.finished(key)) for key in "abcd"]
    assert order == [[f"start {key}"] for key in "bcde"]


# How long one may be passed over


@pytest.mark.parametrize("late", [chat("late"), complete("late", priority="bulk")])
def test_what_waits_gets_a_place_after_a_bounded_number_of_overtakings(late: Any) -> None:
    assert overtaken(ready(), [late]) == {"late": PATIENCE}


def test_a_chat_and_bulk_work_that_wait_together_get_their_places_one_after_the_other() -> None:
    late = [chat("chat"), chat("bulk", priority="bulk")]
    assert overtaken(ready(), late) == {"bulk": PATIENCE, "chat": PATIENCE + 1}


def test_a_request_behind_others_of_its_kind_waits_for_the_turn_of_each() -> None:
    late = [chat(f"{n}") for n in range(3)]
    # Between two of them PATIENCE completions have their turn.
    expected = {"0": PATIENCE, "1": 2 * PATIENCE + 1, "2": 3 * PATIENCE + 2}
    assert overtaken(ready(), late) == expected


def test_a_place_that_a_request_may_not_have_is_no_place_lost_to_it() -> None:
    scheduler = ready(parallel=2)
    scheduler.submit(1, chat("a"))
    scheduler.submit(1, chat("b"))
    for n in range(5 * PATIENCE):  # in the place that is for completions alone
        assert short(scheduler.submit(1, complete(f"{n}"))) == [f"start {n}"]
        assert scheduler.finished(f"{n}") == []
    assert scheduler.queued == 1
    scheduler.submit(1, complete("c"))
    scheduler.submit(1, complete("d"))
    assert short(scheduler.finished("a")) == ["start d"], "b has not been overtaken before"


def overtaken(scheduler: Scheduler, late: list[Job]) -> dict[str, int]:
    """How many other requests start before each of these, while completions never run out."""
    scheduler.submit(1, complete("flood-0"))
    for job in late:
        scheduler.submit(1, job)
    running, order = "flood-0", []
    for number in range(1, 10 * PATIENCE):
        scheduler.submit(1, complete(f"flood-{number}"))
        (action,) = scheduler.finished(running)
        running = action.job.id
        order.append(running)
    return {job.id: order.index(job.id) for job in late}


# The order of arrival


def test_waiting_requests_start_in_the_order_of_their_arrival() -> None:
    scheduler = ready()
    for key in "abc":
        scheduler.submit(1, complete(key))
    assert short(scheduler.finished("a")) == ["start b"]
    assert short(scheduler.finished("b")) == ["start c"]
    assert short(scheduler.finished("c")) == []
    assert (scheduler.running, scheduler.queued) == (0, 0)


def test_a_queue_full_of_chats_keeps_no_completion_waiting() -> None:
    scheduler = ready(parallel=2, limit=1)
    for key in "abc":
        scheduler.submit(1, chat(key))
    assert short(scheduler.submit(1, complete("d"))) == ["start d"]


# The newest of a document


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


def test_of_many_completions_that_run_only_that_of_the_same_document_is_stopped() -> None:
    scheduler = ready(parallel=4)
    for key in "abc":
        scheduler.submit(1, complete(key, f"{key}.py"))
    assert short(scheduler.submit(1, complete("d", "b.py", 2))) == [
        "stop b",
        "b superseded",
        "start d",
    ]
    assert scheduler.running == 4
    assert short(scheduler.submit(1, complete("e", "d.py"))) == []
    assert short(scheduler.finished("b")) == ["start e"]


def test_whoever_types_on_keeps_the_turn_of_the_request_that_waited() -> None:
    scheduler = ready()
    for key in "abc":
        scheduler.submit(1, complete(key, f"{key}.py"))
    assert short(scheduler.submit(1, complete("d", "b.py", 2))) == ["b superseded"]
    assert short(scheduler.finished("a")) == ["start d"]


@pytest.mark.parametrize(
    ("one", "other"), [("bulk", "bulk"), ("bulk", "interactive"), ("interactive", "bulk")]
)
def test_bulk_work_supersedes_nothing_and_is_not_superseded(one: str, other: str) -> None:
    scheduler = ready(parallel=4)
    scheduler.submit(1, complete("a", "file.py", 1, priority=one))
    assert short(scheduler.submit(1, complete("b", "file.py", 2, priority=other))) == ["start b"]


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


# The end of a request


FULL = [
    (complete, {}, "2 completions wait already"),
    (chat, {}, "2 chats wait already"),
    (generate, {}, "2 chats wait already"),
    (complete, {"priority": "bulk"}, "2 requests in bulk wait already"),
    (chat, {"priority": "bulk"}, "2 requests in bulk wait already"),
]


@pytest.mark.parametrize(("make", "options", "message"), FULL)
def test_a_full_queue_refuses_the_request_and_keeps_the_others(
    make: Any, options: dict[str, str], message: str
) -> None:
    scheduler = ready(limit=2)
    for key in "abc":
        scheduler.submit(1, make(key, **options))
    (refusal,) = scheduler.submit(1, make("d", **options))
    assert short([refusal]) == ["d busy"]
    assert refusal.failed.message.startswith(message)
    assert "daemon.queue" in refusal.failed.message
    assert (scheduler.running, scheduler.queued) == (1, 2)


def test_a_queue_that_a_batch_has_filled_refuses_neither_completions_nor_chats() -> None:
    scheduler = ready(limit=1)
    for key in "abc":
        scheduler.submit(1, complete(key, priority="bulk"))
    assert scheduler.submit(1, complete("d")) == []
    assert scheduler.submit(1, chat("e")) == []
    assert scheduler.queued == 3


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
    scheduler = ready(parallel=2)
    for job in [complete("a"), chat("c"), complete("b")]:
        scheduler.submit(1, job)
    actions = scheduler.model_lost("killed by SIGKILL")
    assert short(actions) == ["a model_crashed", "c model_crashed"]
    assert "killed by SIGKILL" in actions[0].failed.message
    assert scheduler.submit(1, complete("d")) == []
    assert short(scheduler.model_ready()) == ["start b", "start d"]


def test_a_request_that_was_answered_before_the_model_died_is_not_answered_again() -> None:
    scheduler = ready()
    scheduler.submit(1, complete("a"))
    scheduler.cancel("a")
    assert scheduler.model_lost("exit code 1") == []
    assert scheduler.running == 0


def test_nobody_waits_for_ever_for_a_model_that_dies_whenever_it_is_loaded() -> None:
    scheduler = Scheduler(parallel=1, limit=8)
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
    scheduler = ready(parallel=2)
    for session, job in [
        (1, complete("a")),
        (1, chat("d")),
        (2, complete("b")),
        (1, complete("c")),
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


# Whatever happens


ENDS = {
    "by the model",
    "deadline",
    "cancelled",
    "superseded",
    "busy",
    "model_crashed",
    "stopping",
}


def test_whatever_happens_every_request_ends_once_and_the_model_holds_no_more_than_it_may() -> None:
    ends: Counter[str] = Counter()
    most_passed: Counter[str] = Counter()
    for seed in range(10_000):
        world = World(seed)
        try:
            world.play()
        except BaseException as exc:
            exc.add_note(f"in World({seed})")
            raise
        ends += world.ends
        most_passed |= world.most_passed
    assert ends.keys() == ENDS
    assert most_passed["chat"] == PATIENCE + 1, "the bound was never tried"
    assert most_passed["bulk"] >= PATIENCE, "the bound was never tried"
