"""The study's own method: LMI-guided diffusion that has to agree with its source.

Contrast-randomised LMI guidance tells structure, but leaves each voxel's intensity to chance. At
every step the guess of x_0 is moved towards a function of the source, estimated anew from the
guess; the mean of the draws is moved towards the target's histogram
(:mod:`lmidiff.methods.consistency`). Zero-shot: training sees target images only.

:class:`ConsistentRegression` has the same two parts after one pass of a regression: what they
gain without any diffusion.
"""

import torch
from torch import Tensor

from lmidiff.diffusion import Denoiser
from lmidiff.methods.base import Method, SliceId, Translation
from lmidiff.methods.consistency import towards_function, towards_histogram


class SelfConsistentLMIDiffusion(Method):
    """LMI-guided sampling held to be a function of the source, with the target's histogram."""

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """Mean over the draws, made consistent and moved to the histogram; and the deviation."""
        subjects = [subject for subject, _ in ids]
        denoise = self.model.denoiser(source, self.settings.precision)
        guided = self.consistent(denoise, source, subjects)
        mean, spread = self.model.sample(guided, self.settings, source, ids, self.seed)
        image = towards_function(mean, source, subjects, self.settings)
        image = towards_histogram(image, source, subjects, self.model.target, self.settings)
        return Translation(image.clamp(0, 1), spread)

    def consistent(self, denoise: Denoiser, source: Tensor, subjects: list[str]) -> Denoiser:
        """``denoise`` with its x_0 moved towards a function of ``source`` (N, 1, H, W)."""

        @torch.no_grad()
        def guided(x: Tensor, t: int) -> Tensor:
            image = self.model.to_image(denoise(x, t))
            held = towards_function(image, source, subjects, self.settings)
            return self.model.to_range(held)

        return guided


class ConsistentRegression(Method):
    """One pass of the contrast-randomised regression, then the function and the histogram."""

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """The network's answer, made consistent and moved to the histogram."""
        subjects = [subject for subject, _ in ids]
        image = self.model(source).clamp(0, 1)
        image = towards_function(image, source, subjects, self.settings)
        image = towards_histogram(image, source, subjects, self.model.target, self.settings)
        return Translation(image.clamp(0, 1))
