"""One-pass translation by a regression U-Net: one evaluation, no noise, no draws."""

from torch import Tensor

from lmidiff.methods.base import Method, SliceId, Translation


class ContrastRandomisedRegression(Method):
    """Trained from contrast-randomised target images to the target images themselves.

    The idea of contrast-agnostic synthesis (Billot et al. 2023, SynthSeg; Iglesias et al. 2021,
    SynthSR) with the study's contrast randomisation of real target images instead of a generative
    model of label maps. Zero-shot: no source image is seen.
    """

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:  # noqa: ARG002
        """The network's one answer."""
        return Translation(self.model(source).clamp(0, 1))


class SyntheticRegression(ContrastRandomisedRegression):
    """Trained from images painted on label maps to the target images (SynthSR).

    It sees no source image, but label maps, which the other zero-shot rows do without.
    """


class Supervised(ContrastRandomisedRegression):
    """Trained on pairs of the very source modality, which is more than a zero-shot row may see."""
