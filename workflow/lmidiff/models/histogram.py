"""The target's intensity histogram, as quantiles of the brain voxels of the training images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from lmidiff.common.errors import StudyError
from lmidiff.data.training_data import TrainingData

needs = frozenset({"target"})
defaults: tuple[str, ...] = ()
QUANTILES = 1025


def fit(
    settings: Mapping[str, Any],  # noqa: ARG001 - one signature for every family
    data: TrainingData,
    workspace: Path,  # noqa: ARG001
    device: torch.device,  # noqa: ARG001
    name: str,  # noqa: ARG001
) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """Quantiles at equal steps of probability, shape (1025,), float32, in 0..1."""
    return {"quantiles": quantiles(data.images("target"))}, pd.DataFrame(columns=["step", "loss"])


def load(
    settings: Mapping[str, Any],  # noqa: ARG001
    weights: Mapping[str, Tensor],
    device: torch.device,
) -> Tensor:
    """The quantiles, on ``device``; raises StudyError if the weights are of another model."""
    if set(weights) != {"quantiles"} or weights["quantiles"].shape != (QUANTILES,):
        raise StudyError(
            f"weights do not fit the model's config: not the {QUANTILES} quantiles of a histogram"
        )
    return weights["quantiles"].to(device)


def quantiles(images: Tensor) -> Tensor:
    """Quantiles of the non-zero values of ``images`` at QUANTILES equal steps of probability."""
    values = images[images > 0].double().sort().values
    position = torch.linspace(0, len(values) - 1, QUANTILES, dtype=torch.float64)
    left = position.floor().long().clamp(max=len(values) - 2)
    weight = position - left
    return ((1 - weight) * values[left] + weight * values[left + 1]).float()
