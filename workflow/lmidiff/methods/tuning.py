"""Choosing a method's settings on validation subjects; the test subjects are not read."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from lmidiff.data.slices import load_stack
from lmidiff.data.volumes import read_array
from lmidiff.images.similarity import ssim_map
from lmidiff.methods.base import Method
from lmidiff.methods.translation import translate_batches


def tune(
    build: Callable[[Mapping[str, Any]], Method],
    grid: Mapping[str, Sequence[Any]],
    sources: Sequence[str],
    targets: Sequence[str],
    masks: Sequence[str],
    batch_size: int,
    device: torch.device,
    what: str,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Try every combination of ``grid`` on validation subjects.

    Returns:
        A table with a column per setting and the mean brain SSIM, and the best settings; the
        first of equals wins.
    """
    truth = torch.cat([load_stack(path) for path in targets])
    brain = torch.cat([torch.from_numpy(read_array(path)).permute(2, 0, 1) for path in masks]) > 0
    rows = []
    for values in itertools.product(*grid.values()):
        settings = dict(zip(grid, values, strict=True))
        text = ", ".join(f"{key} {value}" for key, value in settings.items())
        images = torch.cat(
            [
                result.image
                for _, _, result in translate_batches(
                    build(settings), sources, batch_size, device, f"{what}, {text}"
                )
            ]
        )
        rows.append({**settings, "brain_ssim": _brain_ssim(images, truth, brain)})
    table = pd.DataFrame(rows)
    best = rows[int(table["brain_ssim"].argmax())]
    return table, {key: best[key] for key in grid}


def _brain_ssim(images: Tensor, truth: Tensor, brain: Tensor) -> float:
    maps = ssim_map(*(stack[:, 0].permute(1, 2, 0).numpy() for stack in (images, truth)))
    return float(maps[brain.permute(1, 2, 0).numpy()].mean())
