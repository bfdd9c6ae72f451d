"""Which device and which number format a job computes with."""

import contextlib
import os
from contextlib import AbstractContextManager

import torch

from lmidiff.errors import StudyError

PRECISIONS = ("auto", "float32", "bfloat16")


def pick_device(wanted: str) -> torch.device:
    """The device for the config's ``device``: "auto", "cpu" or "cuda".

    Raises:
        StudyError: CUDA is asked for and none is to be seen.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise StudyError(
            "device: 'cuda' was asked for but this job sees no GPU "
            f"(CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', 'unset')}); "
            "set device: cpu or auto in the config"
        )
    return torch.device(wanted)


def resolve_precision(wanted: str, device: torch.device) -> str:
    """ "auto" is bfloat16 where the hardware multiplies in it, float32 elsewhere."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return "bfloat16" if supported else "float32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Mixed precision for a network's forward pass; a no-op for float32."""
    if resolve_precision(precision, device) == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def set_up(threads: int) -> None:
    """Make a job repeatable: a fixed thread count and deterministic kernels.

    The thread count comes from the config, not from ``--cores``: sums split over another
    number of threads round differently.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # The same as use_deterministic_algorithms(True), which would import the compiler: a second.
    torch.set_deterministic_debug_mode("error")


def describe(device: torch.device) -> str:
    """The device in words, for the record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo") as lines:
            model = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        model = "CPU"
    return f"{model}, {torch.get_num_threads()} threads"
