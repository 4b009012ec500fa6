import random

import pytest

from dgemma_lsp.batch_queue import ATTEMPTS, Queue


def taken(queue):
    """Ask for lines until none may be asked."""
    return list(iter(queue.next, None))


def test_the_lowest_lines_go_first_and_no_more_than_have_room():
    queue = Queue([3, 1, 2, 4], room=2)
    assert taken(queue) == [1, 2]
    queue.ended(2)
    assert taken(queue) == [3]


def test_nothing_is_left_when_all_have_ended():
    queue = Queue([1, 2], room=9)
    assert taken(queue) == [1, 2]
    queue.ended(1)
    assert queue.left
    queue.ended(2)
    assert not queue.left
    assert taken(queue) == []
    assert not Queue([], room=9).left


def test_a_busy_daemon_is_asked_again_when_a_line_has_ended():
    queue = Queue([1, 2, 3, 4], room=3)
    assert taken(queue) == [1, 2, 3]
    queue.busy(3)
    assert taken(queue) == []
    queue.ended(1)
    assert taken(queue) == [3, 4]


def test_a_daemon_that_took_two_is_given_no_more_than_two_and_then_one_more():
    queue = Queue(range(1, 10), room=5)
    assert taken(queue) == [1, 2, 3, 4, 5]
    for line in (4, 3, 5):
        queue.busy(line)
    queue.ended(1)
    assert taken(queue) == [3, 4]  # 2 is in flight still


def test_where_nothing_is_in_flight_time_has_to_pass():
    queue = Queue([1, 2], room=2)
    assert taken(queue) == [1, 2]
    queue.busy(1)
    queue.busy(2)
    assert taken(queue) == []
    queue.time_passed()
    assert taken(queue) == [1]


def test_a_line_whose_model_died_is_asked_again_alone():
    queue = Queue([1, 2, 3, 4], room=3)
    assert taken(queue) == [1, 2, 3]
    assert queue.failed(2)
    assert queue.suspects
    assert taken(queue) == []
    queue.ended(1)
    assert taken(queue) == []
    queue.ended(3)
    assert taken(queue) == [2]
    queue.ended(2)
    assert not queue.suspects
    assert taken(queue) == [4]


def test_a_line_is_given_up_after_so_many_attempts():
    queue = Queue([1], room=3)
    for _ in range(ATTEMPTS - 1):
        assert taken(queue) == [1]
        assert queue.failed(1)
    assert taken(queue) == [1]
    assert not queue.failed(1)
    assert not queue.left


def test_a_suspect_that_finds_the_daemon_busy_stays_alone():
    queue = Queue([1, 2], room=2)
    taken(queue)
    queue.failed(1)
    queue.ended(2)
    assert taken(queue) == [1]
    queue.busy(1)
    queue.time_passed()
    assert queue.suspects
    assert taken(queue) == [1]


@pytest.mark.parametrize("seed", range(30))
def test_every_line_ends_once_whatever_happens(seed):
    chance = random.Random(seed)
    queue = Queue(range(40), room=chance.randint(1, 9))
    poison = set(chance.sample(range(40), 3))
    flying, ended = [], []
    while queue.left:
        flying += taken(queue)
        assert len(flying) == len(set(flying)) <= 9
        if not flying:
            queue.time_passed()
            continue
        line = flying.pop(chance.randrange(len(flying)))
        match chance.choice(["busy", "dies", "ends"]):
            case "busy":
                queue.busy(line)
            case "dies" if poison.intersection({line, *flying}):
                if not queue.failed(line):
                    ended.append(line)
            case _:
                queue.ended(line)
                ended.append(line)
    assert sorted(ended) == list(range(40))
