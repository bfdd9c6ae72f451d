"""The study's own method: LMI-guided diffusion that has to agree with its source.

Contrast-randomised LMI guidance tells structure, but leaves each voxel's intensity to chance. Two
things are known of the true answer without having seen a source image before:

1. Within a person, the target's intensity is nearly a function of the source's. At every step the
   guess of x_0 is moved a share ``consistency`` of the way to its own mean given the source's
   intensity (:func:`lmidiff.images.intensities.conditional_mean`), which is the function of the
   source that explains most of it: the correlation ratio, registration's asymmetric sibling of
   mutual information (Roche et al. 1998). The function is estimated anew at every step, from the
   guess.
2. The target's histogram is known from its training images. The mean of the draws is moved a share
   ``prior`` of the way to that histogram, rank by rank: a mean is flatter than what it averages.

Zero-shot: training sees target images only; both shares are chosen on validation subjects.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lmidiff.common.errors import StudyError
from lmidiff.common.settings import settings_of
from lmidiff.diffusion import Denoiser
from lmidiff.images.intensities import by_subject, conditional_mean, match_quantiles
from lmidiff.methods.base import Method, SliceId, Translation
from lmidiff.methods.lmidiffusion import GUIDED
from lmidiff.sampler import Sampling


class SelfConsistentLMIDiffusion(Method):
    """LMI-guided sampling held to be a function of the source, with the target's histogram."""

    label = "Self-consistent LMIDiffusion (ours)"
    family = "diffusion"
    conditions = GUIDED

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Keep the two shares, the number of bins of the function and the sampler's settings."""
        settings = dict(settings)
        self.shares = {}
        for key, default in (("consistency", 0.5), ("prior", 0.5)):
            value = float(settings.pop(key, default))
            if not 0 <= value <= 1:
                raise StudyError(f"config: methods.ours.{key} {value} is not in [0, 1]")
            self.shares[key] = value
        self.bins = settings.pop("bins", 256)
        if not isinstance(self.bins, int) or self.bins < 2:
            raise StudyError(f"config: methods.ours.bins {self.bins} is not a whole number above 1")
        self.settings = settings_of(Sampling, settings, "methods.ours")

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """Mean over the draws, made consistent and moved to the histogram; and the deviation."""
        subjects = [subject for subject, _ in ids]
        denoise = self.model.denoiser(source, self.settings.precision)
        guided = self.consistent(denoise, source, subjects)
        mean, spread = self.model.sample(guided, self.settings, source, ids, self.seed)
        image = self.towards_function(mean, source, subjects)
        return Translation(self.towards_histogram(image, source, subjects), spread)

    def consistent(self, denoise: Denoiser, source: Tensor, subjects: list[str]) -> Denoiser:
        """``denoise`` with its x_0 moved towards a function of ``source`` (N, 1, H, W)."""

        @torch.no_grad()
        def guided(x: Tensor, t: int) -> Tensor:
            image = self.model.to_image(denoise(x, t))
            return self.model.to_range(self.towards_function(image, source, subjects))

        return guided

    def towards_function(self, image: Tensor, source: Tensor, subjects: list[str]) -> Tensor:
        """``image`` moved inside the brain towards its mean given the source's intensity."""
        share = self.shares["consistency"]
        if share == 0:
            return image
        mean = by_subject(lambda x, y: conditional_mean(x, y, self.bins), subjects, image, source)
        return torch.where(source > 0, (1 - share) * image + share * mean, image)

    def towards_histogram(self, image: Tensor, source: Tensor, subjects: list[str]) -> Tensor:
        """``image`` moved towards the target's training histogram, in each subject."""
        share = self.shares["prior"]
        if share == 0:
            return image
        if self.model.quantiles is None:
            raise StudyError("weights: no histogram of the target in them; train the model again")
        matched = by_subject(
            lambda x, y: match_quantiles(x, y > 0, self.model.quantiles), subjects, image, source
        )
        return (1 - share) * image + share * matched
