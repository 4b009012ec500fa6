"""Who gets the model next: events in, actions out. No await, no clock, no log, no socket.

The model holds `parallel` jobs at a time. Short work goes first: completions, then chats and texts
to continue, then whatever was asked in bulk; each of these kinds in the order of its arrival. Of
several places the last is for completions alone and the last but one for interactive work alone: no
editor waits for a chat, and no person for a batch. Nobody starves: while a kind waits, at most
PATIENCE + 1 of the places that it might have go to others in a row. So a request behind `n` others
of its kind is passed over (n + 1) * (PATIENCE + 1) times at most.

The newest interactive completion of a document wins, and takes the turn of an older one that waits.

A request that is stopped is answered at once, yet keeps its place in the model until the model has
said that it ended (`finished`): the model never holds more than it was meant to.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import IntEnum

from msgspec import Struct

from dgemma_lsp.errors import Busy, Cancelled, DgemmaError, ModelCrashed, Superseded
from dgemma_lsp.wire import Complete, Failed, Job, failed

LOADS_BEFORE_GIVING_UP = 3
PATIENCE = 8  # places in a row that go to others before a kind that waits is due


class Start(Struct, frozen=True):
    """Give this job to the model."""

    job: Job


class Stop(Struct, frozen=True):
    """Tell the model that nobody wants this job any more."""

    key: str


class Reply(Struct, frozen=True):
    """End this request; its id is the job's key."""

    failed: Failed


Action = Start | Stop | Reply


class _Kind(IntEnum):
    """What waits apart from the rest; the most urgent first."""

    COMPLETION = 0
    CHAT = 1
    BULK = 2


_PLURALS = {
    _Kind.COMPLETION: "completions",
    _Kind.CHAT: "chats",
    _Kind.BULK: "requests in bulk",
}


class _Entry(Struct, frozen=True):
    session: int
    job: Job
    kind: _Kind


class Scheduler:
    """The queues and the model's places; a job's `id` is its key, unique for the daemon's life.

    The model holds `parallel` jobs at most; `limit` more of each kind may wait.
    """

    def __init__(self, *, parallel: int, limit: int) -> None:
        self._parallel = parallel
        self._limit = limit
        self._queues: dict[_Kind, dict[str, _Entry]] = {kind: {} for kind in _Kind}
        self._passed: Counter[_Kind] = Counter()  # places in a row that others had
        self._running: dict[str, _Entry] = {}
        self._stopped: dict[str, _Entry] = {}  # answered already, but in the model still
        self._ready = False
        self._refusal: DgemmaError | None = None
        self._failed_loads = 0

    @property
    def running(self) -> int:
        """How many jobs the model holds, those that it was told to stop among them."""
        return len(self._running) + len(self._stopped)

    @property
    def queued(self) -> int:
        """How many jobs wait for the model."""
        return sum(len(queue) for queue in self._queues.values())

    def holds(self, key: str) -> bool:
        """Tell whether the model holds this job."""
        return key in self._running or key in self._stopped

    def submit(self, session: int, job: Job) -> list[Action]:
        """Take a request in; it ends here when it is older than another one or has no place."""
        if self._refusal is not None:
            return [_reply(job.id, self._refusal)]
        entry = _Entry(session, job, _kind(job))
        older = self._rival(entry)
        if older is not None and _is_newer(older, entry):
            return [_reply(job.id, Superseded("a newer version of this document is under way"))]
        superseded = Superseded("a newer request of the document came")
        queue = self._queues[entry.kind]
        if older is not None and older.job.id in queue:
            # Whoever types on must not fall back behind the others at every key.
            turns = [entry if waiting is older else waiting for waiting in queue.values()]
            self._queues[entry.kind] = {waiting.job.id: waiting for waiting in turns}
            return [_reply(older.job.id, superseded)]
        if len(queue) >= self._limit:
            return [_reply(job.id, _busy(entry.kind, len(queue)))]
        actions = [] if older is None else self._drop(older.job.id, superseded)
        queue[job.id] = entry
        return actions + self._fill()

    def cancel(self, key: str) -> list[Action]:
        """End a request that the client took back."""
        return self._drop(key, Cancelled("the client took this request back"))

    def answered(self, key: str) -> list[Action]:
        """Let go of a request that was answered without the model's last word, at its deadline."""
        return self._drop(key, None)

    def finished(self, key: str) -> list[Action]:
        """Free the place of a job about which the model said its last word."""
        self._running.pop(key, None)
        self._stopped.pop(key, None)
        return self._fill()

    def disconnected(self, session: int) -> list[Action]:
        """End the requests of a session whose answers nobody reads any more."""
        gone = [entry.job.id for entry in self._entries() if entry.session == session]
        error = Cancelled("the connection closed")
        return [action for key in gone for action in self._drop(key, error)]

    def model_ready(self) -> list[Action]:
        """Begin to hand out jobs: the model is loaded."""
        self._ready = True
        self._failed_loads = 0
        return self._fill()

    def model_lost(self, detail: str) -> list[Action]:
        """Fail what the model held when its process died; what waits goes on waiting.

        `detail` says how it died. A model that dies again and again before it is loaded would keep
        them waiting for ever, so from the third time on they fail too.
        """
        self._failed_loads = 0 if self._ready else self._failed_loads + 1
        self._ready = False
        error = ModelCrashed(f"the model process died ({detail}) and is started again: try again")
        if self._failed_loads >= LOADS_BEFORE_GIVING_UP:
            error = ModelCrashed(
                f"the model process died {self._failed_loads} times while loading the model "
                f"({detail}): see the daemon's log"
            )
            return self._fail_all(error)
        return self._fail_running(error)

    def refuse(self, error: DgemmaError) -> list[Action]:
        """Fail every request with `error` from now on: those held, those waiting, those to come."""
        self._refusal = error
        return self._fail_all(error)

    def _entries(self) -> Iterator[_Entry]:
        """Every request that has no answer yet."""
        for queue in self._queues.values():
            yield from queue.values()
        yield from self._running.values()

    def _rival(self, entry: _Entry) -> _Entry | None:
        """Return the request that this one is the older or the newer version of."""
        if entry.kind is not _Kind.COMPLETION:
            return None
        return next((other for other in self._entries() if _same_document(other, entry)), None)

    def _drop(self, key: str, error: DgemmaError | None) -> list[Action]:
        actions: list[Action] = []
        queue = next((queue for queue in self._queues.values() if key in queue), None)
        if queue is not None:
            del queue[key]
        elif key in self._running:
            self._stopped[key] = self._running.pop(key)
            actions.append(Stop(key))
        else:
            return []
        if error is not None:
            actions.append(_reply(key, error))
        return actions

    def _fail_running(self, error: DgemmaError) -> list[Action]:
        replies: list[Action] = [_reply(key, error) for key in self._running]
        self._running.clear()
        self._stopped.clear()
        return replies

    def _fail_all(self, error: DgemmaError) -> list[Action]:
        replies = self._fail_running(error)
        for queue in self._queues.values():
            replies += [_reply(key, error) for key in queue]
            queue.clear()
        return replies

    def _fill(self) -> list[Action]:
        """Hand out the places that are free."""
        actions: list[Action] = []
        held = Counter(
            entry.kind for part in (self._running, self._stopped) for entry in part.values()
        )
        while self._ready and (able := self._able(held)):
            # The least urgent of those that are due, or else the most urgent.
            kind = next((k for k in reversed(able) if self._passed[k] >= PATIENCE), able[0])
            self._passed.update(able)
            self._passed[kind] = 0
            key, entry = next(iter(self._queues[kind].items()))
            del self._queues[kind][key]
            self._running[key] = entry
            held[kind] += 1
            actions.append(Start(entry.job))
        return actions

    def _able(self, held: Mapping[_Kind, int]) -> list[_Kind]:
        """Return the kinds that wait and might have a place, with so many of each in the model."""
        return [
            kind for kind in _Kind if self._queues[kind] and _has_place(kind, held, self._parallel)
        ]


def _kind(job: Job) -> _Kind:
    if job.priority == "bulk":
        return _Kind.BULK
    return _Kind.COMPLETION if isinstance(job, Complete) else _Kind.CHAT


def _has_place(kind: _Kind, held: Mapping[_Kind, int], parallel: int) -> bool:
    """Tell whether one more fits: of what is no more urgent than rank r, `parallel` - r do."""
    return all(
        sum(held[other] for other in _Kind if other >= rank) < max(parallel - rank, 1)
        for rank in range(kind + 1)
    )


def _same_document(one: _Entry, other: _Entry) -> bool:
    return (
        one.kind is other.kind is _Kind.COMPLETION
        and isinstance(one.job, Complete)
        and isinstance(other.job, Complete)
        and one.job.document == other.job.document
    )


def _is_newer(one: _Entry, other: _Entry) -> bool:
    """Versions are comparable within one connection only; elsewhere the later arrival is newer."""
    return (
        one.session == other.session
        and isinstance(one.job, Complete)
        and isinstance(other.job, Complete)
        and one.job.version > other.job.version
    )


def _busy(kind: _Kind, waiting: int) -> Busy:
    return Busy(
        f"{waiting} {_PLURALS[kind]} wait already, as many as may (daemon.queue): "
        "try again when one has ended"
    )


def _reply(key: str, error: DgemmaError) -> Reply:
    return Reply(failed(key, error))
