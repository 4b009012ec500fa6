"""Trains nano: `python -m sampler.train.train --work DIR`. Resumable; the model ends in DIR/model.

The corpus, the tokenizer, checkpoints and the log lie in DIR, outside of the repository. Run again
with the same DIR, it goes on from the last checkpoint; with a smaller `--tokens` than before it
goes into the final decay at once. The learning rate is constant, then falls linearly to nothing in
the last part of the tokens (`--decay`), so that the end can be moved while the training runs.
"""

import hashlib
import json
import random
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import click
import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import (
    DiffusionGemmaConfig,
    DiffusionGemmaForBlockDiffusion,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from sampler.train import (
    checkpoint,
    corpus,
    evaluate,
    humaneval,
    objective,
    own_steps,
    shape,
    stream,
    tokenizer,
)
from sampler.train.forward import TrainingForward
from sampler.train.prose import Prose
from sampler.train.prose import read as read_prose

CANVAS_SIZES, CANVAS_SHARES = (16, 32, 64, 128), (0.1, 0.45, 0.35, 0.1)
WARM_UP_STEPS = 100
CHECKPOINT_SECONDS = 400
PROGRAM_CHARACTERS = 12_000_000
# The default of requests: a hole of a few lines and a third of the canvas for the suffix.
CANVAS = 32


class Data:
    """Token streams with what is known of them, made once and kept in the working folder."""

    def __init__(
        self,
        work: Path,
        vocab_size: int,
        packages: Path | None,
        functions: float,
        programs: float,
        seed: int,
    ) -> None:
        folder = work / "tokenizer"
        if not (work / "train.npy").exists():
            _prepare(work, folder, vocab_size, packages)
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        self.train = np.load(work / "train.npy")
        if functions:
            if not (work / "functions.npy").exists():
                _prepare_functions(work, self.tokenizer, packages)
            self.train = stream.mixed(self.train, np.load(work / "functions.npy"), functions)
        if programs:
            if not (work / "programs.npy").exists():
                _prepare_programs(work, self.tokenizer, seed)
            self.train = stream.mixed(self.train, np.load(work / "programs.npy"), programs)
        self.held_out = np.load(work / "held_out.npy")
        self.breaks = stream.line_breaks(self.tokenizer)
        if not (work / "prose.npz").exists():
            _prepare_prose(work, self.tokenizer, packages)
        with np.load(work / "prose.npz") as kept:
            self.prose = Prose(**kept)


def _prepare(work: Path, folder: Path, vocab_size: int, packages: Path | None) -> None:
    documents = corpus.shuffle(corpus.training_documents(packages), seed=0)
    if not folder.exists():  # that of the model that is trained further stays
        tok = tokenizer.train_tokenizer((d.text for d in documents[::2]), vocab_size)
        tokenizer.save(tok, folder)
    tok = PreTrainedTokenizerFast.from_pretrained(folder)
    digest = hashlib.sha256("\0".join(sorted(d.text for d in documents)).encode()).hexdigest()
    facts = {"documents": len(documents), "characters": sum(len(d.text) for d in documents)}
    (work / "corpus.json").write_text(json.dumps({"sha256": digest, **facts}))
    np.save(work / "held_out.npy", stream.tokenize(tok, corpus.held_out_documents(packages)))
    _save_shaken(work / "train.npy", tok, documents)


def _prepare_functions(work: Path, tok: PreTrainedTokenizerFast, packages: Path | None) -> None:
    found = list(corpus.function_documents(packages))
    random.Random(0).shuffle(found)
    _save_shaken(work / "functions.npy", tok, found)


def _prepare_programs(work: Path, tok: PreTrainedTokenizerFast, seed: int) -> None:
    try:  # what nano is tested on is left out, so it must be known
        tests = [case.hole.text for case in humaneval.cases(humaneval.SINGLE, indented=True)]
    except ModuleNotFoundError as error:
        message = f"{error}; run: python -m pip install '.[evaluate]'"
        raise click.ClickException(message) from error
    made = corpus.program_documents(PROGRAM_CHARACTERS, set(tests), seed)
    _save_shaken(work / "programs.npy", tok, made)


def _save_shaken(
    file: Path, tok: PreTrainedTokenizerFast, documents: Iterable[corpus.Document]
) -> None:
    """Keep documents to learn from as one stream, some with BPE dropout."""
    np.save(file, stream.tokenize(tok, documents, dropout_share=stream.DROPOUT_SHARE))


def _prepare_prose(work: Path, tok: PreTrainedTokenizerFast, packages: Path | None) -> None:
    documents = corpus.shuffle(corpus.training_documents(packages), seed=0)
    np.savez(work / "prose.npz", **vars(read_prose(tok, documents, np.random.default_rng(0))))


class Optimizers:
    """Muon on the matrices of the layers, AdamW on embeddings, norms and scales."""

    def __init__(self, params: dict[str, torch.nn.Parameter], rate: float) -> None:
        matrices = [p for n, p in params.items() if p.dim() == 2 and "embed" not in n]
        others = [p for n, p in params.items() if p.dim() != 2 or "embed" in n]
        self.all = [
            torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(
                others, lr=0.6 * rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True
            ),
        ]
        self.rates = [group["lr"] for o in self.all for group in o.param_groups]
        self.params = list(params.values())

    def step(self, share: float) -> None:
        """Clip the gradients and take one step at `share` of the peak rate."""
        torch.nn.utils.clip_grad_norm_([p for p in self.params if p.grad is not None], 1.0)
        groups = [group for o in self.all for group in o.param_groups]
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate * share
        for optimizer in self.all:
            optimizer.step()


def rate_share(step: int, seen: float, total: float, decay: float) -> float:
    """Return the share of the peak learning rate: warm-up, constant, linear decay to 0.

    The decay takes the last share `decay` of the tokens.
    """
    left = max(0.0, total - seen) / (decay * total)
    return min(1.0, (step + 1) / WARM_UP_STEPS, left)


def export(
    model: DiffusionGemmaForBlockDiffusion, tok: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write the model in bf16 as a folder that `from_pretrained` loads."""
    rounded = DiffusionGemmaForBlockDiffusion(model.config).to(torch.bfloat16)
    rounded.load_state_dict({name: value.cpu() for name, value in model.state_dict().items()})
    rounded.generation_config = shape.generation_config()
    rounded.save_pretrained(str(folder))
    tokenizer.save(tok, folder)


@click.command()
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Working folder.")
@click.option("--tokens", type=float, default=12e6, show_default=True, help="Clean tokens to see.")
@click.option("--vocab", type=int, default=4096, show_default=True)
@click.option("--hidden", type=int, default=256, show_default=True)
@click.option("--layers", type=int, default=4, show_default=True)
@click.option("--heads", type=int, default=4, show_default=True)
@click.option(
    "--start",
    type=click.Path(path_type=Path, exists=True),
    help="A model folder to go on from, of the same shape or with less feed forward.",
)
@click.option(
    "--packages",
    type=click.Path(path_type=Path, exists=True),
    help="Where `python -m sampler.train.corpus` put the packages.",
)
@click.option("--windows", type=int, default=8, show_default=True, help="Windows per step.")
@click.option("--length", type=int, default=1024, show_default=True, help="Tokens per window.")
@click.option("--rate", type=float, default=5e-3, show_default=True, help="Peak learning rate.")
@click.option(
    "--decay",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.35,
    show_default=True,
    help="The share of the tokens in which the rate falls.",
)
@click.option(
    "--minutes", type=float, default=1e9, help="Stop after this long; run again to go on."
)
@click.option(
    "--recipe",
    type=click.Choice(list(objective.RECIPES)),
    default="weighted",
    show_default=True,
    help="How canvases are noised and weighed.",
)
@click.option(
    "--prose",
    type=click.FloatRange(0, 1),
    default=0.15,
    show_default=True,
    help="The share of windows that are English.",
)
@click.option(
    "--functions",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="The share of the other windows that are short functions that stand alone.",
)
@click.option(
    "--programs",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="The share of all these that are made-up programs.",
)
@click.option(
    "--device", default="auto", show_default=True, help="cuda, cpu or another that torch knows."
)
@click.option("--seed", type=int, default=0, show_default=True)
def main(work: Path, tokens: float, vocab: int, hidden: int, layers: int, heads: int,
         start: Path | None, packages: Path | None, windows: int, length: int, rate: float,
         decay: float, minutes: float, recipe: str, prose: float, functions: float,
         programs: float, device: str, seed: int) -> None:  # fmt: skip
    """Train a nano model, or go on training it."""
    work.mkdir(parents=True, exist_ok=True)
    transformers_logging.disable_progress_bar()
    torch._dynamo.config.recompile_limit = 64
    if start is not None and not (work / "tokenizer").exists():
        tokenizer.save(PreTrainedTokenizerFast.from_pretrained(start), work / "tokenizer")
    data = Data(work, vocab, packages, functions, programs, seed)
    vocab = len(data.tokenizer)  # a small corpus may not hold as many pieces as asked
    config: DiffusionGemmaConfig = shape.build_config(
        vocab_size=vocab,
        hidden=hidden,
        layers=layers,
        heads=heads,
        window=128,
        canvas=CANVAS,
        positions=length + max(CANVAS_SIZES),
    )
    if start is None:
        model = shape.build_model(config, seed)
    else:
        small = DiffusionGemmaForBlockDiffusion.from_pretrained(start, dtype=torch.float32)
        model = shape.grow(small, config, seed)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(torch.device(device))
    forward = TrainingForward(model, 2 * length)
    optimizers = Optimizers(forward.params, rate)
    step, seen = 0, 0
    state = checkpoint.load(work / "checkpoint", torch.device(device))
    if state is not None:
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers.all, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        step, seen = state["step"], state["seen"]
    columns = (
        TextColumn("{task.completed:.2e}/{task.total:.2e} tokens"), BarColumn(),
        TextColumn("{task.fields[state]}"), TimeRemainingColumn(),
    )  # fmt: skip
    deadline, saved_at = time.monotonic() + 60 * minutes, time.monotonic()
    means = np.zeros(2)
    stop: list[int] = []  # a signal asks for a last checkpoint, not for an end in mid-step
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: stop.append(received))
    with Progress(*columns) as progress, (work / "log.jsonl").open("a") as log:
        bar = progress.add_task("train", total=tokens, completed=seen, state="")
        running = seen < tokens
        while running:
            began = time.monotonic()
            rng = np.random.default_rng([seed, step])
            batch = objective.draw_batch(
                rng, data.train, data.breaks, vocab, windows=windows, length=length,
                canvas=int(rng.choice(CANVAS_SIZES, p=CANVAS_SHARES)),
                recipe=objective.RECIPES[recipe], prose=data.prose, prose_share=prose,
            )  # fmt: skip
            copies = forward.cast(forward.fast_dtype)
            conditioned, temperature = bool(rng.random() < 0.5), float(rng.uniform(0.4, 1.0))
            mixture = objective.RECIPES[recipe]
            walks = conditioned and mixture.walked
            own = own_steps.draw(rng, mixture.kept) if walks else None
            losses = forward.losses(copies, batch, conditioned, temperature, own)
            torch.autograd.backward(list(losses))
            forward.collect(copies)
            optimizers.step(rate_share(step, seen, tokens, decay))
            step, seen = step + 1, seen + windows * length
            running = seen < tokens and time.monotonic() < deadline and not stop
            values = np.array([x.item() for x in losses])
            means = values if step == 1 or not means.any() else 0.98 * means + 0.02 * values
            speed = windows * length / (time.monotonic() - began)
            progress.update(bar, completed=seen, state=f"causal {means[0]:.3f} denoising "
                            f"{means[1]:.3f} {speed:.0f} tok/s")  # fmt: skip
            line = {"step": step, "seen": seen, "causal": values[0], "denoising": values[1]}
            if time.monotonic() - saved_at > CHECKPOINT_SECONDS or not running:
                saved_at = time.monotonic()
                checkpoint.save(work / "checkpoint", {
                    "model": model.state_dict(), "step": step, "seen": seen,
                    "optimizers": [o.state_dict() for o in optimizers.all],
                })  # fmt: skip
                found = evaluate.losses(
                    forward, data.held_out, data.breaks, batches=8, length=length
                )
                line |= {f"held_out_{name}": value for name, value in found.items()}
                export(model, data.tokenizer, work / "model")
            print(json.dumps(line | {"tok/s": round(speed)}), file=log, flush=True)


if __name__ == "__main__":
    main()
