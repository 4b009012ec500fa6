"""Sections measured one after another, each shown and kept as soon as it is there.

What a section measures is its own affair, and how it looks is `report`'s.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from sampler.benchmarks import machine, report
from sampler.benchmarks.report import Section


def measure(
    sections: Iterable[Callable[[], Section]],
    facts: Mapping[str, Any],
    *,
    width: int,
    out: Path | None,
) -> None:
    """Print a table for each of `sections`; with `out`, write the JSON of those done so far there.

    `facts` are what to know of the run besides the machine, and `width` is how many columns a table
    may take where there is no screen.
    """
    console = Console(width=None if sys.stdout.isatty() else width)
    found: dict[str, Any] = {"machine": machine.facts(), **facts, "sections": []}
    console.print(machine.line(found["machine"]), style="dim", highlight=False, soft_wrap=True)
    _write(out, found)
    for section in sections:
        began = time.monotonic()
        measured = section()
        report.show(measured, console)
        seconds = round(time.monotonic() - began, 1)
        found["sections"].append(report.as_json(measured) | {"seconds": seconds})
        _write(out, found)


def _write(out: Path | None, found: dict[str, Any]) -> None:
    if out:
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
