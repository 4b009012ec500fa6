"""From a place to what may be shown there, or why nothing is: the way of one completion.

It knows no protocol. What is quiet, what the model reads, what may be shown and what was suggested
already is decided in `quiet`, `context`, `ghost` and `suggestions`; here they are asked in turn.
"""

import asyncio
import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from dgemma_lsp import bindings, elsewhere, ignores, wire
from dgemma_lsp.ahead import Ahead
from dgemma_lsp.client import Completion, complete
from dgemma_lsp.config import Config
from dgemma_lsp.contact import Contact
from dgemma_lsp.context import for_model, window
from dgemma_lsp.definitions import Definitions
from dgemma_lsp.drafts import Drafted, to_drafted, to_final
from dgemma_lsp.errors import (
    Busy,
    Cancelled,
    DaemonStopping,
    DaemonUnavailable,
    DgemmaError,
    Superseded,
)
from dgemma_lsp.ignores import Ignores
from dgemma_lsp.neighbours import Neighbours, Piece, as_comment, lay_before
from dgemma_lsp.pace import Pace
from dgemma_lsp.problems import Problems
from dgemma_lsp.project import Project
from dgemma_lsp.quiet import Facts, Place, Reason, Rejections, why_off, why_quiet
from dgemma_lsp.runs import Heard, Run
from dgemma_lsp.suggestions import Suggestions
from dgemma_lsp.verdict import SPARES, why_nothing, worth_showing

# The daemon keeps the deadline; this is for one that hangs and keeps nothing.
DEADLINE_GRACE_S = 1.0

log = logging.getLogger(__name__)

Keep = Callable[[Place, Sequence[str]], None]


class Answer(Struct, frozen=True):
    """What may be shown, the best first, and why nothing where that is so.

    `steps` are the model's denoising steps for this document since something was shown in it last,
    those for nothing among them.
    """

    texts: list[str]
    reason: Reason
    steps: int = 0


OVERTAKEN = Answer([], "overtaken")


class Completer:
    """Answers one editor's questions for completions.

    `roots` gives the folders of the workspace; `on_draft` hears of what is being written.
    """

    def __init__(
        self,
        config: Config,
        contact: Contact,
        *,
        roots: Callable[[], Sequence[Path]],
        on_draft: Callable[[Place, Drafted], None],
    ) -> None:
        self.config = config
        self.problems = Problems()
        self._contact = contact
        self._roots = roots
        self._on_draft = on_draft
        self._ids = map(str, itertools.count(1))
        self._pace = Pace()
        self._suggestions = Suggestions()
        self._neighbours = Neighbours()
        self._rejections = Rejections()
        self._ignores = Ignores()
        self._definitions = Definitions(self._ignores.leave_out)
        self._project = Project(self._ignores.leave_out)
        self._runs: dict[str, Run[Answer]] = {}
        self._ahead: Ahead[Answer] = Ahead()
        self._steps: Counter[str] = Counter()
        self._last: dict[str, tuple[Place, Reason]] = {}

    async def complete(self, place: Place) -> Answer:
        """Return what may be shown at this place.

        Who asks for more than what is suggested by itself always gets the model's answer.
        """
        answer = OVERTAKEN
        try:
            answer = await self._answer(place)
        finally:
            self._last[place.uri] = place, answer.reason
        if answer.texts:
            answer = replace(answer, steps=self._steps.pop(place.uri, 0))
            self._prepare_next(place, answer.texts[0])
        return answer

    async def explain(self, place: Place) -> Reason:
        """Return why nothing is shown at this place, or that something is."""
        if reason := self._why_quiet(place):
            return reason
        last, reason = self._last.get(place.uri, (place, "overtaken"))
        if (last.before, last.after) == (place.before, place.after) and reason != "overtaken":
            return reason
        return (await self.complete(place)).reason

    def why_off(self, place: Place) -> Reason | None:
        """Return why nothing is wanted in this document; None where something may be."""
        return why_off(place, self._facts(place), self.config.editor)

    def opened(self, uri: str, path: Path | None, document: str, line: int = 0) -> None:
        """Take note of a document that others may read about, around this line."""
        if not self.config.completion.context_chars:
            return
        if path is None or self._ignores.leave_out(path, self._roots()):
            self._neighbours.forget(uri)
        else:
            self._neighbours.touched(uri, self._name(path), document, line)

    def changed(self, uri: str, path: Path | None, document: str, line: int) -> None:
        """End what is asked about a document that has gone on differently, at this line."""
        self.opened(uri, path, document, line)
        self._pace.key(time.monotonic())
        if (run := self._runs.get(uri)) is not None:
            run.changed(document)
        self._ahead.changed(uri, document)

    def rejected(self, uri: str) -> None:
        """Remember that what is shown in this document was dismissed."""
        self._suggestions.forget(uri)
        self._ahead.end()
        if uri in self._last:
            self._rejections.add(uri, self._last[uri][0].before)

    def closed(self, uri: str) -> None:
        """Forget a document."""
        self._suggestions.forget(uri)
        self._end_run(uri)
        self.problems.closed(uri)
        self._last.pop(uri, None)
        self._steps.pop(uri, None)

    def pause(self) -> None:
        """End all that is asked."""
        for uri in list(self._runs):
            self._end_run(uri)
        self._ahead.end()

    async def _answer(self, place: Place) -> Answer:
        if reason := self._why_quiet(place):
            return Answer([], reason)
        if not place.invoked:
            if texts := self._known(place):
                return Answer(texts, "shown")
            if (answer := await self._of_run_under_way(place)) is not None:
                return answer
        self._end_run(place.uri)
        self._ahead.end()
        longest_s = self.config.completion.debounce_ms / 1000
        if not place.invoked and (wait_s := self._pace.wait_s(time.monotonic(), longest_s)):
            await asyncio.sleep(wait_s)
            self._end_run(place.uri)
        run = self._runs[place.uri] = self._run(place, "interactive", self._keep)
        if self.config.editor.drafts:
            self._show_drafts(run)
        return await run.wait() or OVERTAKEN

    def _known(self, place: Place) -> list[str]:
        """Return what is left of what was suggested, or prepared, for this place."""
        texts = self._suggestions.find(place.uri, place.before, place.after).rests
        if not texts and (texts := self._ahead.find(place)):
            self._keep(place, texts)
        return texts

    async def _of_run_under_way(self, place: Place) -> Answer | None:
        """Return what a request that is under way brings for this place; None if nothing."""
        for run in (self._runs.get(place.uri), self._ahead.run):
            if run is None or not run.may_answer(place):
                continue
            answer = await run.wait()
            if texts := self._known(place):
                return Answer(texts, "shown")
            if answer is not None and (run.place.before, run.place.after) == (
                place.before,
                place.after,
            ):
                return answer
        return None

    def _run(self, place: Place, priority: wire.Priority, keep: Keep) -> Run[Answer]:
        """Ask the model; what is shown of its answer goes to `keep`."""
        # Looked for behind what is shown, the suggestion would count as typed and be forgotten.
        previous = "" if priority == "bulk" else self._previous(place)
        request = make_request(
            next(self._ids), place, self.config, previous=previous, priority=priority
        )

        async def ask(hear: Heard) -> Answer:
            prefix = await self._behind_others(place, request.prefix)
            before, after = for_model(place.before), for_model(place.after)
            copies = await self._copies(place.path, before, after)
            above = for_model(place.above)
            bound = await asyncio.to_thread(bindings.bound, above + before, after, place.language)
            asked = replace(request, prefix=prefix, copies=copies, bound=bound)
            completion = await self._ask(asked, hear)
            if not isinstance(completion, Completion):
                return Answer([], completion)
            texts = worth_showing(
                completion,
                place.before,
                place.after,
                self.config.completion,
                language=place.language,
                count=request.candidates,
            )
            keep(place, texts)
            return Answer(texts, self._reason(place, texts, completion))

        run = Run(place, ask)
        run.when_done(lambda: self._steps.update({place.uri: run.steps}))
        return run

    def _previous(self, place: Place) -> str:
        return self._suggestions.find(place.uri, place.before, place.after).previous

    def _show_drafts(self, run: Run[Answer]) -> None:
        max_lines = self.config.completion.max_lines
        run.on_draft = lambda draft: self._on_draft(
            run.place, to_drafted(draft, run.place, max_lines)
        )
        run.when_done(
            lambda: self._on_draft(
                run.place, to_final(run.result.texts if run.result else [], run.place)
            )
        )

    async def _behind_others(self, place: Place, prefix: str) -> str:
        """Return the prefix behind what the model may read of other files."""
        pieces = self._neighbours.of_others(place.uri, self.config.completion.context_chars)
        chars = self.config.completion.imports_chars
        if chars and place.path and place.language == "python":
            heads = await self._definitions.of(place.path, place.before, self._roots(), chars)
            pieces += [Piece("", "imported", heads)] if heads else []
        if chars := self.config.completion.diagnostics_chars:
            told = self.problems.near(place.uri, place.before, place.after, chars)
            text = as_comment(told, place.language)
            pieces += [Piece("", "wrong near here", text)] if told else []
        name = self._name(place.path) if place.path else "this file"
        return lay_before(prefix, name, pieces, place.language)

    async def _copies(self, path: Path | None, before: str, after: str) -> list[wire.Copy]:
        """Return what stands at like places in this document and in others of the workspace."""
        options = self.config.completion
        others = self._project.known(path, self._roots(), options.copied_files) if path else []
        return await asyncio.to_thread(
            elsewhere.copies,
            others,
            before,
            after,
            count=options.copied,
            max_lines=options.max_lines,
        )

    def _name(self, path: Path) -> str:
        """Return the name of a file in its folder of the workspace."""
        root = next((root for root in self._roots() if path.is_relative_to(root)), path.parent)
        return path.relative_to(root).as_posix()

    def _keep(self, place: Place, texts: Sequence[str]) -> None:
        self._suggestions.keep(place.uri, place.before, place.after, texts)

    def _end_run(self, uri: str) -> None:
        if (run := self._runs.pop(uri, None)) is not None:
            run.end()

    def _prepare_next(self, place: Place, text: str) -> None:
        """Write on behind what is shown, as if it were accepted, when nothing is typed."""
        if self.config.completion.prefetch:
            self._ahead.plan(place, text, lambda next: self._run(next, "bulk", self._ahead.keep))

    def _reason(self, place: Place, texts: list[str], completion: Completion) -> Reason:
        if texts:
            return "shown"
        reason = why_nothing(
            completion,
            place.before,
            place.after,
            self.config.completion,
            language=place.language,
        )
        return "loading" if reason == "deadline" and self._contact.loading else reason

    async def _ask(self, message: wire.Complete, hear: Heard) -> Completion | Reason:
        """Return the daemon's answer, or why there is none."""
        if message.priority == "bulk" and not self._contact.linked:
            return "no-daemon"  # nobody asked: a daemon that was stopped stays so
        deadline_s = self.config.completion.deadline_ms / 1000
        try:
            async with asyncio.timeout(deadline_s):
                link = await self._contact.link()
            began = time.monotonic()
            with self._contact.asking():
                async with asyncio.timeout(deadline_s + DEADLINE_GRACE_S):
                    completion = await complete(link, message, hear)
        except TimeoutError:
            log.info("completion %s: no answer in time", message.id)
            return "loading" if self._contact.loading else "deadline"
        except (Superseded, Cancelled, Busy) as exc:
            log.info("completion %s: %s", message.id, exc)
            return "busy" if isinstance(exc, Busy) else "overtaken"
        except (DaemonUnavailable, DaemonStopping) as exc:
            log.warning("completion %s: %s", message.id, exc)
            return "no-daemon"
        except DgemmaError as exc:
            log.error("completion %s failed (%s): %s", message.id, exc.code, exc)
            self._contact.refused(exc)
            return "model"
        if completion.reason != "deadline":
            self._contact.answered()
        if message.priority == "interactive":
            self._pace.answered(time.monotonic() - began)
        return completion

    def _why_quiet(self, place: Place) -> Reason | None:
        return why_quiet(place, self._facts(place), self.config.editor)

    def _facts(self, place: Place) -> Facts:
        roots = self._roots()
        return Facts(
            paused=self._contact.paused,
            ignored=self._ignores.leave_out(place.path, roots),
            off=ignores.match(self.config.editor.files_off, place.path, roots),
            rejected=self._rejections.hold(place.uri, place.before),
        )


def make_request(
    id: str, place: Place, config: Config, *, previous: str, priority: wire.Priority
) -> wire.Complete:
    """Return what to ask the daemon; automatic requests ask for one candidate."""
    options = config.completion
    prefix, suffix = window(
        place.above + place.before + place.after,
        len(place.above) + len(place.before),
        prefix_chars=options.prefix_chars,
        suffix_chars=options.suffix_chars,
    )
    return wire.Complete(
        id=id,
        document=place.uri,
        version=place.version,
        prefix=for_model(prefix),
        suffix=for_model(suffix),
        language=place.language,
        trigger="invoked" if place.invoked else "automatic",
        candidates=options.candidates if place.invoked else 1,
        spares=SPARES,
        previous=for_model(previous),
        max_lines=options.max_lines,
        priority=priority,
        deadline_ms=options.deadline_ms,
        drafts=True,  # they tell whether what is typed meanwhile still fits
        sampling=wire.Sampling(max_steps=options.steps or None),
    )
