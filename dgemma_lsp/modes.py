"""What may be written: the modes, what a person wants of one, and what comes of it. Pure."""

from typing import Literal

from msgspec import Struct

from dgemma_lsp.errors import UserError

Way = Literal["in_place", "hole", "chat"]


class Mode(Struct, frozen=True):
    """What can be asked for; `strength` and `length` hold where the person says nothing of them."""

    title: str
    way: Way
    instruction: str = ""
    strength: float = 1.0
    length: float = 1.0


MODES: dict[str, Mode] = {
    "shorten": Mode("Shorten", "in_place", "Make this text shorter; keep what it says.", 1.0, 0.6),
    "expand": Mode("Expand", "in_place", "Say the same with more detail.", 1.0, 2.0),
    "simplify": Mode("Simplify", "in_place", "Say the same in plain words and short sentences."),
    "formal": Mode("Make Formal", "in_place", "Say the same in a formal tone.", 0.8, 1.1),
    "friendly": Mode("Make Friendly", "in_place", "Say the same in a friendly tone.", 0.8, 1.1),
    "grammar": Mode(
        "Fix Grammar",
        "in_place",
        "Correct spelling, grammar and punctuation; change nothing else.",
        0.3,
    ),
    "translate": Mode("Translate", "in_place", "Translate this text into {to}.", 1.0, 1.2),
    "custom": Mode("Rewrite as Told", "in_place", "{instruction}"),
    "continue": Mode("Continue", "hole"),
    "docstring": Mode("Write Docstring", "hole"),
    "summarise": Mode("Summarise", "chat", "Summarise this text; reply with the summary alone."),
    "explain": Mode("Explain", "chat", "Explain what this does and how, for a colleague."),
    "fix": Mode(
        "Fix Problem",
        "chat",
        "Correct this problem: {problem}\n"
        "Reply with all of the code below, corrected, in one fence.",
    ),
    "commit": Mode(
        "Write Commit Message",
        "chat",
        "Write the commit message for this diff: an imperative subject of 72 characters at most, "
        "an empty line, and the reason. Reply with the message alone.",
    ),
}
# What is told and changes no text.
ANSWERS = {"explain"}
# What a model can that only goes on with a text; it judges what rules find wrong.
_OF_ANY_MODEL = {"continue", "docstring", "grammar"}


class Task(Struct, frozen=True, kw_only=True):
    """What a person wants: a mode, and the part of a document from `start` to `end`.

    `length` is the number of words that are aimed at, `to` the language of a translation,
    `instruction` and `problem` what those modes need; `keep` are texts that must stay.
    """

    mode: str
    text: str
    start: int
    end: int
    language: str = ""
    instruction: str = ""
    to: str = ""
    problem: str = ""
    strength: float | None = None
    length: int | None = None
    keep: tuple[str, ...] = ()

    @property
    def selected(self) -> str:
        """What is to be rewritten."""
        return self.text[self.start : self.end]


class Edit(Struct, frozen=True):
    """A piece of the document, and what takes its place."""

    start: int
    end: int
    text: str


class Written(Struct, frozen=True):
    """What came of one variant: edits in order, or what is only told.

    So many paragraphs were `left` as they are, since the new ones would change the structure.
    """

    edits: tuple[Edit, ...] = ()
    told: str = ""
    left: int = 0

    def applied(self, text: str) -> str:
        """Return the document with the edits."""
        pieces, at = [], 0
        for edit in self.edits:
            pieces += [text[at : edit.start], edit.text]
            at = edit.end
        return "".join([*pieces, text[at:]])


def is_told(model: str) -> bool:
    """Tell whether a model takes instructions."""
    return model != "nano"


def refusal(mode: str, model: str) -> str:
    """Tell in one line why a model cannot do a mode; "" where it may."""
    if is_told(model) or mode in _OF_ANY_MODEL:
        return ""
    *most, last = sorted(_OF_ANY_MODEL)
    able = f"{', '.join(most)} and {last}"
    return (
        f"{mode}: nano is a small code model that takes no instructions, it can {able} only; "
        "set model.name to a model that chats, such as google/diffusiongemma-26B-A4B-it"
    )


_LACKS = {
    "to": "into which language",
    "instruction": "what is to be done",
    "problem": "what is wrong",
}


def check(task: Task) -> None:
    """Raise UserError, in one line, for a mode that is none or that was not told enough."""
    if task.mode not in MODES:
        raise UserError(f"mode {task.mode!r}: there are {', '.join(MODES)}")
    for name, lack in _LACKS.items():
        if f"{{{name}}}" in MODES[task.mode].instruction and not getattr(task, name).strip():
            raise UserError(f"{task.mode}: say {lack}")


def instruction(task: Task) -> str:
    """Return what the model is told to do."""
    said = MODES[task.mode].instruction.format(
        to=task.to, instruction=task.instruction, problem=task.problem
    )
    return f"{said} Write about {task.length} words." if task.length else said
