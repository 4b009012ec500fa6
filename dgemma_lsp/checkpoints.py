"""Which checkpoint a model's name means, and what its folder lacks. Nothing is loaded here."""

import re
from importlib.util import find_spec
from pathlib import Path

from dgemma_lsp.errors import UserError

NANO = "nano"
# What both the model and its tokenizer are read from; the weights may lie in several files.
NEEDED = ("config.json", "tokenizer.json", "*.safetensors")

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def resolve(name: str) -> str:
    """Return the name as every process understands it: a folder becomes absolute.

    Raises UserError for what is no checkpoint: neither nano, nor a complete folder, nor a hub id.
    """
    if name == NANO:
        return name
    folder = Path(name).expanduser()
    if folder.is_dir():
        if lacks := missing(folder):
            raise UserError(f"model {name}: the folder holds no {', no '.join(lacks)}")
        return str(folder.resolve())
    if folder.exists():
        raise UserError(f"model {name}: a file; give the folder that holds {', '.join(NEEDED)}")
    if _HUB_ID.fullmatch(name):
        return name
    raise UserError(
        f"model {name!r}: no such folder; take nano, a folder that holds "
        f"{', '.join(NEEDED)}, or a hub id owner/name"
    )


def missing(folder: Path) -> list[str]:
    """Return which of the needed files the folder does not hold."""
    return [pattern for pattern in NEEDED if not any(folder.glob(pattern))]


def weight_bytes(folder: Path) -> int:
    """Return the size of the weights, in bytes."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def locate(name: str) -> Path | None:
    """Return the folder of a resolved name; None for a hub id that was not downloaded yet."""
    if name == NANO:
        spec = find_spec("sampler")
        places = list(spec.submodule_search_locations or ()) if spec else []
        return Path(places[0]) / NANO if places else None
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
