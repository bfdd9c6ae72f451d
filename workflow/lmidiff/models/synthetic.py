"""One-pass regression of the target from images made up from label maps.

The idea of SynthSR (Iglesias et al. 2021): every step paints each label with a signal of its own,
so the network meets any contrast but those of real images. Training sees the label maps of the
target's training people beside their images, which the other zero-shot rows do without.

Departures: tissue labels of the study (three) on its grid in place of dozens of structures at
1 mm; shares of tissue from a Gaussian instead of a simulated slice profile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from lmidiff.common.errors import StudyError
from lmidiff.common.settings import settings_of
from lmidiff.data.slices import load_slices
from lmidiff.data.training_data import TrainingData
from lmidiff.images.contrast import ContrastSettings, acquire
from lmidiff.images.rim import LEAST, dimming
from lmidiff.models.checks import check_size
from lmidiff.models.regression import RegressionModel, load
from lmidiff.training.loop import draw_batch

__all__ = ["fit", "load"]

TISSUES = (1, 2, 3)


@dataclass(frozen=True)
class SyntheticSettings:
    """The ``synthetic`` block of a model.

    Attributes:
        blur: largest standard deviation in pixels of the Gaussian that mixes labels.
        spread: largest standard deviation of intensities within a label.
    """

    blur: float = 0.8
    spread: float = 0.05


def paint(
    labels: Tensor,
    dim: Tensor,
    generator: torch.Generator,
    settings: SyntheticSettings,
    contrast: ContrastSettings,
) -> Tensor:
    """Images of random contrast made from label maps.

    Args:
        labels: (N, 1, H, W) of 0 (air) and ``TISSUES``.
        dim: dimming of the target's rim, same shape; dims these images to a random power.
        generator: on the CPU.
        settings: of the labels' signals.
        contrast: of the field, texture and noise that are laid over them.

    Returns:
        (N, 1, H, W) in 0..1, above 0 where there is a label and 0 elsewhere.
    """
    count, brain = len(labels), labels > 0
    shares = torch.cat([(labels == tissue).to(dim) for tissue in TISSUES], 1)
    width = settings.blur * torch.rand(count, generator=generator)
    shares = torch.cat([_blur(each[None], float(w)) for each, w in zip(shares, width, strict=True)])
    shares = shares / shares.sum(1, keepdim=True).clamp(min=LEAST)
    signals = torch.rand(count, len(TISSUES), 1, 1, generator=generator).to(dim)
    spread = settings.spread * torch.rand(count, len(TISSUES), 1, 1, generator=generator)
    within = torch.randn(shares.shape, generator=generator).to(dim)
    image = (shares * (signals + spread.to(dim) * within)).sum(1, keepdim=True)
    return acquire(image, dim, generator, contrast) * brain


def _blur(shares: Tensor, deviation: float) -> Tensor:
    """Shares (1, C, H, W) after a separable Gaussian of ``deviation`` pixels."""
    at = torch.arange(-2.0, 3.0)
    weights = torch.exp(-(at**2) / (2 * max(deviation, 0.05) ** 2))
    weights = (weights / weights.sum()).to(shares)
    channels = shares.shape[1]
    rows = weights.view(1, 1, 5, 1).expand(channels, 1, 5, 1)
    shares = F.conv2d(shares, rows, padding=(2, 0), groups=channels)
    return F.conv2d(shares, rows.transpose(2, 3), padding=(0, 2), groups=channels)


def fit(
    settings: Mapping[str, Any],
    data: TrainingData,
    workspace: Path,
    device: torch.device,
    name: str,
) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """Train from painted labels to the target image of the same slice.

    Raises:
        StudyError: label maps and target images differ in their slices.
    """
    settings = dict(settings)
    paints = settings_of(SyntheticSettings, settings.pop("synthetic", {}), "synthetic")
    model = RegressionModel(settings, device)
    contrast = settings_of(ContrastSettings, settings["contrast"], "contrast")
    (target, ids), (labels, labelled) = (load_slices(data.paths(r)) for r in ("target", "labels"))
    if ids != labelled:
        raise StudyError("training data: label maps and target images are not of the same slices")
    shown = labels.flatten(1).amax(1) > 0
    target, labels = target[shown] * (labels[shown] > 0), labels[shown]
    both = torch.cat([labels, target, dimming(target, target > 0)], 1).to(device)
    check_size(both, model.network.multiple)

    def loss(generator: torch.Generator) -> Tensor:
        batch = draw_batch(both, model.training.batch_size, generator)
        source = paint(batch[:, :1], batch[:, 2:], generator, paints, contrast)
        return model.loss(source, batch[:, 1:2], generator)

    start = torch.Generator().manual_seed(0)
    painted = paint(both[:, :1], both[:, 2:], start, paints, contrast)
    return model.train(loss, painted, target, workspace, name)
