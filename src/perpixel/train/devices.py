"""Where a run computes and how exactly: devices, other processes, number types."""

import platform
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs, LoggerType

import perpixel
from perpixel.core.errors import UserError, nearest
from perpixel.train.recipe import Recipe


def make_accelerator(recipe: Recipe, folder: Path) -> Accelerator:
    """Hugging Face's Accelerator for this process (one of several under torchrun).

    Raises:
        UserError: fp16 without a CUDA GPU, or a tracker that does not exist.
    """
    precision = recipe.precision
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if precision == "auto":
        precision = "bf16" if computes_in_bf16(device) else "fp32"
    if precision == "fp16" and device.type != "cuda":
        raise UserError("precision fp16 needs a CUDA GPU; use auto, bf16 or fp32")
    known = [str(kind) for kind in LoggerType]
    for name in recipe.trackers:
        if name not in known:
            raise UserError(f'there is no tracker "{name}"; known: {", ".join(known)}.{nearest(name, known)}')
    AcceleratorState._reset_state()  # an earlier run in this process may have had another precision
    accelerator = Accelerator(
        cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()),
        mixed_precision="no" if precision == "fp32" else precision,
        log_with=list(recipe.trackers) or None,
        project_dir=str(folder),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(hours=3))],  # others wait while one evaluates
    )
    if recipe.trackers:
        accelerator.init_trackers("perpixel")
    return accelerator


def computes_in_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bf16 natively: CUDA from Ampere, CPUs with AVX-512 BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    cpuinfo = Path("/proc/cpuinfo")
    if device.type != "cpu" or not cpuinfo.is_file():
        return False
    flags = next((line.split() for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), [])
    return "avx512_bf16" in flags or "amx_bf16" in flags


def environment() -> dict[str, Any]:
    """What a run was made with: versions, processor, devices, command."""
    return {
        "perpixel": perpixel.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "command": " ".join(Path(a).name if i == 0 else a for i, a in enumerate(sys.argv)),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
