"""What a training run leaves on disk."""

import torch

from sampler.train import checkpoint

CPU = torch.device("cpu")
STATE = {"weights": torch.arange(1000), "step": 7}


def test_a_state_comes_back_from_small_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "PIECE_BYTES", 1000)
    folder = tmp_path / "checkpoint"
    assert checkpoint.load(folder, CPU) is None
    checkpoint.save(folder, {"step": 1, "more": torch.zeros(9000)})
    checkpoint.save(folder, STATE)
    sizes = [piece.stat().st_size for piece in folder.iterdir()]
    assert len(sizes) > 8
    assert max(sizes) <= 1000
    state = checkpoint.load(folder, CPU)
    assert state["step"] == 7
    assert torch.equal(state["weights"], STATE["weights"])
    assert list(tmp_path.iterdir()) == [folder]


def test_a_kill_between_the_old_and_the_new_state_leaves_the_old_one(tmp_path):
    folder = tmp_path / "checkpoint"
    checkpoint.save(folder, STATE)
    folder.rename(tmp_path / "checkpoint.old")
    (tmp_path / "checkpoint.new").mkdir()
    assert checkpoint.load(folder, CPU)["step"] == 7
    checkpoint.save(folder, {"step": 8})
    assert checkpoint.load(folder, CPU)["step"] == 8
