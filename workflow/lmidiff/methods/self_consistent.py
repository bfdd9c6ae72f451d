"""The study's own method: LMI-guided diffusion that has to agree with its source.

Contrast-randomised LMI guidance tells structure, but leaves each voxel's intensity to chance. At
every step the guess of x_0 is moved towards a function of the source, estimated anew from the
guess; the mean of the draws is moved towards the target's histogram
(:mod:`lmidiff.methods.consistency`). Zero-shot: training sees target images only.

:class:`ConsistentRegression` has the same two parts after one pass of a regression: what they
gain without any diffusion.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from lmidiff.common.settings import settings_of
from lmidiff.diffusion import Denoiser
from lmidiff.methods.base import Method, SliceId, Translation
from lmidiff.methods.consistency import Consistency
from lmidiff.methods.lmidiffusion import GUIDED
from lmidiff.sampler import Sampling

SHARES = frozenset(field.name for field in fields(Consistency))


class SelfConsistentLMIDiffusion(Method):
    """LMI-guided sampling held to be a function of the source, with the target's histogram."""

    label = "Self-consistent LMIDiffusion (ours)"
    family = "diffusion"
    conditions = GUIDED

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Keep the shares and the sampler's settings."""
        self.held = settings_of(
            Consistency,
            {k: v for k, v in settings.items() if k in SHARES},
            "methods.self_consistent",
        )
        rest = {k: v for k, v in settings.items() if k not in SHARES}
        self.settings = settings_of(Sampling, rest, "methods.self_consistent")

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """Mean over the draws, made consistent and moved to the histogram; and the deviation."""
        subjects = [subject for subject, _ in ids]
        denoise = self.model.denoiser(source, self.settings.precision)
        guided = self.consistent(denoise, source, subjects)
        mean, spread = self.model.sample(guided, self.settings, source, ids, self.seed)
        image = self.held.towards_function(mean, source, subjects)
        image = self.held.towards_histogram(image, source, subjects, self.model.target)
        return Translation(image.clamp(0, 1), spread)

    def consistent(self, denoise: Denoiser, source: Tensor, subjects: list[str]) -> Denoiser:
        """``denoise`` with its x_0 moved towards a function of ``source`` (N, 1, H, W)."""

        @torch.no_grad()
        def guided(x: Tensor, t: int) -> Tensor:
            image = self.model.to_image(denoise(x, t))
            return self.model.to_range(self.held.towards_function(image, source, subjects))

        return guided


class ConsistentRegression(Method):
    """One pass of the contrast-randomised regression, then the function and the histogram."""

    label = "One pass, made self-consistent"
    family = "regression"

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Keep the shares."""
        self.held = settings_of(Consistency, settings, "methods.cr_regression_consistent")

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """The network's answer, made consistent and moved to the histogram."""
        subjects = [subject for subject, _ in ids]
        image = self.held.towards_function(self.model(source).clamp(0, 1), source, subjects)
        return Translation(
            self.held.towards_histogram(image, source, subjects, self.model.target).clamp(0, 1)
        )
