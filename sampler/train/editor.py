"""A hole filled as an editor's user gets it: the application's own request, choice and trimming.

No daemon and no socket: the engine is stepped here, so that what is not in the protocol (a known
length) can be asked too.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from dgemma_lsp import at_cursor, client, jobs, wire
from dgemma_lsp.answers import Answers
from dgemma_lsp.bench import Hole
from dgemma_lsp.config import Config
from dgemma_lsp.elsewhere import Lines
from dgemma_lsp.project import Project
from sampler import autoregress, compiled
from sampler.benchmarks import rig
from sampler.cache import PrefixCache
from sampler.engine import Engine, Request
from sampler.events import Block, Event, Scored
from sampler.load import LoadedModel
from sampler.prompts import CompletionPrompt
from sampler.work import Loop

# Between two seeds: a request draws its texts with the seeds that follow.
SEED_STEP = 1000


@dataclass(frozen=True)
class Fill:
    """What is shown in a hole, "" for nothing, and all that was to choose from, the best first.

    `ms` from request to answer, `confidence` in nats a token by the causal side.
    """

    text: str
    candidates: list[str]
    ms: float
    steps: int
    confidence: float


@dataclass(frozen=True)
class Editor:
    """A loaded model behind the application's completion; `config` may be replaced.

    `project` knows the files beside one; without it, that file is all that is seen.
    """

    answers: Answers
    engine: Engine
    project: Project | None

    @classmethod
    def open(cls, model: LoadedModel, config: Config, project: Project | None = None) -> "Editor":
        """Set the model up as the daemon's model process does."""
        denoiser = compiled.forward(model.model)
        cache = PrefixCache(denoiser.new_kv, config.model.cache_mb * 2**20)
        engine = Engine(
            denoiser, cache, rows=config.model.rows, queue=1, positions=model.max_positions
        )
        return cls(Answers(model, denoiser, config), engine, project)

    def alone(self) -> "Editor":
        """Return the same editor with completions from the diffusion side alone, no copies."""
        config = self.answers.config
        alone = msgspec.structs.replace(config.completion, causal_tokens=0, copied=0)
        config = msgspec.structs.replace(config, completion=alone)
        return replace(self, answers=Answers(self.answers.model, self.answers.denoiser, config))

    @property
    def steps(self) -> int:
        """How many steps a completion takes at most where nobody says."""
        return self.answers.config.completion.steps or self.answers.model.defaults.max_steps

    def read(self, hole: Hole) -> None:
        """Have the text before a hole encoded, as it is when somebody types there."""
        loop = autoregress.generate(
            self._prompt(self._job(hole)).prefix_ids, max_new_tokens=1, eos_token_ids=()
        )
        self._events(loop, 1, 1)

    def fill(
        self, hole: Hole, *, steps: int, seed: int, known: bool = False, candidates: int = 1
    ) -> Fill:
        """Fill a hole; with `known`, its length in tokens is told."""
        others = self._others(hole)
        began = time.perf_counter()
        job = self._job(hole, steps, seed, candidates, others)
        length = self._length(job, hole.middle) if known else None
        answer = self.answers.completion(job, length)
        self.engine.submit(job.id, answer.request)
        told: list[client.Answer] = []
        for event in self._finish():
            told += answer.tell(event)
        gathered = client.gathered([*told, answer.done()], job.candidates, job.spares)
        return self._shown(hole, job, gathered, began)

    def write(self, hole: Hole, lines: int) -> Fill:
        """Fill a hole with `lines` lines by the causal side alone, which sees nothing behind it."""
        job, prompts = self._job(hole), self.answers.prompts
        ends, params = prompts.line_ends.tolist(), self.answers.model.defaults
        began = time.perf_counter()
        prompt = self._prompt(job)
        size = params.canvas_length
        loop = autoregress.generate(
            prompt.prefix_ids,
            max_new_tokens=size,
            eos_token_ids=params.eos_token_ids,
            allowed=prompt.first,
            enough=lambda ids: sum(ends[token] for token in ids) >= lines,
        )
        events = self._events(loop, 1, size)
        block = next(event for event in events if isinstance(event, Block))
        scored = next(event for event in events if isinstance(event, Scored))
        text = prompt.joining(prompts.decode(block.ids[0].tolist()))
        text = "\n".join(text.split("\n")[:lines])
        confidence = float(scored.log_probs.mean())
        timings = wire.Timings(tokens=block.ids.shape[1], steps=block.steps)
        answer = client.Completion(
            texts=[text],
            reason="length",
            timings=timings,
            steps=block.steps,
            stable=True,
            confidences={0: confidence},
        )
        return self._shown(hole, job, answer, began)

    def score(self, request: wire.Score) -> list[float]:
        """Return how probable each of the texts is, in nats."""
        answer = self.answers.answer(request)
        self.engine.submit(request.id, answer.request)
        told = [one for event in self._finish() for one in answer.tell(event)]
        return next(one.log_probs for one in told if isinstance(one, wire.Scores))

    def _others(self, hole: Hole) -> list[Lines]:
        """Return what the language server knows of the workspace already when somebody types."""
        if self.project is None:
            return []
        file = hole.file.absolute()
        files = self.answers.config.completion.copied_files
        return self.project.look(file, [package(file)], files)

    def _job(
        self,
        hole: Hole,
        steps: int | None = None,
        seed: int = 0,
        candidates: int = 1,
        others: Sequence[Lines] = (),
    ) -> wire.Complete:
        config = self.answers.config
        request = at_cursor.request(
            hole.file,
            hole.filled(""),
            hole.start,
            config.completion,
            candidates=candidates,
            deadline_ms=None,
            sampling=wire.Sampling(max_steps=steps, seed=seed * SEED_STEP),
            others=others,
            trigger="automatic",
        )
        job, _ = jobs.for_model(request, request.id, config)
        assert isinstance(job, wire.Complete)
        return job

    def _prompt(self, job: wire.Complete) -> CompletionPrompt:
        return self.answers.prompt(job, self.answers.model.defaults.canvas_length)

    def _length(self, job: wire.Complete, middle: str) -> int:
        """Return how many tokens the middle takes, or the most that leave room for the suffix."""
        size = self.answers.model.defaults.canvas_length
        tokens = self.answers.prompts.encode(self._prompt(job).healed + middle)
        return min(len(tokens), size - 1)

    def _events(self, loop: Loop, rows: int, tokens: int) -> list[Event]:
        self.engine.submit("alone", Request(loop, rows=rows, tokens=tokens))
        return self._finish()

    def _finish(self) -> list[Event]:
        return [event for _, event in rig.finish(self.engine)]

    def _shown(
        self, hole: Hole, job: wire.Complete, answer: client.Completion, began: float
    ) -> Fill:
        config = self.answers.config.completion
        given = at_cursor.insertion(answer, job, hole.filled(""), hole.start, config, "")
        ms = (time.perf_counter() - began) * 1e3
        confidence = answer.confidences.get(0, 0.0)
        return Fill(given.text, given.candidates, ms, given.steps, confidence)


def package(file: Path) -> Path:
    """Return the topmost folder of the Python package that a file is of."""
    folder = file.parent
    while (folder.parent / "__init__.py").exists():
        folder = folder.parent
    return folder
