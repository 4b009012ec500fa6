"""What is read off logits, by plain torch and by the kernel, against float64.

The kernel runs interpreted, without a GPU. Triton decides that when it is first imported, and
transformers imports it, so the interpreter has a process of its own.
"""

import logging
import multiprocessing
import os
import platform
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sampler import epilogue
from sampler.epilogue import Reading, read, read_torch, read_triton

Read = Callable[..., Reading]

TRITON_EXISTS = (platform.system(), platform.machine()) == ("Linux", "x86_64")
needs_triton = pytest.mark.skipif(
    not TRITON_EXISTS, reason="the test extra has triton on Linux x86_64 only"
)

# How far float32 may move a place in the cumulated distribution.
NEAR = 1e-5


@dataclass(frozen=True)
class Logits:
    """A call's arguments, drawn from a seed."""

    rows: int
    vocab: int
    softcap: float | None = 30.0
    dtype: torch.dtype = torch.float32
    spread: float = 8.0
    forbid: float = 0.0

    def draw(self) -> tuple[Tensor, float | None, Tensor, Tensor, Tensor | None]:
        """Raw logits, soft cap, temperatures, uniforms, forbidden tokens."""
        generator = torch.Generator().manual_seed(7)
        shape = (self.rows, self.vocab)
        raw = (torch.randn(shape, generator=generator) * self.spread).to(self.dtype)
        temperature = 0.3 + 1.5 * torch.rand(self.rows, generator=generator)
        uniform = torch.rand(self.rows, generator=generator)
        forbidden = None
        if self.forbid:
            forbidden = torch.rand(shape, generator=generator) < self.forbid
            forbidden[:, self.vocab // 2] = False
        return raw, self.softcap, temperature, uniform, forbidden


CASES = {
    "a small vocabulary": Logits(9, 40),
    "one token": Logits(3, 1),
    "as many as a tile": Logits(4, 2048),
    "one more than a tile": Logits(4, 2049),
    "several tiles": Logits(4, 5000),
    "a prime number": Logits(4, 4099),
    "no soft cap": Logits(5, 1000, softcap=None),
    "bfloat16": Logits(5, 1000, dtype=torch.bfloat16),
    "float16": Logits(5, 1000, dtype=torch.float16),
    "nearly certain": Logits(9, 300, spread=60.0),
    "nearly flat": Logits(5, 3000, spread=0.01),
    "forbidden": Logits(9, 700, forbid=0.5),
    "almost all forbidden, no soft cap": Logits(9, 700, softcap=None, forbid=0.99),
}


@pytest.fixture(scope="module")
def interpreted() -> Iterator[Read]:
    """The kernel on this machine's CPU: `read_triton` in a process with Triton's interpreter."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("TRITON_INTERPRET", "1")
            environment.setenv("OMP_NUM_THREADS", "1")
            assert pool.submit(os.getpid).result() != os.getpid()

        def call(*args: object, **kwargs: object) -> Reading:
            return pool.submit(read_triton, *args, **kwargs).result()

        yield call


@pytest.fixture(params=["torch", pytest.param("triton", marks=needs_triton)])
def way(request: pytest.FixtureRequest) -> Read:
    """Each implementation in turn."""
    if request.param == "torch":
        return read_torch
    found: Read = request.getfixturevalue("interpreted")
    return found


def reading_of(way: Read, case: Logits) -> Reading:
    raw, softcap, temperature, uniform, forbidden = case.draw()
    return way(raw, softcap, temperature, uniform, out_dtype=torch.float32, forbidden=forbidden)


def distribution(
    raw: Tensor, softcap: float | None, temperature: Tensor, forbidden: Tensor | None
) -> Tensor:
    """The same in float64, as it is written in a book. -> [T, V]."""
    logits = raw.double()
    if softcap is not None:
        logits = torch.tanh(logits / softcap) * softcap
    if forbidden is not None:
        logits = logits.masked_fill(forbidden, -torch.inf)
    return torch.softmax(logits / temperature.double()[:, None], -1)


def inverse_cdf(p: Tensor, uniform: Tensor) -> Tensor:
    """The first token whose cumulated p is above uniform; p [T, V] and uniform [T] float64."""
    above = p.cumsum(-1) > uniform[:, None]
    return torch.where(above.any(-1), above.int().argmax(-1), p.shape[-1] - 1)


def assert_drawn(sampled: Tensor, p: Tensor, uniform: Tensor) -> None:
    """The drawn tokens are those of float64, but within `NEAR` of a step of the distribution."""
    assert bool((inverse_cdf(p, uniform.double() - NEAR) <= sampled).all())
    assert bool((sampled <= inverse_cdf(p, uniform.double() + NEAR)).all())


@pytest.mark.parametrize("name", CASES)
def test_a_reading_is_what_float64_says(way: Read, name: str) -> None:
    case = CASES[name]
    raw, softcap, temperature, uniform, forbidden = case.draw()
    reading = reading_of(way, case)
    p = distribution(raw, softcap, temperature, forbidden)
    torch.testing.assert_close(reading.probs.double(), p, atol=1e-7, rtol=1e-4)
    entropy = -torch.xlogy(p, p).sum(-1)
    torch.testing.assert_close(reading.entropy.double(), entropy, atol=2e-6, rtol=1e-5)
    assert torch.equal(reading.likely, p.argmax(-1))
    assert_drawn(reading.sampled, p, uniform)
    dtypes = (reading.sampled.dtype, reading.likely.dtype, reading.entropy.dtype)
    assert dtypes == (torch.int64, torch.int64, torch.float32)


@needs_triton
@pytest.mark.parametrize("name", CASES)
def test_both_implementations_read_the_same(interpreted: Read, name: str) -> None:
    case = CASES[name]
    raw, softcap, temperature, uniform, forbidden = case.draw()
    plain, kernel = reading_of(read_torch, case), reading_of(interpreted, case)
    cumulated = distribution(raw, softcap, temperature, forbidden).cumsum(-1)
    far = (cumulated - uniform[:, None]).abs().amin(-1) > NEAR
    assert torch.equal(plain.likely, kernel.likely)
    assert torch.equal(plain.sampled[far], kernel.sampled[far])
    torch.testing.assert_close(plain.entropy, kernel.entropy, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(plain.probs, kernel.probs, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("vocab", [7, 256, 5000])
@pytest.mark.parametrize("spread", [0.5, 8.0])
def test_uniforms_from_0_to_1_walk_through_the_distribution(
    way: Read, vocab: int, spread: float
) -> None:
    steps = 41
    one = Logits(1, vocab, spread=spread).draw()[0]
    raw, temperature = one.expand(steps, -1), torch.full((steps,), 0.8)
    uniform = torch.linspace(0, 1, steps, dtype=torch.float64)
    reading = way(raw, 30.0, temperature, uniform, out_dtype=torch.float32)
    assert_drawn(reading.sampled, distribution(raw, 30.0, temperature, None), uniform)
    assert bool((reading.sampled.diff() >= 0).all())
    assert bool((reading.probs.gather(-1, reading.sampled[:, None]) > 0).all())


def test_drawn_tokens_are_spread_as_the_distribution_says(way: Read) -> None:
    draws, vocab = 300, 6
    one = Logits(1, vocab, spread=1.0).draw()[0]
    raw, temperature = one.expand(draws, -1), torch.full((draws,), 0.7)
    uniform = torch.rand(draws, generator=torch.Generator().manual_seed(3))
    sampled = way(raw, 30.0, temperature, uniform, out_dtype=torch.float32).sampled
    expected = distribution(raw, 30.0, temperature, None)[0] * draws
    found = torch.bincount(sampled, minlength=vocab)
    chi_square = ((found - expected).square() / expected).sum()
    assert chi_square < 20.52  # 99.9 % of all samples lie below, with 5 degrees of freedom


@pytest.mark.parametrize(
    ("best", "first"),
    [
        ([4999, 2500, 130], 130),
        ([2047, 2048], 2047),
        ([3, 4], 3),
        ([255, 256], 255),
        ([0, 2048], 0),
    ],
)
def test_of_equally_likely_tokens_the_lowest_counts(way: Read, best: list[int], first: int) -> None:
    raw = torch.zeros(2, 5000)
    raw[0, best] = 17.25
    uniform, temperature = torch.zeros(2), torch.ones(2)
    reading = way(raw, 30.0, temperature, uniform, out_dtype=torch.float32)
    assert reading.likely.tolist() == [first, 0]


@pytest.mark.parametrize("softcap", [30.0, None])
@pytest.mark.parametrize("uniform", [0.0, 1e-12, 0.5, 1 - 2**-24, 1.0])
def test_a_forbidden_token_has_no_chance_at_all(
    way: Read, softcap: float | None, uniform: float
) -> None:
    allowed = torch.tensor([2100, 2101, 3000])
    raw = torch.full((1, 5000), 25.0)
    raw[0, allowed] = torch.tensor([-20.0, -19.0, -21.0])
    forbidden = torch.ones(1, 5000, dtype=torch.bool).index_fill_(1, allowed, False)
    reading = way(
        raw,
        softcap,
        torch.tensor([0.4]),
        torch.tensor([uniform], dtype=torch.float64),
        out_dtype=torch.float32,
        forbidden=forbidden,
    )
    assert reading.probs[forbidden].count_nonzero() == 0
    assert reading.likely.item() == 2101
    p = distribution(raw, softcap, torch.tensor([0.4]), forbidden)
    expected = 2100 if uniform < 0.5 else 2101 if uniform == 0.5 else 3000
    assert reading.sampled.item() == expected
    torch.testing.assert_close(
        reading.entropy.double(), -torch.xlogy(p, p).sum(-1), atol=2e-6, rtol=1e-5
    )


@pytest.mark.parametrize("softcap", [30.0, None])
@pytest.mark.parametrize("uniform", [0.0, 1.0])
def test_a_certain_token_is_drawn_whatever_the_uniform(
    way: Read, softcap: float | None, uniform: float
) -> None:
    raw = torch.full((1, 600), -400.0)
    raw[0, 300] = 400.0
    reading = way(
        raw, softcap, torch.tensor([0.3]), torch.tensor([uniform]), out_dtype=torch.float32
    )
    assert (reading.sampled.item(), reading.likely.item()) == (300, 300)
    assert reading.entropy.item() == 0
    assert reading.probs[0].nonzero().tolist() == [[300]]


@pytest.mark.parametrize("softcap", [30.0, None])
@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", [0, 2500, 2999])
def test_a_broken_logit_shows_in_its_row_alone(
    way: Read, softcap: float | None, broken: float, place: int
) -> None:
    raw, _, temperature, uniform, _ = Logits(3, 3000).draw()
    sound = way(raw, softcap, temperature, uniform, out_dtype=torch.float32)
    raw[1, place] = broken
    reading = way(raw, softcap, temperature, uniform, out_dtype=torch.float32)
    assert reading.entropy.isnan().tolist() == [False, True, False]
    for ids in (reading.sampled, reading.likely):
        assert 0 <= int(ids.min()) <= int(ids.max()) < 3000
    for row in (0, 2):
        assert torch.equal(reading.probs[row], sound.probs[row])
        assert reading.sampled[row] == sound.sampled[row]
        assert reading.likely[row] == sound.likely[row]


def test_each_row_has_a_temperature_of_its_own(way: Read) -> None:
    one = Logits(1, 500).draw()[0]
    temperatures = torch.tensor([0.4, 1.0, 3.0])
    together = way(one.expand(3, -1), 30.0, temperatures, torch.rand(3), out_dtype=torch.float32)
    assert bool((together.entropy.diff() > 0).all())
    p = distribution(one.expand(3, -1), 30.0, temperatures, None)
    torch.testing.assert_close(together.probs.double(), p, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_distribution_comes_in_the_dtype_that_was_asked_for(
    way: Read, dtype: torch.dtype
) -> None:
    raw, softcap, temperature, uniform, _ = Logits(4, 300).draw()
    probs = way(raw, softcap, temperature, uniform, out_dtype=dtype).probs
    assert probs.dtype == dtype
    p = distribution(raw, softcap, temperature, None)
    smallest, relative = torch.finfo(dtype).smallest_normal, torch.finfo(dtype).eps
    torch.testing.assert_close(
        probs.double(), p, atol=max(1e-7, smallest), rtol=max(1e-4, relative)
    )


def test_no_positions_give_an_empty_reading(way: Read) -> None:
    reading = way(
        torch.empty(0, 64), 30.0, torch.empty(0), torch.empty(0), out_dtype=torch.bfloat16
    )
    assert (reading.sampled.shape, reading.likely.shape, reading.entropy.shape) == ((0,),) * 3
    assert (reading.probs.shape, reading.probs.dtype) == ((0, 64), torch.bfloat16)
    assert (reading.sampled.dtype, reading.likely.dtype) == (torch.int64, torch.int64)


@pytest.mark.parametrize("softcap", [30.0, None])
def test_the_logits_stay_as_they_were_and_may_lie_anyhow(way: Read, softcap: float | None) -> None:
    raw, _, temperature, uniform, forbidden = Logits(6, 96, forbid=0.3).draw()
    assert forbidden is not None
    plain = way(raw, softcap, temperature, uniform, out_dtype=torch.float32, forbidden=forbidden)
    turned, before = raw.T.contiguous().T, raw.clone()
    turned_forbidden = forbidden.T.contiguous().T
    lying = way(
        turned, softcap, temperature, uniform, out_dtype=torch.float32, forbidden=turned_forbidden
    )
    assert torch.equal(raw, before)
    assert torch.equal(lying.probs, plain.probs)
    assert torch.equal(lying.sampled, plain.sampled)


def test_more_logits_than_are_read_at_once_read_as_row_by_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Logits(7, 300, forbid=0.2)
    at_once = reading_of(read_torch, case)
    monkeypatch.setattr(epilogue, "_AT_ONCE", 2 * 300)
    in_parts = reading_of(read_torch, case)
    assert torch.equal(at_once.sampled, in_parts.sampled)
    assert torch.equal(at_once.likely, in_parts.likely)
    torch.testing.assert_close(at_once.entropy, in_parts.entropy)
    torch.testing.assert_close(at_once.probs, in_parts.probs)


def test_logits_on_the_cpu_are_read_by_plain_torch() -> None:
    case = CASES["forbidden"]
    assert torch.equal(reading_of(read, case).probs, reading_of(read_torch, case).probs)


def test_where_the_kernel_cannot_run_the_log_says_so_and_plain_torch_reads(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Uninterpreted, no kernel runs on a CPU, whether triton is installed or not.
    epilogue._kernel_runs.cache_clear()
    with caplog.at_level(logging.WARNING):
        runs = [epilogue._kernel_runs(torch.device("cpu")) for _ in range(2)]
    assert runs == [False, False]
    assert [("triton" in r.message, "plain torch" in r.message) for r in caplog.records] == [
        (True, True)
    ]


@needs_triton
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
def test_the_kernel_compiles_for_a_gpu(
    dtype: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from sampler.epilogue_kernel import BLOCK, WARPS, read_row

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    source = ASTSource(
        fn=read_row,
        signature={
            "raw": f"*{dtype}",
            "struck": "*u8",
            "temperature": "*fp32",
            "uniform": "*fp64",
            "sampled": "*i64",
            "likely": "*i64",
            "entropy": "*fp32",
            "probs": f"*{dtype}",
            "vocab": "i32",
            "cap": "fp32",
            "forbidden": "fp32",
            "HAS_CAP": "constexpr",
            "HAS_FORBIDDEN": "constexpr",
            "BLOCK": "constexpr",
        },
        constexprs={"HAS_CAP": True, "HAS_FORBIDDEN": True, "BLOCK": BLOCK},
    )
    compiled = triton.compile(
        source, target=GPUTarget("cuda", 90, 32), options={"num_warps": WARPS}
    )
    assert ".target sm_90" in compiled.asm["ptx"]
    assert len(compiled.asm["cubin"]) > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", CASES)
def test_a_gpu_reads_what_float64_says(name: str) -> None:
    raw, softcap, temperature, uniform, forbidden = CASES[name].draw()
    there = [None if x is None else x.cuda() for x in (raw, temperature, uniform, forbidden)]
    assert epilogue._kernel_runs(torch.device("cuda", torch.cuda.current_device()))
    reading = read(
        there[0], softcap, there[1], there[2], out_dtype=torch.float32, forbidden=there[3]
    )
    p = distribution(raw, softcap, temperature, forbidden)
    torch.testing.assert_close(reading.probs.cpu().double(), p, atol=1e-7, rtol=1e-4)
    entropy = -torch.xlogy(p, p).sum(-1)
    torch.testing.assert_close(reading.entropy.cpu().double(), entropy, atol=2e-6, rtol=1e-5)
    assert torch.equal(reading.likely.cpu(), p.argmax(-1))
    assert_drawn(reading.sampled.cpu(), p, uniform)
