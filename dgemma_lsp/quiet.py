"""Where completion keeps quiet, and why nothing is shown: place and rules -> a reason. Pure.

Whether a file is left out is looked up elsewhere; here it is a fact among others.
"""

from collections import deque
from pathlib import Path
from typing import Literal

from msgspec import Struct

from dgemma_lsp.config import Editor

Reason = Literal[
    "shown",
    # by a rule, without asking the model
    "not-open",
    "paused",
    "ignored",
    "language-off",
    "file-off",
    "too-large",
    "mid-word",
    "rejected-here",
    # by the answer
    "not-confident",
    "repeats",
    "breaks",
    "empty",
    "deadline",
    # without an answer
    "overtaken",
    "busy",
    "loading",
    "model",
    "no-daemon",
]

REMEMBERED = 50  # dismissals
BEFORE_CHARS = 200  # the text before a cursor by which a place is known again

TEXTS: dict[Reason, str] = {
    "shown": "a suggestion is shown here",
    "not-open": "the editor has not opened this document here; open it as a file of its own",
    "paused": "completion is paused; {resume} brings it back",
    "ignored": "a .dgemmaignore file leaves this file out",
    "language-off": "completion is off for this language (editor.languages_off); invoke it by key",
    "file-off": "completion is off for this file (editor.files_off); invoke it by key",
    "too-large": "the file has more characters than editor.max_file_chars; invoke it by key",
    "mid-word": "the cursor stands inside a word; go to its end, or invoke it by key",
    "rejected-here": "you dismissed a suggestion here; type on, or invoke it by key",
    "not-confident": "the model is not sure enough here; completion.min_confidence sets how sure",
    "repeats": "the model only repeats what stands around the cursor",
    "breaks": "with what the model writes here the code would not parse",
    "empty": "the model leaves this place empty",
    "deadline": "nothing was certain in time; completion.deadline_ms gives it longer",
    "overtaken": "a newer request or change of the document overtook this one; ask again",
    "busy": "the model has too much to do; ask again",
    "loading": "the daemon and the model are being started; wait for it to be ready",
    "model": "the model failed; `dgemma doctor` tells more",
    "no-daemon": "no daemon answers; `dgemma doctor` tells more",
}


def text_of(reason: Reason, resume: str) -> str:
    """Return a reason as a person reads it, who resumes completion by `resume`."""
    return TEXTS[reason].format(resume=resume)


def resuming(editor: str) -> str:
    """Return what a person resumes completion by, in the editor of this name."""
    if editor == "Neovim":
        return "`:DGemma resume`"
    if "code" in editor.lower():  # Visual Studio Code, VSCodium, code-server
        return "`DGemma: Resume Completions`"
    return "the command dgemma.resume"


class Place(Struct, frozen=True, kw_only=True):
    """A cursor in one version of a document.

    `before` and `after` are the text on both sides, as if what a menu has selected (`selected`)
    had replaced the part of it that is typed already (`begun`). `above` is read before the
    document: a notebook's cells. `path` is None for a document that lies in no file. `invoked`
    tells that a person asked, not the editor by itself.
    """

    uri: str
    version: int
    language: str
    path: Path | None
    before: str
    after: str
    selected: str = ""
    begun: str = ""
    above: str = ""
    invoked: bool = False


class Facts(Struct, frozen=True, kw_only=True):
    """What holds of a place besides itself.

    `ignored` by a file of the workspace, `off` by the option, `rejected` by the person.
    """

    paused: bool = False
    ignored: bool = False
    off: bool = False
    rejected: bool = False


def why_quiet(place: Place, facts: Facts, options: Editor) -> Reason | None:
    """Return why no completion is wanted here; None where one is.

    Who asks for one gets it everywhere but where completion is paused or the file left out.
    """
    if (reason := why_off(place, facts, options)) is not None or place.invoked:
        return reason
    if inside_word(place.after):
        return "mid-word"
    if facts.rejected:
        return "rejected-here"
    return None


def why_off(place: Place, facts: Facts, options: Editor) -> Reason | None:
    """Return why nothing is wanted in the whole document; None where something may be."""
    if facts.paused:
        return "paused"
    if facts.ignored:
        return "ignored"
    if place.invoked:
        return None
    if place.language in options.languages_off:
        return "language-off"
    if facts.off:
        return "file-off"
    if len(place.before) + len(place.after) > options.max_file_chars:
        return "too-large"
    return None


def inside_word(after: str) -> bool:
    """Tell whether a word goes on right of the cursor."""
    return after[:1].isalnum() or after[:1] == "_"


class Rejections:
    """The places where a suggestion was dismissed last."""

    def __init__(self) -> None:
        self._places: deque[tuple[str, str]] = deque(maxlen=REMEMBERED)

    def add(self, uri: str, before: str) -> None:
        """Remember that at this place, with this text before it, nothing is wanted."""
        self._places.append((uri, before[-BEFORE_CHARS:]))

    def hold(self, uri: str, before: str) -> bool:
        """Tell whether a suggestion was dismissed here."""
        return (uri, before[-BEFORE_CHARS:]) in self._places
