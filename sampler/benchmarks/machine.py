"""What the figures were measured on. No timing."""

import os
import platform
from pathlib import Path
from typing import Any

import psutil
import torch
import transformers


def facts() -> dict[str, Any]:
    """Return processor, cores, threads, load, accelerator and versions as plain data.

    `load` is the average number of busy processes of the last minute before the run: figures are
    worth little where others use the cores. `waiting` is what threads do where they wait for each
    other; "active" ones spin.
    """
    cuda = torch.cuda.is_available()
    return {
        "processor": _processor(),
        "cores": len(psutil.Process().cpu_affinity()) if _has_affinity() else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "waiting": os.environ.get("OMP_WAIT_POLICY")
        or os.environ.get("GOMP_SPINCOUNT", "as torch has it"),
        "load": round(os.getloadavg()[0], 2),
        "accelerator": torch.cuda.get_device_name() if cuda else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def line(found: dict[str, Any]) -> str:
    """Return the facts in one line for a person."""
    parts = [
        found["accelerator"] or found["processor"],
        f"{found['cores']} cores, {found['threads']} threads, load {found['load']}",
        f"torch {found['torch']}, transformers {found['transformers']}, python {found['python']}",
    ]
    return "; ".join(parts)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for entry in info.read_text(encoding="utf-8").splitlines():
            if entry.startswith("model name"):
                return entry.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _has_affinity() -> bool:
    return hasattr(psutil.Process, "cpu_affinity")
