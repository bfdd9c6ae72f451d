"""What every diffusion method shares: sampler settings, seeded draws, their mean and spread."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lmidiff.common.devices import PRECISIONS
from lmidiff.common.seeds import seed_of
from lmidiff.diffusion import SAMPLERS, VARIANCES, Denoiser, SliceNoise, final
from lmidiff.methods.base import SliceId, Translation
from lmidiff.models.diffusion import DiffusionModel
from lmidiff.spacing import SPACINGS, timesteps


@dataclass(frozen=True)
class SamplingSettings:
    """How a diffusion method samples.

    Attributes:
        sampler: "ancestral", "ddim" or "dpm_solver".
        steps: network evaluations over the whole schedule.
        draws: samples a slice; their mean is the translation.
        variance: of the ancestral sampler, "small" or "large".
        final_noise: of the ancestral sampler, noise at the last step too (the authors' code).
        spacing: of the times, see :mod:`lmidiff.spacing`: "trailing", "quadratic" or "log_snr".
        precision: of the network, see :func:`lmidiff.common.devices.resolve_precision`.
    """

    sampler: str = "dpm_solver"
    steps: int = 20
    draws: int = 4
    variance: str = "small"
    final_noise: bool = False
    spacing: str = "trailing"
    precision: str = "float32"

    def __post_init__(self) -> None:
        for key, allowed in (
            ("sampler", tuple(SAMPLERS)),
            ("variance", VARIANCES),
            ("spacing", SPACINGS),
            ("precision", PRECISIONS),
        ):
            if getattr(self, key) not in allowed:
                raise ValueError(f"{key} must be one of {allowed}, got {getattr(self, key)!r}")
        for key in ("steps", "draws"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} must be at least 1, got {getattr(self, key)}")

    def options(self) -> dict:
        """Keyword arguments of the sampler."""
        if self.sampler != "ancestral":
            return {}
        return {"variance": self.variance, "final_noise": self.final_noise}


def sample(
    model: DiffusionModel,
    denoise: Denoiser,
    settings: SamplingSettings,
    source: Tensor,
    ids: list[SliceId],
    seed: int,
    start: float = 1.0,
) -> Translation:
    """Draw ``settings.draws`` samples a slice and average them.

    Args:
        denoise: maps (x_t, t) to x_0 for the slices of ``source``.
        source: (N, 1, H, W) in 0..1.
        ids: subject and slice of each; with ``seed`` and the number of the draw they seed its
            noise, so all methods start a slice from the same noise.
        start: 1 begins at pure noise; less begins at the noised source, as SDEdit does, at that
            share of the schedule, with the same spacing of steps.
    """
    schedule = model.schedule
    top = max(round(start * len(schedule)) - 1, 0)
    steps = min(max(round(settings.steps * start), 1), top + 1)
    times = timesteps(schedule, steps, top, settings.spacing)
    draws = []
    for draw in range(settings.draws):
        noise = SliceNoise([seed_of(seed, *each, draw) for each in ids], source.device)
        x = noise(source.shape[1:])
        if start < 1:
            x = schedule.add_noise(model.to_range(source), x, times[0])
        run: Callable = SAMPLERS[settings.sampler]
        x = final(run(schedule, denoise, x, times, noise, **settings.options()))
        draws.append(model.to_image(x).clamp(0, 1))
    stack = torch.stack(draws)
    spread = stack.std(0, unbiased=False) if settings.draws > 1 else None
    return Translation(stack.mean(0), spread)
