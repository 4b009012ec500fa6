import random
from dataclasses import dataclass, field

import pytest

from sampler.turns import (
    BULK,
    BULK_SHARE,
    STEPS_PASSED_OVER,
    TIMES_OVERTAKEN,
    Candidate,
    Waiting,
    admit,
    choose,
)

OFTEN = STEPS_PASSED_OVER
STARVED = TIMES_OVERTAKEN


@pytest.mark.parametrize(
    ("waiting", "chosen"),
    [
        ([], set()),
        ([(0, 0)], {0}),
        ([(5, 0)], {0}),
        ([(0, 0), (0, 0), (0, 0)], {0, 1, 2}),
        ([(0, 0), (1, 0), (2, 0)], {0}),
        ([(2, 0), (1, 0), (2, 0)], {1}),
        ([(0, 0), (1, OFTEN - 1)], {0}),
        ([(0, 0), (1, OFTEN), (2, OFTEN), (2, OFTEN - 1)], {0, 1, 2}),
    ],
)
def test_the_most_urgent_step_and_who_was_passed_over_enough(waiting, chosen):
    assert choose([Waiting(*w) for w in waiting]) == chosen


def test_nobody_is_passed_over_for_long_while_more_urgent_ones_come_and_go():
    rng = random.Random(1)
    running = []
    for _ in range(3000):
        running += [[rng.randrange(4), 0] for _ in range(rng.choice([0, 0, 1, 2]))]
        chosen = choose([Waiting(*r) for r in running])
        assert bool(chosen) == bool(running)
        for index, one in enumerate(running):
            one[1] = 0 if index in chosen else one[1] + 1
            assert one[1] <= STEPS_PASSED_OVER
        ended = {index for index in chosen if rng.random() < 0.3}
        running = [one for index, one in enumerate(running) if index not in ended]


ROWS = 8


@pytest.mark.parametrize(
    ("candidates", "used", "bulk_used", "index"),
    [
        # urgency, tokens, rows, overtaken
        ([], 0, 0, None),
        ([(0, 10, 1, 0)], 0, 0, 0),
        ([(1, 10, 1, 0), (0, 99, 1, 0)], 0, 0, 1),  # urgent first
        ([(0, 99, 1, 0), (0, 10, 1, 0)], 0, 0, 1),  # short first
        ([(0, 10, 1, 0), (0, 10, 1, 0)], 0, 0, 0),  # then as they came
        ([(0, 10, ROWS, 0)], 0, 0, 0),
        ([(0, 10, 3, 0)], 5, 0, 0),
        ([(0, 10, 4, 0)], 5, 0, None),
        ([(0, 10, 4, 0), (0, 20, 1, 0)], 5, 0, None),  # nobody slips past
        ([(1, 10, 1, STARVED), (0, 10, 1, 0)], 0, 0, 0),
        ([(1, 10, 1, STARVED - 1), (0, 10, 1, 0)], 0, 0, 1),
        ([(1, 10, 1, STARVED), (1, 5, 1, STARVED + 2), (0, 10, 1, 0)], 0, 0, 0),
        ([(1, 10, 1, 0), (1, 99, 1, STARVED), (0, 10, 1, 0)], 0, 0, 1),
        ([(1, 10, 4, STARVED), (0, 10, 1, 0)], 5, 0, None),
        ([(BULK, 10, 2, 0)], 4, 4, 0),
        ([(BULK, 10, 3, 0)], 4, 4, None),  # bulk leaves a part of the rows alone
        ([(BULK, 10, 3, 0), (0, 99, 4, 0)], 4, 4, 1),
        ([(BULK, 10, 3, 0), (BULK, 99, 2, 0)], 4, 4, 1),
        ([(BULK, 10, ROWS, 0)], 0, 0, 0),  # more than its part, but alone
        ([(BULK, 10, ROWS, 0)], 1, 1, None),
        ([(BULK, 10, 1, STARVED), (0, 10, 1, 0)], 0, 0, 0),
        ([(BULK, 10, 3, STARVED), (0, 10, 1, 0)], 4, 4, 1),  # its part is full: others go on
        ([(BULK, 10, 3, STARVED), (BULK, 99, 2, 0)], 4, 4, None),  # but no other bulk
    ],
)
def test_the_next_request_is_the_most_urgent_and_shortest_that_nobody_starves_for(
    candidates, used, bulk_used, index
):
    given = [Candidate(*c) for c in candidates]
    assert admit(given, rows=ROWS, used=used, bulk_used=bulk_used) == index


@dataclass(eq=False)
class Job:
    """A request of the simulation, which holds its rows for `steps` steps."""

    urgency: int
    tokens: int
    rows: int
    steps: int
    overtaken: int = 0
    waited: int = 0


@dataclass
class Hall:
    """Requests that wait and run, admitted by `admit` as the engine does it."""

    waiting: list[Job] = field(default_factory=list)
    running: list[Job] = field(default_factory=list)

    def used(self, urgency=0):
        return sum(job.rows for job in self.running if job.urgency >= urgency)

    def step(self):
        """Admit whom there is room for, then let a step pass."""
        while (index := self.next()) is not None:
            for older in self.waiting[:index]:
                older.overtaken += 1
            self.running.append(self.waiting.pop(index))
        for job in self.waiting:
            job.waited += 1
        for job in self.running:
            job.steps -= 1
        self.running = [job for job in self.running if job.steps]

    def next(self):
        candidates = [Candidate(j.urgency, j.tokens, j.rows, j.overtaken) for j in self.waiting]
        return admit(candidates, rows=ROWS, used=self.used(), bulk_used=self.used(BULK))


LONGEST = 6  # steps of a simulated request
QUEUE = 12


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("urgencies", [(0, 1), (0, 0, 0, BULK), (BULK,), (0, 1, BULK, BULK + 1)])
def test_everybody_is_admitted_in_bounded_time_under_a_load_that_never_ends(seed, urgencies):
    """The bound: every `LONGEST` steps somebody goes, and only so many can go before one.

    Those are who overtakes it, and who came before; for bulk also those that it must outwait in
    its own part of the rows.
    """
    rng = random.Random(seed)
    hall = Hall()
    for _ in range(2000):
        while len(hall.waiting) < QUEUE:
            rows = rng.choice([1, 1, 1, 2, 4, ROWS])
            hall.waiting.append(
                Job(rng.choice(urgencies), rng.randrange(500), rows, rng.randint(1, LONGEST))
            )
        hall.step()
        assert hall.used() <= ROWS
        for job in hall.waiting:
            if job.urgency < BULK:
                assert job.overtaken <= TIMES_OVERTAKEN
            assert job.waited <= 2 * LONGEST * (TIMES_OVERTAKEN + QUEUE + 1)


def test_a_wide_bulk_request_gets_in_among_narrow_ones_that_never_end():
    hall, wide = Hall(), Job(BULK, 900, 5, 3)
    for step in range(200):
        hall.waiting.append(Job(BULK, 1, 1, LONGEST))
        if step == LONGEST:
            hall.waiting.append(wide)
        hall.step()
    assert wide.waited > 0
    assert wide not in hall.waiting


@pytest.mark.parametrize("rows", [1, 2])
def test_bulk_leaves_room_for_what_is_urgent(rows):
    hall = Hall([Job(BULK, 10, 2, LONGEST) for _ in range(50)])
    for _ in range(40):
        hall.step()
        assert hall.used(BULK) <= ROWS * BULK_SHARE
        hall.waiting.append(urgent := Job(0, 10, rows, 1))
        hall.step()
        assert urgent.waited == 0
