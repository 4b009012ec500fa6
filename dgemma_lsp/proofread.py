"""`dgemma proofread`: files -> what is wrong in them, a diff, or the files put right."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from difflib import unified_diff
from pathlib import Path

from dgemma_lsp import at_cursor, client, languages, passages, wire
from dgemma_lsp.accepted import Accepted, project_words
from dgemma_lsp.errors import UserError
from dgemma_lsp.linking import daemon_link, waiting
from dgemma_lsp.proofreader import Finding, Proofreader
from dgemma_lsp.settings import Settings


def language(file: Path) -> str:
    """Return the language of a file by its name; raises UserError where it has none to read."""
    if not (found := languages.language(file)):
        endings = ", ".join(languages.BY_ENDING)
        raise UserError(f"{file}: cannot tell what is written in it; files end in {endings}")
    return found


class Report:
    """What was found in one file."""

    def __init__(self, file: Path, text: str, found: Sequence[Finding]) -> None:
        self.file, self.text, self.found = file, text, found

    @property
    def mended(self) -> str:
        """The text with all of it put right."""
        text = self.text
        for one in sorted(self.found, key=lambda one: -one.start):
            text = text[: one.start] + one.text + text[one.end :]
        return text

    def lines(self) -> list[str]:
        """Return a line for each finding, as compilers write them: places count from 1."""
        starts = passages.line_starts(self.text)
        told = []
        for one in self.found:
            line, column = passages.line_of(starts, one.start)
            wrong = self.text[one.start : one.end].strip()
            about = f"{one.message} ({one.rule})"
            told.append(f"{self.file}:{line + 1}:{column + 1}: {wrong}: {about}")
        return told

    def diff(self) -> str:
        """Return what would be changed, as a diff."""
        name = str(self.file)
        before, after = (one.splitlines(keepends=True) for one in (self.text, self.mended))
        return "".join(unified_diff(before, after, name, name))

    def write(self) -> None:
        """Put the file right, a byte order mark and line ends as they are; raises UserError."""
        try:
            mark = "\ufeff" if self.file.read_bytes().startswith(b"\xef\xbb\xbf") else ""
            self.file.write_bytes((mark + self.mended).encode())
        except OSError as exc:
            raise UserError(f"{self.file}: cannot be written: {exc}") from exc


async def check(files: Sequence[Path], settings: Settings, *, alone: bool) -> list[Report]:
    """Proofread files; `alone` asks no model. Raises UserError and whatever the daemon raises."""
    texts = [(file, at_cursor.read(file), language(file)) for file in files]
    options = settings.config.proofread
    accepted = Accepted(settings.paths.accepted)
    off = {*options.rules_off, *accepted.rules}
    async with _proofreader(settings, alone or not options.model) as proofreader:
        reports = []
        for file, text, kind in texts:
            uri = file.absolute().as_uri()
            own = [*accepted.words(uri, []), *_project(file)]
            doubts = proofreader.doubts(text, kind, own)
            for doubt in proofreader.unknown(doubts):
                await proofreader.ask(doubt)
            found = [
                one
                for one in proofreader.findings(doubts, off)
                if not accepted.ignores(uri, one.sentence, one.fault)
            ]
            reports.append(Report(file, text, found))
    return reports


@asynccontextmanager
async def _proofreader(settings: Settings, alone: bool) -> AsyncIterator[Proofreader]:
    if alone:
        yield Proofreader(None)
        return
    async with daemon_link(settings) as link:

        async def score(message: wire.Score) -> list[float]:
            return await client.score(link, message)

        async with waiting(f"{link.welcome.model}: reading"):
            yield Proofreader(score)


def _project(file: Path) -> list[str]:
    """Return the words of the nearest project's dictionary above a file."""
    return next((words for root in file.absolute().parents if (words := project_words(root))), [])
