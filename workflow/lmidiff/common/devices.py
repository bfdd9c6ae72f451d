"""Which device a job computes with."""

import os
from pathlib import Path

import torch

from lmidiff.common import cards
from lmidiff.common.errors import StudyError


def pick_device(wanted: str, asked: int = 0) -> torch.device:
    """The device of a job of one process; see :func:`pick_devices`."""
    return pick_devices(wanted, 1, asked)[0]


def pick_devices(
    wanted: str,
    count: int,
    asked: int = 0,
    *,
    seen: int | None = None,
    locks: Path | None = None,
) -> list[torch.device]:
    """Devices for the config's ``device``: "auto", "cpu" or "cuda".

    A GPU is this job's own until its process ends, as far as jobs of this package on this machine
    go. Only a job to which none was promised shares one when all are taken.

    Args:
        wanted: the config's ``device``.
        count: processes of the job, a device each.
        asked: GPUs that the job asks for: see :func:`lmidiff.common.cards.promised`.
        seen: how many GPUs there are, if not those that torch sees.
        locks: folder of the locks on the cards, if not the machine's own.

    Raises:
        StudyError: CUDA is asked for or a GPU was promised, and this job sees too few.
    """
    if wanted == "cpu":
        return [torch.device("cpu")] * count
    environment = os.environ
    promised = cards.promised(asked, environment)
    seen = torch.cuda.device_count() if seen is None else seen
    if seen < count and (seen or promised or wanted == "cuda"):
        reason = f"{promised} GPU(s) were promised" if promised else "'cuda' was asked for"
        raise StudyError(
            f"device: {reason if not seen else f'{count} processes need a GPU each'}, but this "
            f"job sees {seen or 'no GPU'} "
            f"(CUDA_VISIBLE_DEVICES={environment.get('CUDA_VISIBLE_DEVICES', 'unset')}); "
            "set device: cpu or auto in the config, or give the job its GPUs"
        )
    if not seen:
        return [torch.device("cpu")] * count
    folder = cards.scratch(environment) if locks is None else locks
    named = cards.names(seen, environment)
    places = cards.claim(named, count, folder, promised=bool(promised))
    if torch.cuda.is_available():
        torch.cuda.set_device(places[0])
    return [torch.device("cuda", place) for place in places]


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
