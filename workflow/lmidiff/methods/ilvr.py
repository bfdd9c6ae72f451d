"""ILVR (Choi et al. 2021): an unconditional target DDPM held to the source's low frequencies.

At every step of the sampler down to a stop time, equation 7 of the paper: the low frequencies
phi_N of the sample are replaced by the source's.

Departures: the replacement is made on the guess of x_0, not on x_{t-1} against a noised source,
so that any sampler can run, deterministic ones too; both agree in expectation. phi_N is the mean
over blocks, which is an exact projection, instead of a bicubic pair.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lmidiff.common.errors import StudyError
from lmidiff.common.settings import settings_of
from lmidiff.diffusion import Denoiser
from lmidiff.images.frequency import low_pass
from lmidiff.methods.base import Method, SliceId, Translation
from lmidiff.sampler import Sampling


class ILVR(Method):
    """Iterative latent variable refinement; its factor and stop are chosen on validation."""

    label = "ILVR"
    family = "diffusion"
    conditions = frozenset({"none"})

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Keep the factor, the stop and the sampler's settings.

        ``factor`` is N, the side of the blocks in pixels; ``stop`` the share of the schedule,
        counted from clean data, in which the sample is left alone.
        """
        settings = dict(settings)
        self.factor, self.stop = settings.pop("factor", 8), float(settings.pop("stop", 0.2))
        if not isinstance(self.factor, int) or self.factor < 1:
            raise StudyError(f"config: methods.ilvr.factor {self.factor} is not a whole number > 0")
        if not 0 <= self.stop < 1:
            raise StudyError(f"config: methods.ilvr.stop {self.stop} is not in [0, 1)")
        self.settings = settings_of(Sampling, settings, "methods.ilvr")

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """Mean and standard deviation over the draws."""
        guided = self.guided(self.model.denoiser(source, self.settings.precision), source)
        return Translation(*self.model.sample(guided, self.settings, source, ids, self.seed))

    def guided(self, denoise: Denoiser, source: Tensor) -> Denoiser:
        """``denoise`` with the low frequencies of its x_0 taken from ``source`` (N, 1, H, W)."""
        wanted = low_pass(self.model.to_range(source), self.factor)
        last = self.stop * len(self.model.schedule)

        def replaced(x: Tensor, t: int) -> Tensor:
            x0 = denoise(x, t)
            return x0 if t < last else x0 + wanted - low_pass(x0, self.factor)

        return torch.no_grad()(replaced)
