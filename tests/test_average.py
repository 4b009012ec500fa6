import pytest
import torch
from click.testing import CliRunner
from transformers import DiffusionGemmaForBlockDiffusion

from sampler.load import NANO
from sampler.train import average, shape


def small(seed, *, hidden=32, layers=4):
    config = shape.build_config(
        vocab_size=64, hidden=hidden, layers=layers, heads=2, window=8, canvas=8, positions=64
    )
    return shape.build_model(config, seed)


def test_each_parameter_becomes_the_mean_of_all_models():
    parameters = [dict(small(seed).named_parameters()) for seed in (1, 2, 3)]
    averaged = average.average([small(1), small(2), small(3)])
    for name, parameter in averaged.named_parameters():
        one, two, three = (p[name] for p in parameters)
        torch.testing.assert_close(parameter, (one + two + three) / 3)


@pytest.mark.parametrize("size", [{"hidden": 48}, {"layers": 6}])
def test_models_of_two_sizes_are_refused_by_the_name_of_a_parameter(size):
    with pytest.raises(ValueError, match="has not the same shape in all models"):
        average.average([small(1), small(1, **size)])


def test_a_folder_without_a_model_is_told_in_one_line(tmp_path):
    done = CliRunner().invoke(average.main, [str(tmp_path / "out"), str(NANO), str(tmp_path)])
    assert done.exit_code == 1
    assert str(tmp_path) in done.output
    assert "Traceback" not in done.output


def test_nano_averaged_with_itself_is_written_as_it_was(tmp_path):
    done = CliRunner().invoke(average.main, [str(tmp_path / "out"), str(NANO), str(NANO)])
    assert done.exit_code == 0, done.output
    written, shipped = (f / "model.safetensors" for f in (tmp_path / "out", NANO))
    assert written.read_bytes() == shipped.read_bytes()
    again = DiffusionGemmaForBlockDiffusion.from_pretrained(tmp_path / "out")
    assert again.dtype == torch.bfloat16
    assert (tmp_path / "out" / "tokenizer.json").exists()
