"""LMIDiffusion (Wang et al., arXiv 2404.01102): sampling under local mutual information maps.

A DDPM of the target modality takes [x_t, LMI(y, x_t), LMI(y, y)]. In training y is the target
image itself; here y is the source, whose modality the model has never seen.

Departures from the authors' code, each a switch of the config (docs in config/README.md):
the closed-form estimator, fewer steps of a better solver, the mean of several draws, and x_0
clipped to the range of images.
"""

from torch import Tensor

from lmidiff.methods.base import Method, SliceId, Translation


class LMIDiffusion(Method):
    """The paper's method: from pure noise, guided by the maps of the unseen source."""

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """Mean and standard deviation over the draws."""
        denoise = self.model.denoiser(source, self.settings.precision)
        return Translation(*self.model.sample(denoise, self.settings, source, ids, self.seed))


class ContrastRandomisedLMIDiffusion(LMIDiffusion):
    """LMIDiffusion whose model saw maps of contrast-randomised target images.

    MI does not care how intensities are named, but it does care how far apart they are; the
    randomised contrast keeps the model from relying on the target's own distances. Still
    zero-shot: no source image is seen. This is the study's variant, not the paper's.
    """
