"""A family of models that several processes train, without what makes the real one slow to load."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lmidiff.common.settings import settings_of
from lmidiff.data.training_data import TrainingData
from lmidiff.training import ranks
from lmidiff.training.learner import TrainingSettings
from lmidiff.training.loop import LossLearner, draw_batch
from lmidiff.training.loop import fit as train


def fit(
    settings: Mapping[str, Any],
    data: TrainingData,
    workspace: Path,
    device: torch.device,
    name: str,
):
    """Fit the mean of an image from its left half."""
    training = settings_of(TrainingSettings, settings["training"], "training")
    images = data.images("target")
    torch.manual_seed(training.seed)
    network = nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.Tanh(), nn.Linear(8, 1)).to(device)
    network(images[:1, :, :8])
    model = ranks.averaging(network)

    def loss(generator: torch.Generator) -> torch.Tensor:
        time.sleep(settings.get("delay", 0))
        (mine,) = ranks.share(draw_batch(images, training.batch_size, generator))
        return (model(mine[:, :, :8])[:, 0] - mine.mean((1, 2, 3))).square().mean()

    return train(LossLearner(network, loss, training, device), training, workspace, name)
