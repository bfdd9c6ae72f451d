"""One training in several processes: what a process knows of the others. Alone, all is as is.

Every process draws the same global batch from the same generator and computes its own share;
gradients and losses are averaged. So a training in N processes takes the steps that one process
would, up to rounding.
"""

import os
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Shared = TypeVar("Shared")

LIFELINE = "LMIDIFF_LIFELINE"
"""Environment variable of a process that was launched beside others: see :func:`lifeline`."""


def rank() -> int:
    """This process's number; 0 writes files and speaks."""
    return dist.get_rank() if _together() else 0


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if _together() else 1


def share(*batch: Tensor | None) -> tuple[Tensor | None, ...]:
    """This process's rows of tensors (N, ...) that all processes hold alike; None stays None.

    Raises:
        ValueError: N is not a multiple of the number of processes.
    """
    if not _together():
        return batch
    return tuple(None if whole is None else _rows(whole) for whole in batch)


def mean(value: float) -> float:
    """The mean of a number over the processes, the same bits in each."""
    if not _together():
        return value
    total = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(total)
    return total.item() / dist.get_world_size()


def anywhere(flag: bool) -> bool:
    """Whether the flag is up in any process."""
    return mean(float(flag)) > 0


def from_first(value: Shared) -> Shared:
    """The value of process 0, in all."""
    if not _together():
        return value
    box: list[Any] = [value]
    dist.broadcast_object_list(box, device=torch.device("cpu"))
    return box[0]


def wait() -> None:
    """Go on when all processes are here."""
    from_first(None)
    mean(0.0)


def averaging(network: nn.Module) -> nn.Module:
    """The network with gradients averaged over the processes; itself, if there is one process.

    The wrapper is for forward passes alone: it shares its parameters with ``network``, whose
    names a checkpoint keeps. Batch normalisation would see a share of the batch only.
    """
    if not _together():
        return network
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(network, broadcast_buffers=False)


def lifeline() -> int | None:
    """The file descriptor that ends when the launcher asks to stop or dies; None without one."""
    return int(os.environ[LIFELINE]) if LIFELINE in os.environ else None


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()


def _rows(whole: Tensor) -> Tensor:
    number, processes = dist.get_rank(), dist.get_world_size()
    if len(whole) % processes:
        raise ValueError(f"a batch of {len(whole)} does not split over {processes} processes")
    size = len(whole) // processes
    return whole[number * size : (number + 1) * size]
