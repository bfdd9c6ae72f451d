"""Gradient guidance: an unconditional target DDPM steered towards high LMI with the source.

It needs no condition in training, so it shares its model with SDEdit. The authors' layer
passes no gradient (docs of :mod:`lmidiff.lmi`); the closed-form estimator does.
"""

from torch import Tensor

from lmidiff.guidance import steer
from lmidiff.methods.base import Method, SliceId, Translation


class GradientLMIDiffusion(Method):
    """Classifier guidance with mean LMI(source, predicted x_0) as the score."""

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """Mean and standard deviation over the draws."""
        settings, model = self.settings, self.model
        denoise, scale = model.denoiser(source, settings.precision), float(settings.scale)
        guided = steer(model.schedule, denoise, source, settings.guidance, scale, model.to_image)
        return Translation(*model.sample(guided, settings, source, ids, self.seed))
