"""How much of everything the benchmark does: all of it, or the quick run. Numbers only."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How often and how long each section measures.

    `prefixes`, `context` and `useful` are in tokens, `pause_s` and `limit_s` in seconds. `keys` are
    strokes of one text at a time, of which `shipped` are asked again as an editor asks and
    `references` of transformers; `editors` ask `asks` times each; `holes` of each number of lines
    are filled; `texts` are watched for retractions; `canvases` x `batches` is what the full size is
    timed with, `big_repeats` times; nothing new of it begins after `limit_s`.
    """

    repeats: int = 7
    prefixes: tuple[int, ...] = (256, 1024, 4096)
    context: int = 4096
    keys: int = 600
    shipped: int = 300
    references: int = 20
    useful: tuple[int, ...] = (8, 16, 32, 64, 128, 256)
    editors: int = 8
    asks: int = 40
    pause_s: float = 0.4
    holes: int = 100
    seeds: int = 3
    texts: int = 200
    canvases: tuple[int, ...] = (32, 64, 128, 256)
    batches: tuple[int, ...] = (1, 8)
    big_repeats: int = 3
    limit_s: float = 420.0


FULL = Scale()
QUICK = Scale(repeats=3, keys=200, shipped=20, references=5, asks=8, holes=20, seeds=1, texts=40)
