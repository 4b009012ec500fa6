"""Losses on the packages that nano never saw: `python -m sampler.train.evaluate [MODEL]`.

They tell how the training went; what completions are worth, `dgemma bench holes` counts.
"""

from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DiffusionGemmaForBlockDiffusion, PreTrainedTokenizerFast

from sampler.load import NANO
from sampler.train import corpus, objective, stream
from sampler.train.forward import TrainingForward

SEED = 1234


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
    copies = {n: p.detach().to(torch.bfloat16) for n, p in forward.params.items()}
    sums = np.zeros(2)
    with torch.no_grad():
        for _ in range(batches):
            batch = objective.draw_batch(
                rng, held_out, breaks, vocab_size, windows=8, length=length, canvas=canvas
            )
            if pure:
                noise = rng.integers(0, vocab_size, batch.noisy.shape)
                free = batch.weight > 0
                batch = replace(batch, noisy=np.where(free, noise, batch.target))
            both = forward.losses(copies, batch, self_condition=not pure, temperature=0.7)
            sums += [x.item() for x in both]
    causal, denoising = (sums / batches).round(4).tolist()
    return {"causal": causal, "denoising": denoising}


@click.command()
@click.argument("model", type=click.Path(path_type=Path, exists=True), default=NANO)
@click.option("--batches", type=click.IntRange(1), default=40, show_default=True)
def main(model: Path, batches: int) -> None:
    """Print the losses of the model in folder MODEL, by default the built-in one."""
    tok = PreTrainedTokenizerFast.from_pretrained(model)
    loaded = DiffusionGemmaForBlockDiffusion.from_pretrained(model, dtype=torch.float32)
    length = 512
    forward = TrainingForward(loaded, 2 * length)
    held_out = stream.tokenize(tok, corpus.held_out_documents(None))
    breaks = stream.line_breaks(tok)
    click.echo(f"{len(held_out)} tokens of {', '.join(corpus.HELD_OUT)}; nats per token")
    for canvas in (32, 64):
        mixed = losses(forward, held_out, breaks, batches=batches, length=length, canvas=canvas)
        first = losses(
            forward, held_out, breaks, batches=batches, length=length, canvas=canvas, pure=True
        )
        click.echo(
            f"canvas {canvas:3}: causal {mixed['causal']:.3f}, denoising {mixed['denoising']:.3f}, "
            f"from pure noise {first['denoising']:.3f}"
        )


if __name__ == "__main__":
    main()
