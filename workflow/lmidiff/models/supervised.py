"""Regression of the target from the source of the same people: more than zero-shot sees."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from lmidiff.data.training_data import TrainingData
from lmidiff.models.checks import check_size
from lmidiff.models.regression import RegressionModel, load
from lmidiff.training.loop import draw_batch

__all__ = ["fit", "load"]


def fit(
    settings: Mapping[str, Any],
    data: TrainingData,
    workspace: Path,
    device: torch.device,
    name: str,
) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """Train on pairs of slices of the same people."""
    model = RegressionModel(settings, device)
    both = torch.cat(data.pairs(), 1).to(device)
    check_size(both, model.network.multiple)

    def loss(generator: torch.Generator) -> Tensor:
        batch = draw_batch(both, model.training.batch_size, generator)
        return model.loss(batch[:, :1], batch[:, 1:], generator)

    return model.train(loss, both[:, :1], both[:, 1:], workspace, name)
