"""Every claim about speed and quality, side by side in one run: `python -m sampler.bench`.

Reads argv and runs the sections that were asked for. What is measured, and how, stands in
`sampler.benchmarks`. `dgemma bench` runs it as the daemon runs its model: with threads that do not
spin while they wait.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import IO

import click
import torch
from rich.console import Console

from sampler import full_size
from sampler.benchmarks import (
    autoregress,
    editors,
    gpu,
    holes,
    keystroke,
    loop,
    retraction,
    rig,
    scale,
    sections,
)
from sampler.benchmarks.report import Section
from sampler.load import Quantize, UnusableModel
from sampler.params import InvalidParameter


@dataclass
class Run:
    """What was asked for, and what the sections share, loaded when the first of them needs it."""

    load: Callable[[], rig.Rig]
    short_tokens: int
    shape: str
    holes: Sequence[holes.Hole]
    scale: scale.Scale
    tell: rig.Told

    @cached_property
    def rig(self) -> rig.Rig:
        """The model, twice."""
        self.tell("loading the model")
        return self.load()


SECTIONS: dict[str, Callable[[Run], Section]] = {
    "loop": lambda run: loop.run(run.rig, run.scale, run.tell),
    "keystroke": lambda run: keystroke.run(run.rig, run.scale, run.tell),
    "autoregress": lambda run: autoregress.run(run.rig, run.scale, run.short_tokens, run.tell),
    "editors": lambda run: editors.run(run.rig, run.scale, run.tell),
    "holes": lambda run: holes.run(run.rig, run.scale, run.holes, run.tell),
    "retraction": lambda run: retraction.run(run.rig, run.scale, run.holes, run.tell),
    "full-size": lambda run: gpu.run(run.shape, run.scale, run.tell),
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="Fewer repeats: under two minutes on two quiet cores.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write all figures to a file.")
@click.option(
    "--only", type=click.Choice(list(SECTIONS)), multiple=True, help="This section; or several."
)
@click.option(
    "--shape",
    type=click.Choice([*full_size.SHAPES, "tiny"]),
    default="26b-a4b",
    show_default=True,
    help="The full size; tiny runs on a CPU too.",
)
@click.option(
    "--holes",
    "given",
    type=click.File(encoding="utf-8"),
    help='JSON lines of "before", "middle", "after", cut out of files that the model never read.',
)
@click.option("--model", default="nano", show_default=True, help="Name, folder or hub id.")
@click.option("--device", default="auto", show_default=True)
@click.option("--dtype", default="auto", show_default=True)
@click.option("--quantize", type=click.Choice(["", "4bit", "8bit"]), default="")
@click.option("--threads", type=click.IntRange(0), default=0, help="0: torch decides.")
@click.option(
    "--short-tokens",
    type=click.IntRange(0),
    default=16,
    show_default=True,
    help="Up to so many tokens the route writes one at a time.",
)
def bench(
    quick: bool,
    out: Path | None,
    only: tuple[str, ...],
    shape: str,
    given: IO[str] | None,
    model: str,
    device: str,
    dtype: str,
    quantize: Quantize,
    threads: int,
    short_tokens: int,
) -> None:
    """Measure the sampler: tables on the screen and, with --json, in a file."""
    if threads:
        torch.set_num_threads(threads)
    cut = holes.read(given) if given else []
    size = scale.QUICK if quick else scale.FULL
    screen = Console(stderr=True)
    with screen.status("starting") as status:
        load = partial(rig.build, model, device=device, dtype=dtype, quantize=quantize)
        run = Run(load, short_tokens, shape, cut, size, status.update)
        chosen = [section for name, section in SECTIONS.items() if not only or name in only]
        facts = {"model": model, "dtype": dtype, "quantize": quantize, "scale": asdict(size)}
        sections.measure([partial(one, run) for one in chosen], facts, width=120, out=out)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; what was asked wrongly and what cannot be loaded is one line."""
    try:
        bench.main(args=argv, prog_name="sampler.bench", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as exc:
        complaint = exc.format_message()
    except (UnusableModel, InvalidParameter, OSError) as exc:
        complaint = str(exc)
    else:
        sys.exit(0)
    click.echo(f"dgemma: {' '.join(complaint.split())}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
