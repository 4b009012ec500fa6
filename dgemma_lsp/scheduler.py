"""Who gets the model next: events in, actions out. No await, no clock, no log, no socket.

At most one completion and one chat are in the model at a time, so that a chat never keeps a
completion waiting; the model process steps the completion first. The others wait in the order of
their arrival, completions and chats apart. The newest completion of a document wins.

A request that is stopped is answered at once, yet keeps its place in the model until the model has
said that it ended (`finished`): the model never holds more than it was meant to.
"""

from collections.abc import Iterator

from msgspec import Struct

from dgemma_lsp.errors import Busy, Cancelled, DgemmaError, ModelCrashed, Superseded
from dgemma_lsp.wire import Chat, Complete, Failed, Job, failed

LOADS_BEFORE_GIVING_UP = 3


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


class _Entry(Struct, frozen=True):
    session: int
    job: Job


class Scheduler:
    """The queue and the model's places; a job's `id` is its key, unique for the daemon's life.

    `limit` bounds the completions that wait, and the chats that wait.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queued: dict[str, _Entry] = {}
        self._running: dict[str, _Entry] = {}
        self._stopped: set[str] = set()  # in `_running`, answered already
        self._ready = False
        self._refusal: DgemmaError | None = None
        self._failed_loads = 0

    @property
    def running(self) -> int:
        """How many jobs the model holds, those that it was told to stop among them."""
        return len(self._running)

    @property
    def queued(self) -> int:
        """How many jobs wait for the model."""
        return len(self._queued)

    def holds(self, key: str) -> bool:
        """Tell whether the model holds this job."""
        return key in self._running

    def submit(self, session: int, job: Job) -> list[Action]:
        """Take a request in; it ends here when it is older than another one or has no place."""
        if self._refusal is not None:
            return [_reply(job.id, self._refusal)]
        entry = _Entry(session, job)
        older = self._rival(job)
        if older is not None and _is_newer(older, entry):
            return [_reply(job.id, Superseded("a newer version of this document is under way"))]
        freed = int(older is not None and older.job.id in self._queued)
        if self._waiting(type(job)) - freed >= self._limit:
            return [_reply(job.id, Busy(f"{self._limit} requests wait already: try again later"))]
        actions: list[Action] = []
        if older is not None:
            actions += self._drop(older.job.id, Superseded("a newer request of the document came"))
        self._queued[job.id] = entry
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
        self._stopped.discard(key)
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
        yield from self._queued.values()
        yield from (e for key, e in self._running.items() if key not in self._stopped)

    def _rival(self, job: Job) -> _Entry | None:
        if not isinstance(job, Complete):
            return None
        for entry in self._entries():
            if isinstance(entry.job, Complete) and entry.job.document == job.document:
                return entry
        return None

    def _waiting(self, kind: type[Job]) -> int:
        return sum(isinstance(entry.job, kind) for entry in self._queued.values())

    def _drop(self, key: str, error: DgemmaError | None) -> list[Action]:
        actions: list[Action] = []
        if key in self._queued:
            del self._queued[key]
        elif key in self._running and key not in self._stopped:
            self._stopped.add(key)
            actions.append(Stop(key))
        else:
            return []
        if error is not None:
            actions.append(_reply(key, error))
        return actions

    def _fail_running(self, error: DgemmaError) -> list[Action]:
        replies: list[Action] = [
            _reply(key, error) for key in self._running if key not in self._stopped
        ]
        self._running.clear()
        self._stopped.clear()
        return replies

    def _fail_all(self, error: DgemmaError) -> list[Action]:
        replies = self._fail_running(error) + [_reply(key, error) for key in self._queued]
        self._queued.clear()
        return replies

    def _fill(self) -> list[Action]:
        actions: list[Action] = []
        for kind in (Complete, Chat):
            if not self._ready or any(isinstance(e.job, kind) for e in self._running.values()):
                continue
            first = next((k for k, e in self._queued.items() if isinstance(e.job, kind)), None)
            if first is not None:
                self._running[first] = self._queued.pop(first)
                actions.append(Start(self._running[first].job))
        return actions


def _is_newer(one: _Entry, other: _Entry) -> bool:
    """Versions are comparable within one connection only; elsewhere the later arrival is newer."""
    return (
        one.session == other.session
        and isinstance(one.job, Complete)
        and isinstance(other.job, Complete)
        and one.job.version > other.job.version
    )


def _reply(key: str, error: DgemmaError) -> Reply:
    return Reply(failed(key, error))
