"""Averages nanos trained apart from one start: `python -m sampler.train.average OUT MODEL...`.

Runs that share no memory, one on each core, so become one model, often better than each of them
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

    Raises ValueError where they have not all the same parameters.
    """
    states = [dict(model.named_parameters()) for model in models]
    shapes = [{(name, p.shape) for name, p in state.items()} for state in states]
    for other in shapes[1:]:
        if different := shapes[0] ^ other:
            raise ValueError(f"{min(different)[0]!r} has not the same shape in all models")
    with torch.no_grad():
        for name, parameter in states[0].items():
            parameter.copy_(torch.stack([state[name] for state in states]).mean(dim=0))
    return models[0]


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
    try:
        averaged = average(
            [DiffusionGemmaForBlockDiffusion.from_pretrained(folder).float() for folder in folders]
        )
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    export(averaged, PreTrainedTokenizerFast.from_pretrained(folders[0]), out)


if __name__ == "__main__":
    main()
