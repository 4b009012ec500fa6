"""Compiled where that works, plain elsewhere."""

import pytest
import torch
from tiny_model import tiny_model

from sampler import compiled
from sampler.forward import Forward, Span


@pytest.fixture(scope="module")
def model():
    return tiny_model(experts=1)


def hidden(forward):
    ids = torch.arange(10)
    return forward.encode([Span(forward.new_kv(), (10,))], ids)


def test_a_cpu_gets_the_plain_forward_pass(model, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled on a CPU"))
    assert isinstance(compiled.forward(model), Forward)


def test_what_compiles_is_used_and_gives_the_same(model, monkeypatch):
    calls = []

    def traced(function, dynamic):
        assert dynamic
        return lambda *arguments: calls.append(function) or function(*arguments)

    plain = Forward(model)
    monkeypatch.setattr(torch, "compile", traced)
    fast = compiled.tried(model, plain)
    assert fast is not plain
    assert torch.equal(hidden(fast), hidden(plain))
    assert len(calls) >= 2


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (RuntimeError("no compiler found"), "no compiler found"),
        (None, "gives no numbers"),
    ],
)
def test_what_does_not_compile_is_told_and_the_plain_one_goes_on(
    model, monkeypatch, caplog, broken, told
):
    def compile_(function, dynamic):
        def run(layer, x, *rest):
            if broken:
                raise broken
            return function(layer, x * torch.nan, *rest)

        return run

    plain = Forward(model)
    monkeypatch.setattr(torch, "compile", compile_)
    assert compiled.tried(model, plain) is plain
    assert told in caplog.text
    assert bool(hidden(plain).isfinite().all())
