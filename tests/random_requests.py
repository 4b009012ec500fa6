"""For tests of the scheduler: it alone, between random clients and a model of the model process.

`World` keeps books of its own of every request and compares them with the scheduler's after each
event. It does with every action what the daemon does with it.
"""

import random
from collections import Counter, deque

from dgemma_lsp.errors import DaemonStopping
from dgemma_lsp.scheduler import PATIENCE, Action, Reply, Scheduler, Start, Stop
from dgemma_lsp.wire import Chat, Complete, Generate, Job, Part, Rewrite, Turn

SORTS = ("complete", "chat", "bulk")  # the most urgent first
MIXES = [(3, 1, 1), (8, 1, 1), (8, 2, 0), (1, 3, 3), (1, 1, 8)]  # of the sorts
KINDS = {
    "complete": [Complete],
    "chat": [Chat, Generate, Rewrite],
    "bulk": [Complete, Chat, Generate, Rewrite],
}
SESSIONS = 3
STEPS = 5  # of the longest job


def sort_of(job: Job) -> str:
    if job.priority == "bulk":
        return "bulk"
    return "complete" if isinstance(job, Complete) else "chat"


class Process:
    """The model process: its rows, each with the steps left to it, and its pipe in and out."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.inbox: deque[Start | Stop] = deque()
        self.rows: dict[str, int] = {}
        self.steps: Counter[str] = Counter()
        self.outbox: deque[str] = deque()  # the jobs about which it said its last word

    def step(self) -> None:
        """End the step that is under way, then read what came in the meantime."""
        for key in list(self.rows):
            self.steps[key] += 1
            self.rows[key] -= 1
            if not self.rows[key]:
                self.end(key)
        while self.inbox:
            match self.inbox.popleft():
                case Start(job=job):
                    self.rows[job.id] = self.rng.randint(1, STEPS)
                case Stop(key=key) if key in self.rows:
                    self.end(key)

    def end(self, key: str) -> None:
        del self.rows[key]
        self.outbox.append(key)


class World:
    """One random sequence of events."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.parallel = self.rng.choice([1, 1, 2, 3, 4, 8])
        self.limit = self.rng.choice([1, 2, 4, 8])
        self.mix = self.rng.choice(MIXES)
        self.scheduler = Scheduler(parallel=self.parallel, limit=self.limit)
        self.process = Process(self.rng)
        self.ready = self.refusing = False
        self.session_of: dict[str, int] = {}  # of every request there ever was
        self.open: dict[str, Job] = {}  # has no end yet
        self.waiting: dict[str, list[str]] = {sort: [] for sort in SORTS}
        self.held: dict[str, str] = {}  # key -> sort; the model has not said that it ended
        self.stopped: dict[str, int] = {}  # key -> the steps it had taken when it was stopped
        self.passed: Counter[str] = Counter()  # places in a row that a sort might have had
        self.most_passed: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()

    def play(self) -> None:
        """Let things happen, then let everything come to its end."""
        weights = {
            self.submit: self.rng.choice([4, 8, 16]),
            self.turn: self.rng.choice([4, 8, 16]),
            self.deliver: 2,
            self.cancel: 2,
            self.deadline: 2,
            self.disconnect: self.rng.choice([0, 1]),
            self.crash: self.rng.choice([0, 0, 1]),
            self.load: 2,
        }
        many = self.rng.randint(10, 80)
        for event in self.rng.choices(list(weights), list(weights.values()), k=many):
            event()
            self.check()
        self.rng.choice([self.drain, self.stop])()
        assert not self.open
        assert (self.scheduler.running, self.scheduler.queued) == (0, 0)

    # What may happen

    def submit(self) -> None:
        job, session = self.random_job(), self.rng.randrange(SESSIONS)
        queue, rival = self.waiting[sort_of(job)], self.rival(job)
        late = (
            rival is not None
            and self.session_of[rival.id] == session
            and rival.version > job.version
        )
        self.open[job.id], self.session_of[job.id] = job, session
        actions = self.scheduler.submit(session, job)
        match [a.failed.code for a in actions if isinstance(a, Reply) and a.failed.id == job.id]:
            case []:
                assert not late
                waits = rival is not None and rival.id in queue
                queue.insert(queue.index(rival.id) if waits else len(queue), job.id)
            case ["superseded"]:
                assert late
            case ["busy"]:
                assert len(queue) == self.limit
            case codes:
                assert codes == ["stopping"]
                assert self.refusing
        self.take(actions)

    def turn(self) -> None:
        """A step of the model, and all that it says."""
        self.process.step()
        while self.process.outbox:
            self.deliver()

    def deliver(self) -> None:
        if self.process.outbox:
            key = self.process.outbox.popleft()
            del self.held[key]
            if self.stopped.pop(key, None) is None:
                self.end(key, "by the model")
            self.take(self.scheduler.finished(key))

    def cancel(self) -> None:
        if self.session_of:
            self.take(self.scheduler.cancel(self.rng.choice(list(self.session_of))))

    def deadline(self) -> None:
        if self.open:
            key = self.rng.choice(list(self.open))
            self.end(key, "deadline")
            self.take(self.scheduler.answered(key))

    def disconnect(self) -> None:
        session = self.rng.randrange(SESSIONS)
        self.take(self.scheduler.disconnected(session))
        assert session not in {self.session_of[key] for key in self.open}

    def crash(self) -> None:
        for _ in range(self.rng.randint(0, len(self.process.outbox))):
            self.deliver()
        self.process = Process(self.rng)
        self.ready = False
        self.held.clear()
        self.stopped.clear()
        self.take(self.scheduler.model_lost("exit code 1"))

    def load(self) -> None:
        if not self.ready:
            self.ready = True
            self.take(self.scheduler.model_ready())

    # How it ends

    def drain(self) -> None:
        """Nothing more happens but that the model goes on."""
        self.load()
        for _ in range((STEPS + 1) * (len(self.open) + len(self.held)) + 1):
            self.turn()
            self.check()
        assert not self.process.rows

    def stop(self) -> None:
        """The daemon goes down, and a request comes too late."""
        self.refusing = True
        self.held.clear()
        self.stopped.clear()
        self.take(self.scheduler.refuse(DaemonStopping("the daemon goes down")))
        self.submit()

    # The books

    def take(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Start(job=job):
                    self.hand_out(job)
                    self.process.inbox.append(action)
                case Stop(key=key):
                    assert key in self.held
                    assert key not in self.stopped
                    self.stopped[key] = self.process.steps[key]
                    self.process.inbox.append(action)
                case Reply(failed=failed):
                    self.end(failed.id, failed.code)

    def hand_out(self, job: Job) -> None:
        sort = sort_of(job)
        assert self.ready
        assert self.has_place(sort)
        assert self.waiting[sort][0] == job.id, "out of turn"
        for other in SORTS:
            if self.waiting[other] and self.has_place(other):
                self.passed[other] += 1
        self.passed[sort] = 0
        self.most_passed |= self.passed
        assert max(self.passed.values()) <= PATIENCE + 1
        del self.waiting[sort][0]
        self.held[job.id] = sort

    def end(self, key: str, how: str) -> None:
        job = self.open.pop(key)  # raises where it has ended before
        self.ends[how] += 1
        if key in self.waiting[sort_of(job)]:
            self.waiting[sort_of(job)].remove(key)

    def check(self) -> None:
        waiting = [key for sort in SORTS for key in self.waiting[sort]]
        assert self.open.keys() == {*waiting, *(self.held.keys() - self.stopped.keys())}
        assert (self.scheduler.queued, self.scheduler.running) == (len(waiting), len(self.held))
        assert len(self.held) <= self.parallel
        assert self.process.rows.keys() <= self.held.keys()
        for sort in SORTS:
            assert len(self.waiting[sort]) <= self.limit
            assert not (self.ready and self.waiting[sort] and self.has_place(sort)), "left to wait"
        for key, steps in self.stopped.items():
            assert self.process.steps[key] - steps <= 1
        documents = [job.document for job in self.open.values() if sort_of(job) == "complete"]
        assert len(documents) == len(set(documents))

    def has_place(self, sort: str) -> bool:
        """Whether one more of this sort fits; a place is kept for completions, one from batches."""
        bulk = sum(held == "bulk" for held in self.held.values())
        slow = sum(held != "complete" for held in self.held.values())
        fits = len(self.held) < self.parallel
        if sort != "complete":
            fits = fits and slow < max(1, self.parallel - 1)
        if sort == "bulk":
            fits = fits and bulk < max(1, self.parallel - 2)
        return fits

    def rival(self, job: Job) -> Complete | None:
        """The request that this one supersedes, or that supersedes it."""
        if sort_of(job) == "complete":
            for other in self.open.values():
                if sort_of(other) == "complete" and other.document == job.document:
                    return other
        return None

    def random_job(self) -> Job:
        key = f"{len(self.session_of)}"
        (sort,) = self.rng.choices(SORTS, self.mix)
        priority = "bulk" if sort == "bulk" else "interactive"
        kind = self.rng.choice(KINDS[sort])
        if kind is Chat:
            return Chat(id=key, messages=[Turn(role="user", content="x")], priority=priority)
        if kind is Generate:
            return Generate(id=key, prompt="x", priority=priority)
        if kind is Rewrite:
            return Rewrite(id=key, instruction="x", parts=[Part("x")], priority=priority)
        document, version = self.rng.choice("vwxyz"), self.rng.randrange(9)
        return Complete(id=key, document=document, version=version, prefix="", priority=priority)
