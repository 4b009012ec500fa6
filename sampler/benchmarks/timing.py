"""Milliseconds of work that is repeated in turn, so that what disturbs one disturbs the other."""

import time
from collections.abc import Callable, Mapping

import torch

Work = Callable[[], object]
Times = dict[str, list[float]]


def timed(work: Work, device: torch.device) -> float:
    """Return how many milliseconds `work` takes, until the device has done it all."""
    _wait(device)
    began = time.perf_counter()
    work()
    _wait(device)
    return (time.perf_counter() - began) * 1e3


def in_turn(works: Mapping[str, Work], repeats: int, device: torch.device) -> Times:
    """Return the milliseconds of each of `works`: A B A B ..., after one of each uncounted."""
    for work in works.values():
        work()
    times: Times = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(timed(work, device))
    return times


def per_step(few: list[float], many: list[float], steps: int) -> list[float]:
    """Return what each of `steps` more steps took, repeat by repeat: what comes once falls out."""
    return [(long - short) / steps for short, long in zip(few, many, strict=True)]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
