"""One-pass regression of the target from contrast-randomised target images: no diffusion.

The same images, contrasts and U-Net as the contrast-randomised diffusion model's, trained with
one loss and used with one evaluation: what the diffusion must beat. Also the network of
:mod:`lmidiff.models.supervised`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from lmidiff.common.errors import StudyError
from lmidiff.common.settings import settings_of
from lmidiff.data.training_data import TrainingData
from lmidiff.guidance import lmi_maps
from lmidiff.images.contrast import ContrastSettings, randomise_contrast, training_pair
from lmidiff.models import histogram
from lmidiff.models.checks import check_size, fill
from lmidiff.models.window import random_window
from lmidiff.networks.unet import UNet, UNetSettings
from lmidiff.options import Guidance
from lmidiff.sampler import resolve_precision
from lmidiff.training.learner import TrainingSettings
from lmidiff.training.loop import LossLearner, draw_batch
from lmidiff.training.loop import fit as train
from lmidiff.training.previews import COUNT

INPUTS = ("image", "maps", "image_and_maps")
LOSSES = {"l1": F.l1_loss, "l2": F.mse_loss}


@dataclass(frozen=True)
class RegressionSettings:
    """The ``regression`` block of a model.

    Attributes:
        input: what the network sees: the "image", its self "maps", or "image_and_maps".
        loss: "l1" or "l2", over all pixels.
    """

    input: str = "image"
    loss: str = "l1"

    def __post_init__(self) -> None:
        if self.input not in INPUTS:
            raise ValueError(f"input must be one of {INPUTS}, got {self.input!r}")
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {tuple(LOSSES)}, got {self.loss!r}")


class RegressionModel:
    """A U-Net from an image, or maps of it, to the target image.

    Attributes:
        target: the target's intensities in training, once trained weights are loaded.
        at_once: slices that the network is given together when it translates; all if None.
        watch: told the number of slices after each such part.
    """

    def __init__(self, settings: Mapping[str, Any], device: torch.device) -> None:
        self.regression = settings_of(
            RegressionSettings, settings.get("regression", {}), "regression"
        )
        guidance = {**settings.get("guidance", {}), "condition": "self"}
        self.guidance = settings_of(Guidance, guidance, "guidance")
        self.training = settings_of(TrainingSettings, settings["training"], "training")
        self.device = device
        self.target: histogram.TargetIntensities | None = None
        self.at_once: int | None = None
        self.watch: Callable[[int], object] | None = None
        kind = self.regression.input
        channels = (kind != "maps") + (kind != "image") * self.guidance.channels
        torch.manual_seed(self.training.seed)
        unet = settings_of(UNetSettings, settings["unet"], "unet")
        try:
            self.network = UNet(channels, unet, sample_channels=0).to(device)
        except ValueError as error:
            raise StudyError(f"config: unet: {error}") from error

    def features(self, source: Tensor) -> Tensor:
        """What the network sees of ``source`` (N, 1, H, W) in 0..1."""
        with torch.autocast(self.device.type, enabled=False):
            parts = [] if self.regression.input == "maps" else [source]
            if self.regression.input != "image":
                parts.append(lmi_maps(source, source, self.guidance))
            return torch.cat(parts, 1)

    def __call__(self, source: Tensor) -> Tensor:
        """The target image of ``source``: (N, 1, H, W), not clipped."""
        check_size(source, self.network.multiple)
        return torch.cat([self._part(part) for part in source.split(self.at_once or len(source))])

    def _part(self, source: Tensor) -> Tensor:
        found = self._predict(self.features(source))
        if self.watch is not None:
            self.watch(len(source))
        return found

    def _predict(self, features: Tensor) -> Tensor:
        times = torch.zeros(len(features), device=features.device)
        return self.network(None, features, times).float()

    def loss(self, source: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
        """The configured loss of a batch; ``generator`` draws the window that the network sees."""
        share, multiple = self.training.crop, self.network.multiple
        window = (..., *random_window(source.shape[-2:], share, multiple, generator))
        found = self._predict(self.features(source)[window])
        return LOSSES[self.regression.loss](found, target[window])

    def train(
        self,
        loss: Callable[[torch.Generator], Tensor],
        shown: Tensor,
        targets: Tensor,
        workspace: Path,
        name: str,
    ) -> tuple[dict[str, Tensor], pd.DataFrame]:
        """Train on a loss that draws its own batch; see :func:`lmidiff.training.loop.fit`.

        Args:
            shown: training inputs (N, 1, H, W); a few of them are translated in the previews.
            targets: the target's training slices (N, 1, H, W).
        """
        rows = torch.linspace(0, len(shown) - 1, COUNT).long()
        precision = resolve_precision(self.training.precision, self.device)
        settings = TrainingSettings(**{**asdict(self.training), "precision": precision})
        learner = LossLearner(self.network, loss, settings, self.device, lambda: self(shown[rows]))
        weights, curve = train(learner, settings, workspace, name)
        return {**weights, **histogram.measure(targets.cpu(), histogram.PREFIX)}, curve


def fit(
    settings: Mapping[str, Any],
    data: TrainingData,
    workspace: Path,
    device: torch.device,
    name: str,
) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """Train on the target's slices alone, each shown in a random contrast of its own."""
    model = RegressionModel(settings, device)
    contrast = settings_of(ContrastSettings, settings["contrast"], "contrast")
    images = data.images("target").to(device)
    check_size(images, model.network.multiple)

    def loss(generator: torch.Generator) -> Tensor:
        target = draw_batch(images, model.training.batch_size, generator)
        target, source = training_pair(target, generator, contrast)
        return model.loss(source, target, generator)

    shown = randomise_contrast(images, torch.Generator().manual_seed(0), contrast)
    return model.train(loss, shown, images, workspace, name)


def load(
    settings: Mapping[str, Any], weights: Mapping[str, Tensor], device: torch.device
) -> RegressionModel:
    """A trained model, ready to translate; raises StudyError if the weights do not fit."""
    model = RegressionModel(settings, device)
    own, measured = histogram.part(weights)
    fill(model.network, own)
    model.target = histogram.load({}, measured, device)
    return model
