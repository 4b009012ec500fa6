"""What a model's name means."""

from pathlib import Path

import pytest

from dgemma_lsp import checkpoints
from dgemma_lsp.errors import UserError


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "model-00001-of-00002.safetensors"):
        (folder / name).write_bytes(b"{}")
    return folder


@pytest.mark.parametrize("name", ["nano", "google/diffusiongemma-26B-A4B-it", "a/b_c.d"])
def test_nano_and_hub_ids_stay_as_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert checkpoints.resolve(name) == name


def test_a_folder_becomes_absolute(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkpoint.parent)
    assert checkpoints.resolve("checkpoint") == str(checkpoint)
    assert checkpoints.resolve("./checkpoint/") == str(checkpoint)


@pytest.mark.parametrize("lost", ["config.json", "tokenizer.json", "*.safetensors"])
def test_an_incomplete_folder_is_refused_by_what_it_lacks(checkpoint: Path, lost: str) -> None:
    for file in checkpoint.glob(lost):
        file.unlink()
    assert checkpoints.missing(checkpoint) == [lost]
    with pytest.raises(UserError) as caught:
        checkpoints.resolve(str(checkpoint))
    assert str(caught.value) == f"model {checkpoint}: the folder holds no {lost}"


@pytest.mark.parametrize("name", ["", "nono", "./a/b", "/a/b", "a/b/c", "~/absent", "a b/c", "a/"])
def test_anything_else_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="model"):
        checkpoints.resolve(name)


def test_weights_are_counted_over_all_their_files(checkpoint: Path) -> None:
    (checkpoint / "model-00002-of-00002.safetensors").write_bytes(bytes(100))
    assert checkpoints.weight_bytes(checkpoint) == 102


def test_nano_lies_in_the_installed_sampler() -> None:
    folder = checkpoints.locate("nano")
    assert folder is not None
    assert folder.parts[-2:] == ("sampler", "nano")


def test_a_hub_id_that_was_never_downloaded_has_no_folder() -> None:
    assert checkpoints.locate("dgemma-test/never-downloaded") is None
