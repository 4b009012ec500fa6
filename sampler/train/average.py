"""Averages nanos trained apart from one start: `python -m sampler.train.average OUT MODEL...`.

Runs that share no memory, one on each core, so become one model, which is better than each of them
(model soups, arXiv 2203.05482; local SGD with a late average, arXiv 1808.07217). No training here.
"""

from collections.abc import Sequence
from pathlib import Path

import click
import torch
from transformers import DiffusionGemmaForBlockDiffusion, PreTrainedTokenizerFast

from sampler.train.train import export


def average(
    models: Sequence[DiffusionGemmaForBlockDiffusion],
) -> DiffusionGemmaForBlockDiffusion:
    """Return the first model, every parameter now the mean of all models'.

    Raises ValueError where one has not the parameters of the first.
    """
    first, *others = models
    states = [dict(other.named_parameters()) for other in others]
    for state in states:
        different = {
            n
            for n, p in first.named_parameters()
            if getattr(state.get(n), "shape", None) != p.shape
        }
        if different:
            raise ValueError(f"{min(different)!r} has not the same shape in all models")
    with torch.no_grad():
        for name, parameter in first.named_parameters():
            parameter.copy_(torch.stack([parameter, *(s[name] for s in states)]).mean(dim=0))
    return first


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.argument(
    "folders",
    metavar="MODEL...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True),
)
def main(out: Path, folders: tuple[Path, ...]) -> None:
    """Write into OUT the average of the models in folders, with the tokenizer of the first."""
    models = [DiffusionGemmaForBlockDiffusion.from_pretrained(folder).float() for folder in folders]
    try:
        averaged = average(models)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    export(averaged, PreTrainedTokenizerFast.from_pretrained(folders[0]), out)


if __name__ == "__main__":
    main()
