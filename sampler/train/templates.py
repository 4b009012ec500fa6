"""Texts with choices and names left open -> one of the many texts that they stand for. Pure.

Three things are open in a template:

`⟦sum|total⟧`  is one of its options; where it has a key, `⟦k:sum|product⟧ ... ⟦k:+|*⟧`, all with
               that key take the same one. Options may hold choices.
`⟦keep.code⟧`  is a cell of a table, of one row of it: `keep2.code` is that of another row.
`$items`       is a name out of a pool, everywhere the same and no other's; `$items2` is another.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_CHOICE = re.compile(r"⟦(?:(\w+):)?([^⟦⟧]*)⟧")
_CELL = re.compile(r"([a-z_]+)(\d*)\.([a-z_]+)")
_NAME = re.compile(r"\$([a-z_]+)(\d*)")
SEPARATOR = "---"


@dataclass(frozen=True)
class Vocabulary:
    """What templates draw from: pools of names, and tables of rows that belong together."""

    pools: Mapping[str, Sequence[str]]
    tables: Mapping[str, Sequence[Mapping[str, str]]]


def read_vocabulary(text: str) -> Vocabulary:
    """Read pools (`name: a b c`) and tables (`table: column | column`, then a row a line).

    A table ends at an empty line. Raises ValueError for a row of another width.
    """
    pools: dict[str, tuple[str, ...]] = {}
    tables: dict[str, tuple[dict[str, str], ...]] = {}
    for block in re.split(r"\n\s*\n", text.strip()):
        head, *rows = block.splitlines()
        columns = [c.strip() for c in head.partition(":")[2].split(" | ")]
        if not rows or len(columns) == 1:
            for line in block.splitlines():
                name, _, words = line.partition(":")
                pools[name] = tuple(words.split())
            continue
        cells = [[c.strip() for c in row.split(" | ")] for row in rows]
        for row, found in zip(rows, cells, strict=True):
            if len(found) != len(columns):
                raise ValueError(f"{row!r} has {len(found)} cells, not {len(columns)}: {head!r}")
        name = head.partition(":")[0]
        tables[name] = tuple(dict(zip(columns, row, strict=True)) for row in cells)
    return Vocabulary(pools, tables)


def read_templates(text: str) -> list[str]:
    """Return the templates of a file, in which a line of three hyphens stands between them."""
    parts = re.split(rf"^{SEPARATOR}\n", text, flags=re.MULTILINE)
    return [part.strip("\n") + "\n" for part in parts if part.strip()]


def expand(template: str, vocabulary: Vocabulary, chooser: random.Random) -> str:
    """Return one of the texts that a template stands for.

    Raises KeyError for a table, column or pool that is not there, ValueError for a key whose
    choices differ in number.
    """
    rows: dict[str, Mapping[str, str]] = {}
    chosen: dict[str, tuple[int, int]] = {}

    def choose(match: re.Match[str]) -> str:
        key: str | None = match[1]
        options: list[str] = match[2].split("|")
        if cell := _CELL.fullmatch(match[2]):
            table = cell[1] + cell[2]
            if table not in rows:
                others = list(rows.values())
                free = [row for row in vocabulary.tables[cell[1]] if row not in others]
                rows[table] = chooser.choice(free)
            return rows[table][cell[3]]
        if key is None:
            return chooser.choice(options)
        at, count = chosen.setdefault(key, (chooser.randrange(len(options)), len(options)))
        if count != len(options):
            raise ValueError(f"{match[0]} has {len(options)} options, another of {key!r} {count}")
        return options[at]

    text = template
    while (simpler := _CHOICE.sub(choose, text)) != text:
        text = simpler
    return _named(text, vocabulary, chooser)


def _named(text: str, vocabulary: Vocabulary, chooser: random.Random) -> str:
    """Put names for what is left open, each another one and none that the text has already."""
    names: dict[str, str] = {}
    taken = set(re.findall(r"\w+", _NAME.sub("", text)))
    for open_name in sorted(set(_NAME.findall(text))):
        free = [word for word in vocabulary.pools[open_name[0]] if word not in taken]
        names["$" + "".join(open_name)] = chooser.choice(free)
        taken.update(names.values())
    return _NAME.sub(lambda match: names[match[0]], text)
