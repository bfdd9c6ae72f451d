"""SDEdit (Meng et al. 2022): noise the source part of the way, denoise it as target.

At a strength of 1 nothing is left of the source, so studies stay below it.
"""

from torch import Tensor

from lmidiff.methods.base import Method, SliceId, Translation
from lmidiff.methods.simple import matched


class SDEdit(Method):
    """Image to image through an unconditional target DDPM."""

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """Mean and standard deviation over the draws."""
        begin = self.begin(source, ids)
        denoise = self.model.denoiser(begin, self.settings.precision)
        start = float(self.settings.strength)
        drawn = self.model.sample(denoise, self.settings, begin, ids, self.seed, start)
        return Translation(*drawn)

    def begin(self, source: Tensor, ids: list[SliceId]) -> Tensor:  # noqa: ARG002
        """The image that is noised: the source."""
        return source


class InvertedSDEdit(SDEdit):
    """SDEdit begun at the inverted, histogram-matched source in place of the source itself.

    SDEdit was made for strokes in the colours of the target. A source of another contrast has not
    even those; this is the nearest guess at them that needs no training.
    """

    def begin(self, source: Tensor, ids: list[SliceId]) -> Tensor:
        """The inverted histogram of ``source``."""
        subjects = [subject for subject, _ in ids]
        return matched(source, subjects, self.model.target, inverted=True)
