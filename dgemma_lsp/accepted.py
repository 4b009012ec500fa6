"""What a person wants left alone: words of a project, words and places of a file, rules.

A project's words lie in `.dgemma/dictionary.txt` at the root of its folder, for everybody who works
on it; the rest lies in the user's state folder. Files are read and written here and nowhere else.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

DICTIONARY = Path(".dgemma") / "dictionary.txt"

log = logging.getLogger(__name__)


class OfFile(Struct):
    """What is accepted in one document; a place is its sentence, with what stood at fault in it."""

    words: list[str] = []
    places: list[tuple[str, str]] = []


class _Kept(Struct):
    """What the state file holds."""

    rules: list[str] = []
    files: dict[str, OfFile] = {}


class Accepted:
    """One user's decisions; `file` keeps them."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._kept = self._read()

    @property
    def rules(self) -> list[str]:
        """The rules that are turned off."""
        return self._kept.rules

    def words(self, uri: str, roots: Sequence[Path]) -> list[str]:
        """Return the words that are right in this document, those of its project among them."""
        own = self._kept.files.get(uri, OfFile()).words
        return [*own, *(word for root in roots for word in project_words(root))]

    def ignores(self, uri: str, sentence: str, fault: str) -> bool:
        """Tell whether this place was accepted."""
        return (sentence, fault) in self._kept.files.get(uri, OfFile()).places

    def ignore(self, uri: str, sentence: str, fault: str) -> None:
        """Accept a place."""
        self._kept.files.setdefault(uri, OfFile()).places.append((sentence, fault))
        self._write()

    def accept(self, uri: str, word: str) -> None:
        """Accept a word in a document."""
        self._kept.files.setdefault(uri, OfFile()).words.append(word)
        self._write()

    def turn_off(self, rule: str) -> None:
        """Apply a rule no more."""
        if rule not in self._kept.rules:
            self._kept.rules.append(rule)
            self._write()

    def _read(self) -> _Kept:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return _Kept()
        except (OSError, msgspec.DecodeError) as exc:
            log.error("%s: cannot be read, so nothing is accepted: %s", self._file, exc)
            return _Kept()

    def _write(self) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_bytes(msgspec.json.format(msgspec.json.encode(self._kept), indent=1) + b"\n")
        os.replace(new, self._file)


def project_words(root: Path) -> list[str]:
    """Return the words of a project's dictionary; a line that begins with # is a remark."""
    try:
        lines = (root / DICTIONARY).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def add_to_project(root: Path, word: str) -> Path:
    """Add a word to the project's dictionary, which is made where there is none; return the file.

    Raises OSError where it cannot be written.
    """
    file = root / DICTIONARY
    words = sorted({*project_words(root), word}, key=str.lower)
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{one}\n" for one in words), encoding="utf-8")
    return file
