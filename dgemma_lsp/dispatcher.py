"""The requests of all sessions, between the scheduler and the model process. No socket, no frame.

It carries out what others decide: `scheduler` says who gets the model, `jobs` what the model is
asked, `inflight` what a deadline answers, `worker` keeps the model process alive. Every request
that was taken in ends in `Dispatcher._end`, and nowhere else.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from itertools import count
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from dgemma_lsp import __version__, jobs
from dgemma_lsp.config import Config
from dgemma_lsp.errors import Cancelled, DgemmaError, ModelUnavailable, Superseded
from dgemma_lsp.inflight import InFlight
from dgemma_lsp.scheduler import Action, Reply, Scheduler, Start, Stop
from dgemma_lsp.wire import (
    Block,
    Cancel,
    Done,
    Draft,
    Failed,
    FromModel,
    Job,
    Loading,
    ModelState,
    Ready,
    Report,
    Response,
    Score,
    Scores,
    Timings,
    Unusable,
)
from dgemma_lsp.worker import Worker

STOPPED_S = 60.0  # a model that holds on to a stopped job for so long is killed

WITHDRAWN = {Cancelled.code, Superseded.code}  # no failure of anybody

_log = logging.getLogger(__name__)


class _Taken(Struct):
    """A request that was taken in, who gets its answers, and the timer of its deadline."""

    request: InFlight
    send: Callable[[Response], None]
    timer: asyncio.TimerHandle | None


class Dispatcher:
    """The way of every request from its session to the model, and of the answers back.

    `worker` is for the daemon to run.
    """

    def __init__(self, config: Config, model_command: Sequence[str]) -> None:
        self.worker = Worker(
            config, command=model_command, on_message=self._from_model, on_lost=self._lost
        )
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._scheduler = Scheduler(parallel=config.daemon.parallel, limit=config.daemon.queue)
        self._taken: dict[str, _Taken] = {}
        self._sessions = count(1)
        self._numbers = count(1)
        self._model: Ready | Unusable | None = None  # None while it loads
        self._loaded: int | None = None  # percent of the model that loads, once it is told
        self._death = ""  # of the model process, until the next one is ready
        self._completed = 0
        self._failed = 0
        self._withdrawn = 0
        self._steps = self._withdrawn_steps = 0
        self._born = self._last_end = self._loop.time()

    # From the sessions

    def new_session(self) -> int:
        """Return the number under which somebody new asks."""
        return next(self._sessions)

    def submit(self, session: int, message: Job, send: Callable[[Response], None]) -> None:
        """Take a request in; `send` gets its answers, under the client's id.

        Raises InvalidRequest for a conversation that is none.
        """
        # Never the client's id: it may use it again while the model still winds the first one up.
        key = f"{session}:{next(self._numbers)}"
        job, notice = jobs.for_model(message, key, self._config)
        if notice:
            _log.info("request %s: %s", key, notice)
        request = InFlight(
            id=message.id,
            session=session,
            wants_drafts=not isinstance(message, Score) and message.drafts,
            received=self._loop.time(),
        )
        timer = None
        if not isinstance(message, Score) and message.deadline_ms is not None:
            timer = self._loop.call_later(message.deadline_ms / 1000, self._deadline, key)
        self._taken[key] = _Taken(request, send, timer)
        self._act(self._scheduler.submit(session, job))

    def find(self, session: int, id: str) -> str | None:
        """Return the key of the request that a client calls `id`; None where it has ended."""
        for key, taken in self._taken.items():
            if (taken.request.session, taken.request.id) == (session, id):
                return key
        return None

    def cancel(self, session: int, id: str) -> None:
        """End a request that the client took back, unless it has ended already."""
        key = self.find(session, id)
        if key is not None:
            self._act(self._scheduler.cancel(key))

    def disconnected(self, session: int) -> None:
        """End the requests of a session that is over."""
        self._act(self._scheduler.disconnected(session))

    def refuse(self, error: DgemmaError) -> None:
        """Fail every request with `error` from now on."""
        self._act(self._scheduler.refuse(error))

    def _deadline(self, key: str) -> None:
        taken = self._taken[key]
        for block in taken.request.stable_blocks():
            taken.send(block)
        self._end(key, Done(id=key, reason="deadline", timings=Timings(steps=taken.request.steps)))
        self._act(self._scheduler.answered(key))

    # From the model process

    def _from_model(self, message: FromModel) -> None:
        match message:
            case Loading():
                self._loaded = message.progress
            case Ready():
                _log.info("the model %s is ready on %s", message.model, message.device)
                self._model, self._loaded, self._death = message, None, ""
                self._act(self._scheduler.model_ready())
            case Unusable():
                _log.error("the model is unusable: %s", message.message)
                self._model, self._loaded = message, None
                self.refuse(ModelUnavailable(message.message))
            case Draft() | Block() | Scores():
                self._progress(message)
            case Done() | Failed():
                self._end(message.id, message)
                self._act(self._scheduler.finished(message.id))
            case _:
                assert_never(message)

    def _progress(self, message: Draft | Block | Scores) -> None:
        taken = self._taken.get(message.id)
        if taken is None:  # it was answered while this was under way
            return
        if isinstance(message, Block):
            taken.request.finished(message)
        elif isinstance(message, Draft):
            taken.request.drafted(message)
        if not isinstance(message, Draft) or taken.request.wants_drafts:
            taken.send(replace(message, id=taken.request.id))

    def _lost(self, detail: str) -> None:
        self._model, self._loaded = None, None
        self._death = f"the model process died: {detail}"
        self._act(self._scheduler.model_lost(detail))

    def _overdue(self, key: str) -> None:
        if self._scheduler.holds(key):
            _log.error("request %s: the model goes on after %.0f s: killed", key, STOPPED_S)
            self.worker.kill()

    # What was decided

    def _act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Start(job=job):
                    self._taken[job.id].request.started = self._loop.time()
                    self.worker.send(job)
                case Stop(key=key):
                    self.worker.send(Cancel(id=key))
                    self._loop.call_later(STOPPED_S, self._overdue, key)
                case Reply(failed=failed):
                    self._end(failed.id, failed)
                case _:
                    assert_never(action)

    def _end(self, key: str, message: Done | Failed) -> None:
        """End a request: the only place that does, so that it happens once."""
        taken = self._taken.pop(key, None)
        if taken is None:  # it was answered already: cancelled, superseded, or at its deadline
            return
        if taken.timer is not None:
            taken.timer.cancel()
        self._last_end = self._loop.time()
        model = message.timings if isinstance(message, Done) else Timings()
        timings = taken.request.timings(self._last_end, model)
        steps = max(timings.steps, taken.request.steps)
        self._steps += steps
        if isinstance(message, Done):
            self._completed += 1
            message = replace(message, timings=timings)
        elif message.code in WITHDRAWN:
            self._withdrawn += 1
            self._withdrawn_steps += steps
        else:
            self._failed += 1
        outcome = message.reason if isinstance(message, Done) else message.code
        id = taken.request.id
        _log.info("request %s (id %r): %s in %.0f ms", key, id, outcome, timings.total_ms)
        taken.send(replace(message, id=id))

    # How things are

    @property
    def idle_s(self) -> float:
        """For how long nothing has been in flight, in seconds."""
        return 0.0 if self._taken else self._loop.time() - self._last_end

    @property
    def model_name(self) -> str:
        """The model's own name once it is ready, until then that of the configuration."""
        return self._model.model if isinstance(self._model, Ready) else self._config.model.name

    @property
    def model_state(self) -> ModelState:
        """How far the model is."""
        match self._model:
            case Ready():
                return "ready"
            case Unusable():
                return "failed"
            case None:
                return "restarting" if self.worker.restarts else "loading"

    def report(self, id: str, *, port: int) -> Report:
        """Return how the daemon, whose chat endpoint is at `port`, and the model are."""
        return Report(
            id=id,
            version=__version__,
            model=self.model_name,
            state=self.model_state,
            detail=self._model.message if isinstance(self._model, Unusable) else self._death,
            device=self._model.device if isinstance(self._model, Ready) else "",
            pid=os.getpid(),
            model_pid=self.worker.pid,
            restarts=self.worker.restarts,
            uptime_s=self._loop.time() - self._born,
            idle_minutes=self._config.daemon.idle_minutes,
            port=port,
            running=self._scheduler.running,
            queued=self._scheduler.queued,
            completed=self._completed,
            failed=self._failed,
            progress=self._loaded,
            withdrawn=self._withdrawn,
            steps=self._steps,
            withdrawn_steps=self._withdrawn_steps,
        )
