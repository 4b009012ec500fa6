"""A training run's state on disk, in files that are small enough to be carried. No training here.

A folder of pieces is written beside the old one and takes its place, so that a kill at any moment
leaves one of the two whole.
"""

import io
import shutil
from pathlib import Path
from typing import Any

import torch

PIECE_BYTES = 15 * 2**20


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write the state into `folder`, in place of what it holds."""
    new, old = folder.with_suffix(".new"), folder.with_suffix(".old")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getbuffer()
    for number, start in enumerate(range(0, len(data), PIECE_BYTES)):
        (new / f"{number:03}").write_bytes(data[start : start + PIECE_BYTES])
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """Return the state that was saved last, None where there is none."""
    found = next((f for f in (folder, folder.with_suffix(".old")) if f.exists()), None)
    if found is None:
        return None
    data = b"".join(piece.read_bytes() for piece in sorted(found.iterdir()))
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    return state
