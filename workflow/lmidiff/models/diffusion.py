"""The target-modality DDPM, unconditional or conditioned on LMI maps (the paper's model)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from lmidiff.common.errors import StudyError
from lmidiff.common.seeds import seed_of
from lmidiff.common.settings import settings_of
from lmidiff.data.training_data import TrainingData
from lmidiff.diffusion import PARAMETERISATIONS, Denoiser, Schedule, SliceNoise, final
from lmidiff.guidance import condition_maps, static_maps
from lmidiff.images.contrast import ContrastSettings, training_pair
from lmidiff.models import histogram
from lmidiff.models.checks import check_size, fill
from lmidiff.models.objective import Objective
from lmidiff.models.window import random_window
from lmidiff.networks.unet import UNet, UNetSettings
from lmidiff.options import Guidance, Sampling
from lmidiff.sampler import (
    RANGES,
    GuidedDenoiser,
    draw,
    path,
    resolve_precision,
    to_image,
    to_range,
)
from lmidiff.training import ranks
from lmidiff.training.learner import TrainingSettings
from lmidiff.training.loop import LossLearner, draw_batch
from lmidiff.training.loop import fit as train
from lmidiff.training.previews import COUNT


@dataclass(frozen=True)
class DiffusionSettings:
    """The ``diffusion`` block of a model.

    Attributes:
        timesteps: length T of the schedule.
        parameterisation: what the network predicts.
        range: intensities the diffusion works in, "unit" 0..1 (the authors') or "signed" -1..1.
        clip: clamp the guess of x_0 to the range at every step.
    """

    timesteps: int = 1000
    parameterisation: str = "velocity"
    range: str = "signed"
    clip: bool = True

    def __post_init__(self) -> None:
        if self.parameterisation not in PARAMETERISATIONS:
            raise ValueError(f"parameterisation must be one of {PARAMETERISATIONS}")
        if self.range not in RANGES:
            raise ValueError(f"range must be one of {tuple(RANGES)}")


class DiffusionModel:
    """A denoiser, its schedule and the condition it takes.

    Attributes:
        target: the target's intensities in training, once trained weights are loaded.
        at_once: slices that the network is given together when it denoises; all if None. What a
            method takes from a brain as a whole does not depend on it.
        watch: told the number of slices after each such part.
    """

    def __init__(self, settings: Mapping[str, Any], device: torch.device) -> None:
        self.diffusion = settings_of(DiffusionSettings, settings["diffusion"], "diffusion")
        self.objective = settings_of(Objective, settings.get("objective", {}), "objective")
        self.guidance = settings_of(Guidance, settings["guidance"], "guidance")
        self.unet = settings_of(UNetSettings, settings["unet"], "unet")
        self.training = settings_of(TrainingSettings, settings["training"], "training")
        randomised = settings.get("contrast_randomised", False)
        self.contrast = (
            settings_of(ContrastSettings, settings["contrast"], "contrast") if randomised else None
        )
        self.target: histogram.TargetIntensities | None = None
        self.at_once: int | None = None
        self.watch: Callable[[int], object] | None = None
        self.schedule = Schedule.linear(self.diffusion.timesteps)
        self.device = device
        torch.manual_seed(self.training.seed)
        try:
            self.network = UNet(self.guidance.channels, self.unet).to(device)
        except ValueError as error:
            raise StudyError(f"config: unet: {error}") from error
        self.multiple = self.network.multiple

    def to_range(self, image: Tensor) -> Tensor:
        """0..1 to the diffusion's range."""
        return to_range(image, self.diffusion.range)

    def to_image(self, x: Tensor) -> Tensor:
        """The diffusion's range to 0..1, not clipped."""
        return to_image(x, self.diffusion.range)

    def loss(self, images: Tensor, static: Tensor | None, generator: torch.Generator) -> Tensor:
        """Squared error of the parameterised target at random times (Ho et al., eq. 14).

        Args:
            images: every training slice (N, 1, H, W) in 0..1, on the device.
            static: their static condition, computed once, or None to compute it a batch.
            generator: on the CPU; draws batch, times and noise.
        """
        size = self.training.batch_size
        batch_of = torch.cat([images, static], 1) if static is not None else images
        batch = draw_batch(batch_of, size, generator)
        image, static = batch[:, :1], batch[:, 1:] if static is not None else None
        image = self.objective.images(image, generator)
        times = self.objective.draw_times(len(self.schedule), size, generator)
        noise = torch.randn(image.shape, generator=generator).to(self.device)
        with torch.autocast(self.device.type, enabled=False):
            source = image
            if self.contrast is not None:
                image, source = training_pair(image, generator, self.contrast)
            # All is drawn for the whole batch; of several processes each goes on with its share.
            image, source, static, times, noise = ranks.share(image, source, static, times, noise)
            x0 = self.to_range(image)
            x_t = self.schedule.add_noise(x0, noise, times)
            if static is None:
                static = static_maps(source, self.guidance)
            later = times
            if self.guidance.cross_time == "next":
                later = (times + 1).clamp(max=len(self.schedule) - 1)
            sample = self.to_image(self.schedule.add_noise(x0, noise, later))
            condition = condition_maps(source, sample, static, self.guidance)
        target = self.schedule.training_target(x0, noise, times, self.diffusion.parameterisation)
        share = self.training.crop
        window = (..., *random_window(image.shape[-2:], share, self.multiple, generator))
        condition = None if condition is None else condition[window]
        output = self.network(x_t[window], condition, times.to(self.device))
        return self.objective.of(output, target[window])

    def preview(self, images: Tensor) -> Tensor:
        """Samples guided by a few training slices of their own: (COUNT, 1, H, W)."""
        rows = torch.linspace(0, len(images) - 1, COUNT).long()
        noise = SliceNoise(range(COUNT), self.device)
        sampling = Sampling(steps=min(8, len(self.schedule)), draws=1)
        denoise = self.denoiser(images[rows])
        steps = path(self.schedule, denoise, sampling, noise, images.shape[1:])
        return self.to_image(final(steps))

    def denoiser(self, source: Tensor, precision: str = "float32") -> Denoiser:
        """A function (x_t, t) -> x_0 guided by ``source`` (N, 1, H, W) in 0..1."""
        check_size(source, self.multiple)
        return GuidedDenoiser(
            self.network,
            self.schedule,
            self.guidance,
            source,
            parameterisation=self.diffusion.parameterisation,
            range=self.diffusion.range,
            clip=self.diffusion.clip,
            precision=precision,
            at_once=self.at_once,
            watch=self.watch,
        )

    def sample(
        self,
        denoise: Denoiser,
        sampling: Sampling,
        source: Tensor,
        ids: Sequence[tuple[str, int]],
        seed: int,
        start: float = 1.0,
    ) -> tuple[Tensor, Tensor | None]:
        """Mean and deviation of the draws for the slices of ``source``, see :func:`draw`.

        Args:
            denoise: maps (x_t, t) to x_0; from :meth:`denoiser`, or that made to obey a method.
            sampling: sampler, times and draws.
            source: (N, 1, H, W) in 0..1.
            ids: subject and slice of each; with ``seed`` and the number of the draw they seed its
                noise, so all methods start a slice from the same noise.
            seed: the study's.
            start: 1 begins at pure noise; less at the noised source, at that share of the schedule.
        """
        seeds = [[seed_of(seed, *each, n) for each in ids] for n in range(sampling.draws)]
        return draw(
            self.schedule,
            denoise,
            sampling,
            seeds,
            source.shape[1:],
            range=self.diffusion.range,
            device=source.device,
            begin=self.to_range(source) if start < 1 else None,
            start=start,
        )


def fit(
    settings: Mapping[str, Any],
    data: TrainingData,
    workspace: Path,
    device: torch.device,
    name: str,
) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """Train on the target's slices alone; see :func:`lmidiff.training.loop.fit` for the result."""
    model = DiffusionModel(settings, device)
    slices = data.images("target")
    images = slices.to(device)
    check_size(images, model.multiple)
    precision = resolve_precision(model.training.precision, device)
    training = TrainingSettings(**{**asdict(model.training), "precision": precision})
    static = None
    if model.contrast is None and model.guidance.has_static and not model.objective.blurs:
        static = torch.cat([static_maps(part, model.guidance) for part in images.split(64)])
    network = model.network
    network.drop(model.objective.dropout)
    model.network = ranks.averaging(network)

    def show() -> Tensor:
        model.network, wrapped = network, model.network
        pictures = model.preview(images)
        model.network = wrapped
        return pictures

    learner = LossLearner(
        network, lambda generator: model.loss(images, static, generator), training, device, show
    )
    weights, curve = train(learner, training, workspace, name)
    return {**weights, **histogram.measure(slices, histogram.PREFIX)}, curve


def load(
    settings: Mapping[str, Any], weights: Mapping[str, Tensor], device: torch.device
) -> DiffusionModel:
    """A trained model, ready to sample; raises StudyError if the weights do not fit."""
    model = DiffusionModel(settings, device)
    own, measured = histogram.part(weights)
    fill(model.network, own)
    model.target = histogram.load({}, measured, device)
    return model
