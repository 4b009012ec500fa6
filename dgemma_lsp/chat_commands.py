"""What a person types in `dgemma chat`: a question, or a command that begins with a slash. Pure."""

import re
from pathlib import PurePath

from msgspec import Struct

from dgemma_lsp.errors import UserError

COMMANDS = {
    "new": "[TITLE]  begin another conversation",
    "list": "         the conversations, those changed last first",
    "open": "N        go on with number N of the list",
    "show": "         the whole conversation",
    "regenerate": "   answer the last question once more",
    "edit": "[TEXT]   ask the last question differently",
    "branch": "       go on in a copy of this conversation",
    "title": "TEXT    name it",
    "system": "[TEXT] set its system prompt; without TEXT that of the configuration",
    "attach": "FILE[:FIRST-LAST]  have a file, or lines of it, read with the next question",
    "export": "FILE   write it to FILE: JSON where that ends in .json, else Markdown",
    "delete": "[N]    remove it, or number N of the list, for good",
    "help": "         this",
    "quit": "         leave, as Ctrl-D does",
}
NEEDS_ARGUMENT = {"open", "title", "attach", "export"}

_PLACE = re.compile(r"(?P<name>.+?)(:(?P<first>\d+)-(?P<last>\d+))?")


class Question(Struct, frozen=True):
    """Something to ask."""

    text: str


class Command(Struct, frozen=True):
    """A command and what stands behind it."""

    name: str
    argument: str = ""


class Place(Struct, frozen=True):
    """A file, or the lines `first` to `last` of it; 0 stands for the whole file."""

    file: str
    first: int = 0
    last: int = 0


def parse(line: str) -> Question | Command | None:
    """Return what a line means, None for an empty one; two slashes begin a question with one.

    Raises UserError for a command that does not exist or lacks its argument.
    """
    line = line.strip()
    if not line:
        return None
    if not line.startswith("/"):
        return Question(line)
    if line.startswith("//"):
        return Question(line[1:])
    name, _, argument = line[1:].partition(" ")
    if name not in COMMANDS:
        raise UserError(f"/{name}: no such command; /help names them, // begins a question with /")
    argument = argument.strip()
    if name in NEEDS_ARGUMENT and not argument:
        raise UserError(f"/{name} {' '.join(COMMANDS[name].split())}")
    return Command(name, argument)


def place(argument: str) -> Place:
    """Return the file and lines that are named; raises UserError for lines that are none."""
    found = _PLACE.fullmatch(argument)
    if found is None or found["first"] is None:
        return Place(argument)
    first, last = int(found["first"]), int(found["last"])
    if not 1 <= first <= last:
        raise UserError(f"{argument}: lines count from 1, and the last is not before the first")
    return Place(found["name"], first, last)


def cut(text: str, place: Place) -> str:
    """Return the lines of a file's text that are meant; raises UserError where it has none."""
    if not place.first:
        return text
    lines = text.splitlines(keepends=True)
    if place.first > len(lines):
        raise UserError(f"{place.file}: has {len(lines)} lines, and no line {place.first}")
    return "".join(lines[place.first - 1 : place.last])


def language(file: str) -> str:
    """Return the name that a fence around this file gets: its ending."""
    return PurePath(file).suffix.removeprefix(".")


def number(argument: str, count: int) -> int:
    """Return the number of something listed, from 1; raises UserError where there is none."""
    if not (argument.isascii() and argument.isdecimal() and 1 <= int(argument) <= count):
        listed = f"1 to {count}" if count else "none: /list first"
        raise UserError(f"{argument}: no number of the list ({listed})")
    return int(argument)


def help_text() -> str:
    """Return the commands, a line each."""
    return "\n".join(f"/{name} {told}" for name, told in COMMANDS.items())
