"""What is known of the target's intensities from its training images: histogram and rim."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from lmidiff.common.errors import StudyError
from lmidiff.data.training_data import TrainingData
from lmidiff.images.rim import DIMMING, dimming, inside_of

QUANTILES = 1025
PREFIX = "target."
"""Before the names of these numbers where they travel with a network's weights."""


@dataclass(frozen=True)
class TargetIntensities:
    """The target's intensities in its training images.

    Attributes:
        quantiles: of the brain inside its rim, at equal steps of probability, (1025,) in 0..1.
        dimming: the median of the rim's dimming (:mod:`lmidiff.images.rim`), a scalar.
    """

    quantiles: Tensor
    dimming: Tensor


def fit(
    settings: Mapping[str, Any],  # noqa: ARG001 - one signature for every family
    data: TrainingData,
    workspace: Path,  # noqa: ARG001
    device: torch.device,  # noqa: ARG001
    name: str,  # noqa: ARG001
) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """See :func:`measure`."""
    return measure(data.images("target")), pd.DataFrame(columns=["step", "loss"])


def load(
    settings: Mapping[str, Any],  # noqa: ARG001
    weights: Mapping[str, Tensor],
    device: torch.device,
) -> TargetIntensities:
    """The intensities, on ``device``; raises StudyError if the weights are of another model."""
    measured = {key: value.to(device) for key, value in weights.items()}
    shapes = {key: tuple(value.shape) for key, value in measured.items()}
    finite = all(bool(value.isfinite().all()) for value in measured.values())
    if shapes != {"quantiles": (QUANTILES,), "dimming": ()} or not finite or not _sound(measured):
        raise StudyError(
            f"weights do not fit the model's config: not the {QUANTILES} quantiles of a histogram "
            "and the dimming of a rim; train the model again"
        )
    return TargetIntensities(**measured)


def _sound(measured: Mapping[str, Tensor]) -> bool:
    """Whether quantiles rise within 0..1 and the dimming is one that is fitted."""
    quantiles, dim = (measured[key] for key in ("quantiles", "dimming"))
    if not (quantiles.is_floating_point() and dim.is_floating_point()):
        return False
    rising = bool((quantiles.diff() >= 0).all()) and 0 <= quantiles[0] < quantiles[-1] <= 1 + 1e-3
    return bool(rising) and DIMMING[0] <= float(dim) <= DIMMING[1]


def measure(images: Tensor, prefix: str = "") -> dict[str, Tensor]:
    """The attributes of :class:`TargetIntensities` by name, after ``prefix``.

    Args:
        images: (N, 1, H, W) in 0..1, 0 outside the brain.
    """
    brain = images > 0
    inside = inside_of(brain)
    # A cohort of specks has no rim, and nothing that would be dim.
    dim = dimming(images, brain)[brain & ~inside]
    return {
        f"{prefix}quantiles": quantiles(images * inside),
        f"{prefix}dimming": dim.median() if len(dim) else torch.ones(()),
    }


def part(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A network's own weights, and the target's intensities that travel with them."""
    own = {key: value for key, value in weights.items() if not key.startswith(PREFIX)}
    return own, {k.removeprefix(PREFIX): v for k, v in weights.items() if k.startswith(PREFIX)}


def quantiles(images: Tensor) -> Tensor:
    """Quantiles of the non-zero values of ``images`` at QUANTILES equal steps of probability."""
    values = images[images > 0].double().sort().values
    position = torch.linspace(0, len(values) - 1, QUANTILES, dtype=torch.float64)
    left = position.floor().long().clamp(max=len(values) - 2)
    weight = position - left
    return ((1 - weight) * values[left] + weight * values[left + 1]).float()
