"""ILVR (Choi et al. 2021): an unconditional target DDPM held to the source's low frequencies.

At every step of the sampler down to a stop time, equation 7 of the paper: the low frequencies
phi_N of the sample are replaced by the source's.

Departures: the replacement is made on the guess of x_0, not on x_{t-1} against a noised source,
so that any sampler can run, deterministic ones too; both agree in expectation. phi_N is the mean
over blocks, which is an exact projection, instead of a bicubic pair.
"""

import torch
from torch import Tensor

from lmidiff.diffusion import Denoiser
from lmidiff.images.frequency import low_pass
from lmidiff.methods.base import Method, SliceId, Translation


class ILVR(Method):
    """Iterative latent variable refinement; its factor and stop are chosen on validation."""

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """Mean and standard deviation over the draws."""
        guided = self.guided(self.model.denoiser(source, self.settings.precision), source)
        return Translation(*self.model.sample(guided, self.settings, source, ids, self.seed))

    def guided(self, denoise: Denoiser, source: Tensor) -> Denoiser:
        """``denoise`` with the low frequencies of its x_0 taken from ``source`` (N, 1, H, W)."""
        factor = self.settings.factor
        wanted = low_pass(self.model.to_range(source), factor)
        last = self.settings.stop * len(self.model.schedule)

        def replaced(x: Tensor, t: int) -> Tensor:
            x0 = denoise(x, t)
            return x0 if t < last else x0 + wanted - low_pass(x0, factor)

        return torch.no_grad()(replaced)
