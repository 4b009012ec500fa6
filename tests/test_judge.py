"""Several texts behind one prompt, judged by nano's causal side."""

import pytest
import torch

from sampler import load as loading
from sampler.benchmarks import rig
from sampler.cache import PrefixCache
from sampler.engine import Engine, Request
from sampler.events import Scored
from sampler.forward import Forward
from sampler.judge import judge, totals
from sampler.params import InvalidParameter
from sampler.prompts import Prompts


@pytest.fixture(scope="module")
def nano():
    model = loading.load("nano", dtype="float32")
    return Forward(model.model), Prompts(model.tokenizer)


def judged(nano, prompt, *texts):
    denoiser, prompts = nano
    rows = [prompts.encode(text) for text in texts]
    engine = Engine(denoiser, PrefixCache(denoiser.new_kv, 2**20), rows=8, queue=1)
    loop = judge(prompts.encode(prompt), rows, pad=0, device=denoiser.device)
    request = Request(loop, rows=len(rows), tokens=sum(map(len, rows)))
    [scored] = [e for e in rig.answer(engine, request) if isinstance(e, Scored)]
    return totals(scored, rows)


def test_a_text_is_worth_the_same_alone_and_beside_longer_ones(nano):
    alone = judged(nano, "import os\nprint(", "os.getcwd())\n")
    beside = judged(nano, "import os\nprint(", "os.getcwd())\n", "json.dumps(os.environ, x, y))\n")
    torch.testing.assert_close(torch.tensor(alone[0]), torch.tensor(beside[0]), atol=1e-3, rtol=0)


def test_code_is_more_probable_than_noise(nano):
    code, noise = judged(nano, "def add(a, b):\n    ", "return a + b\n", "b( return ++ a]\n")
    assert code > noise


def test_an_empty_prompt_is_refused(nano):
    with pytest.raises(InvalidParameter, match="empty"):
        judged(nano, "", "x")
