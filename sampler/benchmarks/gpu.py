"""A released size with random weights: a step of ours, of transformers' compiled one, the floor.

Times only: what a random model says means nothing. One run of it is left alone for ten minutes, so
what fails or does not come to its turn is told and does not end it.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median
from typing import Any

import torch
import torch._dynamo

from sampler import denoise, full_size
from sampler.benchmarks import floor
from sampler.benchmarks import rig as rigs
from sampler.benchmarks.report import Goal, Row, Section, figure
from sampler.benchmarks.rig import Told
from sampler.benchmarks.scale import Scale
from sampler.benchmarks.timing import Work, in_turn, per_step
from sampler.cache import PrefixCache
from sampler.canvas import Noise
from sampler.engine import Engine, Request
from sampler.forward import Forward, Span
from sampler.params import SamplingParams

FEW, MANY = 4, 20
OURS, COMPILED, THEIRS = "ours", "ours, compiled", "transformers, compiled"
TITLE = "A denoising step of the size {} with random weights"

# Of the accelerators that are common: bytes and bfloat16 operations a second, as published.
PUBLISHED = {
    "H100 80GB HBM3": (3.35e12, 989e12),
    "H100 PCIe": (2.0e12, 756e12),
    "H200": (4.8e12, 989e12),
    "A100-SXM4-80GB": (2.04e12, 312e12),
}

# Small enough for a CPU: the whole run can be seen to work without an accelerator.
TINY: dict[str, Any] = {
    "canvas_length": 8,
    "boi_token_id": 5,
    "eoi_token_id": 6,
    "image_token_id": 7,
    "text_config": {
        "vocab_size": 1024,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "global_head_dim": 16,
        "num_global_key_value_heads": 1,
        "sliding_window": 16,
        "num_experts": 32,
        "top_k_experts": 4,
        "moe_intermediate_size": 16,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "vision_config": {
        "model_type": "gemma4_vision",
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "global_head_dim": 16,
        "patch_size": 4,
        "position_embedding_size": 16,
    },
}

# Ids that are nobody's special tokens in any shape.
FIRST_ID, LAST_ID = 8, 1000
# The texts of one size are few and are all to stay.
UNBOUNDED = 2**60


@dataclass(frozen=True)
class Cell:
    """What is timed: `rows` texts with a canvas of `canvas` tokens each, by one routing."""

    canvas: int
    rows: int
    routing: full_size.Routing


@dataclass(frozen=True)
class Roof:
    """What a machine can do at most: bytes and operations a second, and where that is from."""

    bandwidth: float
    peak: float
    source: str


def run(shape: str, scale: Scale, tell: Told) -> Section:
    """Time every canvas and number of rows; a CPU times the shape "tiny" only.

    Raises UnusableModel for an unknown shape and for one that does not fit.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    title = TITLE.format(shape)
    if device.type == "cpu" and shape != "tiny":
        return Section("full-size", title, [], notes=["not measured: it needs a GPU"])
    tell(f"building {shape}")
    trial = Trial(build(shape, device), scale, tell, device)
    trial.time_ours(OURS, lambda function: function)
    trial.time_ours(COMPILED, partial(torch.compile, dynamic=True))
    trial.time_theirs()
    return section(title, trial, roof(device))


class Trial:
    """A model with both routings, and what was measured of it so far."""

    def __init__(self, model: Any, scale: Scale, tell: Told, device: torch.device) -> None:
        self.model, self.scale, self.tell, self.device = model, scale, tell, device
        self.ms: dict[tuple[str, Cell], float] = {}
        self.visited: dict[Cell, float] = {}
        self.notes: list[str] = []
        self._until = time.monotonic() + scale.limit_s
        self._prompts = torch.randint(
            FIRST_ID,
            LAST_ID,
            (max(scale.batches), scale.context),
            generator=torch.Generator().manual_seed(0),
        )
        self._router = [layer.router.proj.weight for layer in model.model.decoder.layers]
        as_is = [weight.detach().clone() for weight in self._router]
        with torch.no_grad():
            full_size.bias_routers(model)
        biased = [weight.detach().clone() for weight in self._router]
        self.routings: dict[full_size.Routing, list[torch.Tensor]] = {
            "as-is": as_is,
            "biased": biased,
        }

    def time_ours(self, name: str, compile_: Callable[[Any], Any]) -> None:
        """Time our engine over the model's forward pass, its functions compiled by `compile_`."""
        forward = Forward(self.model, compile_)
        for canvas, rows in sizes(self.scale):
            cache = PrefixCache(forward.new_kv, UNBOUNDED)
            engine = Engine(forward, cache, rows=rows, queue=rows)
            few, many = (partial(self._ours, engine, forward, canvas, rows, n) for n in (FEW, MANY))
            self._attempt(name, canvas, rows, few, many)

    def time_theirs(self) -> None:
        """Time transformers' compiled `generate`, each size with a model object of its own.

        What an object compiled for one size it goes on using for the next.
        """
        for canvas, rows in sizes(self.scale):
            torch._dynamo.reset()
            fresh = own_object(self.model)
            few, many = (partial(self._theirs, fresh, canvas, rows, n) for n in (FEW, MANY))
            self._attempt(THEIRS, canvas, rows, few, many)

    def count_experts(self) -> None:
        """Count the experts that canvases of noise visit in a layer, on average."""
        forward = Forward(self.model)
        for canvas, rows in sizes(self.scale):
            ids = torch.randint(FIRST_ID, LAST_ID, (rows * canvas,)).to(self.device)
            for routing in self.routings:
                self._route(routing)
                counts = _visited(self.model, forward, [canvas] * rows, ids)
                self.visited[Cell(canvas, rows, routing)] = fmean(counts)

    def _attempt(self, name: str, canvas: int, rows: int, few: Work, many: Work) -> None:
        """Time a size with both routings, if there is time left; what fails is noted."""
        size = f"{name}, canvas {canvas}, {rows} rows"
        if time.monotonic() > self._until:
            self.notes.append(f"{size}: not begun within {self.scale.limit_s:.0f} s")
            return
        self.tell(size)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            for routing in self.routings:
                self._route(routing)
                times = in_turn({"few": few, "many": many}, self.scale.big_repeats, self.device)
                steps = per_step(times["few"], times["many"], MANY - FEW)
                self.ms[name, Cell(canvas, rows, routing)] = median(steps)
        except RuntimeError as exc:  # out of memory, or what a compiler does not take
            self.notes.append(f"{size}: {type(exc).__name__}: {str(exc).splitlines()[0]}")

    def _route(self, routing: full_size.Routing) -> None:
        with torch.no_grad():
            for weight, chosen in zip(self._router, self.routings[routing], strict=True):
                weight.copy_(chosen)

    def _ours(self, engine: Engine, forward: Forward, canvas: int, rows: int, steps: int) -> None:
        params = rigs.fixed(SamplingParams(), canvas=canvas, steps=steps)
        for row in range(rows):
            noise = Noise([row], forward.vocab_size, self.device)
            loop = denoise.generate(self._prompts[row].tolist(), params, noise)
            engine.submit(str(row), Request(loop, rows=1, tokens=canvas))
        rigs.finish(engine)

    def _theirs(self, model: Any, canvas: int, rows: int, steps: int) -> None:
        params = rigs.fixed(SamplingParams(), canvas=canvas, steps=steps)
        rigs.generate(model, self._prompts[:rows].to(self.device), params, cache="static")


def own_object(model: Any) -> Any:
    """Return another object of the same weights, which keeps to itself what it is given."""
    fresh = copy.copy(model)
    fresh._modules = dict(model._modules)
    return fresh


def sizes(scale: Scale) -> list[tuple[int, int]]:
    """Return every canvas and number of rows, the ends of the range first: time may run out."""
    ends = {min(scale.canvases), max(scale.canvases)}
    both = [(canvas, rows) for canvas in scale.canvases for rows in scale.batches]
    return sorted(both, key=lambda size: (size[0] not in ends, size[1], -size[0]))


def section(title: str, trial: Trial, roof: Roof) -> Section:
    """Return the table of what was measured, beside the least that such a step can take."""
    trial.count_experts()
    work = floor.work_of(trial.model)
    width = trial.model.dtype.itemsize
    rows = [_row(trial, cell, work, width, roof) for cell in trial.visited]
    return Section(
        "full-size",
        title,
        rows,
        _goals(rows),
        [
            "Milliseconds for a step. eager, compiled: ours; theirs: transformers' `generate`, "
            "compiled, with a static cache; ratio: the faster of ours to theirs.",
            f"{trial.scale.context} tokens before the canvas, {trial.model.dtype}; what {MANY} "
            f"steps take more than {FEW}, middle one of {trial.scale.big_repeats}.",
            f"Least: {roof.source}; {figure(roof.bandwidth / 1e9)} GB/s, "
            f"{figure(roof.peak / 1e9)} GFLOP/s. Weights, visited experts and the text's keys and "
            "values are read once.",
            *trial.notes,
        ],
    )


def _row(trial: Trial, cell: Cell, work: floor.Work, width: int, roof: Roof) -> Row:
    size = {"rows": cell.rows, "context": trial.scale.context}
    read = floor.step_bytes(work, visited=trial.visited[cell], width=width, **size)
    computed = floor.step_flops(work, canvas=cell.canvas, **size)
    least, bound = floor.floor_ms(read, computed, bandwidth=roof.bandwidth, peak=roof.peak)
    ours = [ms for name in (OURS, COMPILED) if (ms := trial.ms.get((name, cell))) is not None]
    theirs = trial.ms.get((THEIRS, cell))
    best = min(ours) if ours else None
    return {
        "routing": cell.routing,
        "canvas": cell.canvas,
        "rows": cell.rows,
        "experts": trial.visited[cell],
        "eager": trial.ms.get((OURS, cell)),
        "compiled": trial.ms.get((COMPILED, cell)),
        "theirs": theirs,
        "ratio": best / theirs if best and theirs else None,
        "least": least,
        "bound": bound,
        "of floor, %": 100 * least / best if best else None,
    }


def _goals(rows: list[Row]) -> list[Goal]:
    def known(column: str) -> list[float]:
        return [value for row in rows if isinstance(value := row[column], float)]

    goals = []
    if ratios := known("ratio"):
        goals.append(Goal("step, times transformers', worst", max(ratios), 0.6, at_most=True))
    if shares := known("of floor, %"):
        goals.append(Goal("percent of the speed of the floor, worst", min(shares), 60.0))
    return goals


def roof(device: torch.device) -> Roof:
    """Return what is published of the accelerator, or else what is measured of the machine."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    for known, (bandwidth, peak) in PUBLISHED.items():
        if known in name:
            return Roof(bandwidth, peak, f"as published of the {known}")
    return _measured_roof(device)


def _measured_roof(device: torch.device) -> Roof:
    on_gpu = device.type == "cuda"
    source = torch.ones(2**28 if on_gpu else 2**24, device=device)
    target = torch.empty_like(source)
    dtype, side = (torch.bfloat16, 8192) if on_gpu else (torch.float32, 1024)
    square = torch.ones(side, side, device=device, dtype=dtype)
    works: dict[str, Work] = {
        "copy": lambda: target.copy_(source),
        "product": lambda: square @ square,
    }
    times = in_turn(works, 5, device)
    copied = 2 * source.numel() * source.itemsize
    return Roof(
        copied / min(times["copy"]) * 1e3,
        2 * side**3 / min(times["product"]) * 1e3,
        "measured here by a copy and a product",
    )


def build(shape: str, device: torch.device) -> Any:
    """Return a model of one of full_size.SHAPES, or of "tiny"; raises UnusableModel."""
    if shape != "tiny":
        return full_size.build(shape, device=str(device))
    from transformers import DiffusionGemmaConfig

    config = DiffusionGemmaConfig(**copy.deepcopy(TINY))
    return full_size.random_model(config, device=str(device), dtype=torch.float32, routing="as-is")


def _visited(model: Any, forward: Forward, widths: list[int], ids: torch.Tensor) -> list[int]:
    """Return how many experts canvases ids [T] of `widths` visit in each layer."""
    counts: list[int] = []
    hooks = [
        layer.router.register_forward_hook(
            lambda *given: counts.append(given[2][2].unique().numel())
        )
        for layer in model.model.decoder.layers
    ]
    try:
        forward.decode([Span(forward.new_kv(), tuple(widths))], ids, None)
    finally:
        for hook in hooks:
            hook.remove()
    return counts
