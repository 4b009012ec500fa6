"""Options from elsewhere laid over a configuration, each checked by itself. Pure.

What cannot be taken is told by its name and leaves its default alone; all others hold. The schema
is `config`'s; a None is an option that is not set.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import fields, replace

from dgemma_lsp.config import Config

SHOWN_CHARS = 60  # of a value that cannot be taken

_PATH = re.compile(r" - at `\$.*`$")


class Laid(NamedTuple):
    """The configuration, and what could not be taken, in a line each."""

    config: Config
    problems: list[str]


def lay_over(config: Config, tree: object, source: str) -> Laid:
    """Lay options over the configuration; `source` says in the problems where they come from."""
    problems: list[str] = []
    for section, values in _sections(tree, source, problems):
        if not hasattr(config, section):
            known = ", ".join(field.name for field in fields(config))
            problems.append(f"{source}: there is no section {section!r}; there are {known}")
            continue
        taken, wrong = _lay_section(getattr(config, section), values, f"{source}: {section}")
        config = replace(config, **{section: taken})
        problems += wrong
    return Laid(config, problems)


def lay_editor_over(config: Config, tree: object, source: str, config_file: str) -> Laid:
    """Do the same with options of an editor, which has no say in what the daemon alone reads."""
    laid, problems = lay_over(config, tree, source)
    # What the daemon alone reads is left as it is.
    ours = replace(
        config,
        completion=laid.completion,
        editor=laid.editor,
        proofread=laid.proofread,
        model=replace(config.model, name=laid.model.name),
    )
    problems += [
        f"{source}: {name} is the daemon's, which may serve other editors too; "
        f"put it into {config_file}"
        for name in _differences(ours, laid)
    ]
    return Laid(ours, problems)


def known_sections(tree: object) -> object:
    """Leave out what is no section: an editor's plugin keeps settings of its own beside ours."""
    if not isinstance(tree, Mapping):
        return tree
    return {name: values for name, values in tree.items() if name in Config.__struct_fields__}


def _sections(tree: object, source: str, problems: list[str]) -> Iterator[tuple[str, Any]]:
    if tree is None:
        return
    if not isinstance(tree, Mapping):
        problems.append(f"{source}: must be an object with sections, not {_shown(tree)}")
        return
    for section, values in tree.items():
        if isinstance(values, Mapping) or not hasattr(Config(), section):
            yield section, values
        elif values is not None:
            problems.append(f"{source}: {section} must hold options, not {_shown(values)}")


def _lay_section(section: Any, values: Mapping[str, Any], name: str) -> tuple[Any, list[str]]:
    """Return the section with what can be taken of the values, and the problems with the rest."""
    problems = []
    for option, value in values.items():
        if option not in section.__struct_fields__:
            known = ", ".join(section.__struct_fields__)
            problems.append(f"{name}.{option}: there is no such option; there are {known}")
        elif value is not None:
            try:
                taken = msgspec.convert({option: value}, type(section))
                section = replace(section, **{option: getattr(taken, option)})
            except msgspec.ValidationError as exc:
                why = _PATH.sub("", str(exc))
                problems.append(f"{name}.{option} = {_shown(value)}: {why}; it keeps its default")
    return section, problems


def _differences(one: Config, other: Config) -> list[str]:
    return [
        f"{section.name}.{option}"
        for section in fields(one)
        for option in getattr(one, section.name).__struct_fields__
        if getattr(getattr(one, section.name), option)
        != getattr(getattr(other, section.name), option)
    ]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."
