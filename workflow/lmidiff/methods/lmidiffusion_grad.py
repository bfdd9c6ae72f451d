"""Gradient guidance: an unconditional target DDPM steered towards high LMI with the source.

It needs no condition in training, so it shares its model with SDEdit. The authors' layer
passes no gradient (docs of :mod:`lmidiff.lmi`); the closed-form estimator does.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lmidiff.common.errors import StudyError
from lmidiff.common.settings import settings_of
from lmidiff.guidance import Guidance, steer
from lmidiff.methods.base import Method, SliceId, Translation
from lmidiff.sampler import Sampling


class GradientLMIDiffusion(Method):
    """Classifier guidance with mean LMI(source, predicted x_0) as the score."""

    label = "LMI gradient guidance"
    family = "diffusion"
    conditions = frozenset({"none"})

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Keep the guidance scale, the maps' settings and the sampler's."""
        settings = dict(settings)
        self.scale = float(settings.pop("scale", 0.1))
        block = {"condition": "none", **settings.pop("guidance", {})}
        self.guidance = settings_of(Guidance, block, "methods.lmidiffusion_grad.guidance")
        if self.guidance.estimator == "reference":
            raise StudyError(
                "config: methods.lmidiffusion_grad.guidance.estimator 'reference' passes no "
                "gradient; use renyi2 or parzen"
            )
        self.settings = settings_of(Sampling, settings, "methods.lmidiffusion_grad")

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """Mean and standard deviation over the draws."""
        denoise = self.model.denoiser(source, self.settings.precision)
        guided = steer(
            self.model.schedule, denoise, source, self.guidance, self.scale, self.model.to_image
        )
        return Translation(*self.model.sample(guided, self.settings, source, ids, self.seed))
