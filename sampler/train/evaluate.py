"""What nano is worth, on packages it never saw: `python -m sampler.train.evaluate [MODEL]`.

Reads argv and runs the sections that were asked for. What is counted stands in `quality` and
`humaneval`; here are the losses, by which a training run is watched.
"""

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from dgemma_lsp import cli
from dgemma_lsp import config as options
from dgemma_lsp.errors import UserError
from dgemma_lsp.ignores import Ignores
from dgemma_lsp.project import Project
from sampler import load as loading
from sampler.benchmarks import sections
from sampler.benchmarks.report import Section
from sampler.benchmarks.rig import Told
from sampler.train import cases, corpus, humaneval, objective, quality, stream
from sampler.train.editor import Editor
from sampler.train.forward import TrainingForward
from sampler.train.prefix_only import PrefixOnly

SEED = 1234
# Of the windows that the losses are measured on, and their canvases, in tokens.
LENGTH, CANVASES = 512, (32, 64)


def losses(
    forward: TrainingForward,
    held_out: NDArray[np.uint16],
    breaks: NDArray[np.bool_],
    *,
    batches: int,
    length: int,
    canvas: int = 64,
    pure: bool = False,
) -> dict[str, float]:
    """Return the mean losses in nats per token, over the same batches at every call.

    With `pure`, every canvas is pure noise and there is no self-conditioning: a first step.
    """
    rng = np.random.default_rng(SEED)
    vocab_size = len(breaks)
    copies = forward.cast(forward.fast_dtype)
    sums = np.zeros(2)
    with torch.no_grad():
        for _ in range(batches):
            batch = objective.draw_batch(
                rng, held_out, breaks, vocab_size, windows=8, length=length, canvas=canvas
            )
            if pure:
                noise = rng.integers(0, vocab_size, batch.noisy.shape)
                batch = replace(batch, noisy=np.where(batch.free, noise, batch.target))
            both = forward.losses(copies, batch, self_condition=not pure, temperature=0.7)
            sums += [x.item() for x in both]
    causal, denoising = (sums / batches).round(4).tolist()
    return {"causal": causal, "denoising": denoising}


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is asked: `holes` and `cases` of each kind, `batches` of windows for the losses."""

    holes: int
    cases: int
    batches: int
    steps: Sequence[int]
    seeds: int


FULL = Size(holes=200, cases=200, batches=40, steps=(1, 2, 4, 8, 16, 32), seeds=3)
QUICK = Size(holes=40, cases=40, batches=4, steps=(4,), seeds=1)


@dataclass(frozen=True)
class Losses:
    """For each size of canvas, the losses at a mixture of noise and from pure noise.

    Models cut text into tokens of their own, of `characters` on average.
    """

    by_canvas: Mapping[int, tuple[dict[str, float], dict[str, float]]]
    characters: float


@dataclass
class Run:
    """What was asked for, and what the sections share, made when the first of them needs it."""

    model: str
    packages: Path | None
    config: options.Config
    size: Size
    seed: int
    indented: bool
    project: bool
    yardsticks: Sequence[Path]
    tell: Told

    @cached_property
    def editor(self) -> Editor:
        """The model behind the application's completion."""
        self.tell("loading the model")
        project = Project(Ignores().leave_out) if self.project else None
        return Editor.open(loading.load(self.model), self.config, project)

    @cached_property
    def files(self) -> list[Path]:
        """The files that holes are cut into."""
        self.tell("reading the held-out packages")
        return cases.held_out_files(self.packages)

    @cached_property
    def code(self) -> quality.Cases:
        """Holes in code, by their number of lines."""
        return cases.code(self.files, self.size.holes, self.seed)

    @cached_property
    def losses(self) -> "Losses":
        """The losses on the held-out packages."""
        self.tell("measuring the losses")
        # A copy of its own: the engine lays out anew the weights of the model that it gets.
        loaded = loading.load(self.model, device="cpu", dtype="float32")
        tok = loaded.tokenizer
        forward = TrainingForward(loaded.model, 2 * LENGTH)
        documents = list(corpus.held_out_documents(self.packages))
        held_out, breaks = stream.tokenize(tok, documents), stream.line_breaks(tok)

        def measured(canvas: int, pure: bool) -> dict[str, float]:
            return losses(
                forward,
                held_out,
                breaks,
                batches=self.size.batches,
                length=LENGTH,
                canvas=canvas,
                pure=pure,
            )

        per_token = sum(len(document.text) for document in documents) / len(held_out)
        by_canvas = {n: (measured(n, False), measured(n, True)) for n in CANVASES}
        return Losses(by_canvas, per_token)

    @property
    def extent(self) -> quality.Extent:
        """At how many steps, and how often."""
        return quality.Extent(self.size.steps, self.size.seeds)


def losses_section(run: Run) -> Section:
    """Show the losses in nats a token, and what perplexity they mean."""
    rows = [
        {
            "canvas": canvas,
            "causal": mixed["causal"],
            "perplexity": math.exp(mixed["causal"]),
            "causal, a character": mixed["causal"] / run.losses.characters,
            "denoising": mixed["denoising"],
            "from pure noise": first["denoising"],
            "its perplexity": math.exp(first["denoising"]),
        }
        for canvas, (mixed, first) in run.losses.by_canvas.items()
    ]
    return Section("losses", f"Nats a token of {', '.join(corpus.HELD_OUT)}", rows)


def sides_section(run: Run) -> Section:
    """Compare the two sides, the diffusion side's loss taken at the smallest canvas."""
    mixed, first = run.losses.by_canvas[CANVASES[0]]
    nats = {"causal": mixed["causal"], "diffusion": first["denoising"]}
    perplexity = {side: math.exp(value) for side, value in nats.items()}
    return quality.sides(run.editor, run.code, run.extent, perplexity, run.tell)


def human_eval_section(run: Run) -> Section:
    """Fill a sample of HumanEval's holes."""
    drawn = {
        kind: humaneval.sample(kind, run.size.cases, run.seed, indented=run.indented)
        for kind in humaneval.KINDS
    }
    cursor = "line's text" if run.indented else "line's start"
    others = [PrefixOnly(path) for path in run.yardsticks]
    return humaneval.run(run.editor, drawn, run.extent, cursor, run.tell, others)


SECTIONS: dict[str, Callable[[Run], Section]] = {
    "losses": losses_section,
    "holes": lambda run: quality.by_steps(run.editor, run.code, run.extent, run.tell),
    "prose": lambda run: quality.prose(
        run.editor, cases.prose(run.files, run.size.holes, run.seed), run.extent, run.tell
    ),
    "candidates": lambda run: quality.candidates(run.editor, run.code, run.extent, run.tell),
    "sides": sides_section,
    "humaneval": human_eval_section,
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", default="nano")
@click.option(
    "--packages",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder with the held-out packages; by default where Python finds them.",
)
@click.option("--cases", "holes", type=click.IntRange(1), help="Holes of each kind.")
@click.option("--human-eval", type=click.IntRange(1), help="HumanEval cases of each kind.")
@click.option("--batches", type=click.IntRange(1), help="Batches of windows for the losses.")
@click.option("--steps", type=click.IntRange(1, 1024), multiple=True, help="Again for another.")
@click.option("--seeds", type=click.IntRange(1), help="How often each hole is filled.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another draws other holes.")
@click.option(
    "--cursor",
    type=click.Choice(["text", "start"]),
    default="text",
    show_default=True,
    help="Where HumanEval's lines begin: behind the indentation, or before it as published.",
)
@click.option(
    "--yardstick",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="A causal checkpoint to fill HumanEval's holes too: a folder, or a .gguf file, which "
    "needs the package gguf.",
)
@click.option(
    "--project/--no-project",
    default=True,
    show_default=True,
    help="Whether the other files of a hole's package may be copied from, as in a workspace.",
)
@click.option("--quick", is_flag=True, help="Few holes in 4 steps, each once.")
@click.option("--only", type=click.Choice(list(SECTIONS)), multiple=True, help="This section.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Configuration of the completions (TOML), as the application reads it.",
)
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write all figures there.")
def evaluate(
    model: str,
    packages: Path | None,
    holes: int | None,
    human_eval: int | None,
    batches: int | None,
    steps: tuple[int, ...],
    seeds: int | None,
    seed: int,
    cursor: str,
    yardstick: tuple[Path, ...],
    project: bool,
    quick: bool,
    only: tuple[str, ...],
    config_file: Path | None,
    out: Path | None,
) -> None:
    """Fill holes that MODEL never saw, and count what is right: tables, and JSON with --json.

    MODEL is nano, a folder or a hub id.
    """
    base = QUICK if quick else FULL
    asked = {"holes": holes, "cases": human_eval, "batches": batches, "seeds": seeds}
    given = {name: value for name, value in asked.items() if value is not None}
    size = replace(base, steps=steps or base.steps, **given)
    config = options.load(config_file) if config_file else options.Config()
    screen = Console(stderr=True)
    with screen.status("starting") as status:
        run = Run(
            model=model,
            packages=packages,
            config=config,
            size=size,
            seed=seed,
            indented=cursor == "text",
            project=project,
            yardsticks=yardstick,
            tell=status.update,
        )
        chosen = [section for name, section in SECTIONS.items() if not only or name in only]
        facts = {"model": model, "size": asdict(size), "seed": seed}
        sections.measure([partial(one, run) for one in chosen], facts, width=180, out=out)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; what was asked wrongly and what cannot be loaded is one line."""
    try:
        evaluate.main(args=argv, prog_name="sampler.train.evaluate", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as exc:
        complaint = exc.format_message()
    except ModuleNotFoundError as exc:
        complaint = f"{exc}; run: python -m pip install '.[evaluate]'"
    except (loading.UnusableModel, UserError, OSError) as exc:
        complaint = str(exc)
    else:
        sys.exit(0)
    click.echo(f"evaluate: {' '.join(complaint.split())}", err=True)
    sys.exit(2)


def _start_again_with_short_spins() -> None:
    """Wait for other threads as the daemon's model does, which is settled before torch loads."""
    before = dict(os.environ)
    cli.spin_briefly()
    if os.environ != before:
        os.execv(sys.executable, [sys.executable, "-m", "sampler.train.evaluate", *sys.argv[1:]])


if __name__ == "__main__":
    _start_again_with_short_spins()
    main()
