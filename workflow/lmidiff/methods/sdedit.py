"""SDEdit (Meng et al. 2022): noise the source part of the way, denoise it as target.

``strength`` is the share of the schedule at which the noised source starts (t_0 in the paper). At 1
nothing is left of the source, so studies stay below it.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lmidiff.common.errors import StudyError
from lmidiff.common.settings import settings_of
from lmidiff.methods.base import Method, SliceId, Translation
from lmidiff.methods.simple import matched
from lmidiff.sampler import Sampling


class SDEdit(Method):
    """Image to image through an unconditional target DDPM."""

    label = "SDEdit"
    family = "diffusion"
    conditions = frozenset({"none"})

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Keep the strength and the sampler's settings."""
        settings = dict(settings)
        self.strength = float(settings.pop("strength", 0.5))
        if not 0 < self.strength <= 1:
            raise StudyError(f"config: methods.sdedit.strength {self.strength} is not in (0, 1]")
        self.settings = settings_of(Sampling, settings, "methods.sdedit")

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """Mean and standard deviation over the draws."""
        begin = self.begin(source, ids)
        denoise = self.model.denoiser(begin, self.settings.precision)
        drawn = self.model.sample(denoise, self.settings, begin, ids, self.seed, self.strength)
        return Translation(*drawn)

    def begin(self, source: Tensor, ids: list[SliceId]) -> Tensor:  # noqa: ARG002
        """The image that is noised: the source."""
        return source


class InvertedSDEdit(SDEdit):
    """SDEdit begun at the inverted, histogram-matched source in place of the source itself.

    SDEdit was made for strokes in the colours of the target. A source of another contrast has not
    even those; this is the nearest guess at them that needs no training.
    """

    label = "SDEdit, from the inverted histogram"

    def begin(self, source: Tensor, ids: list[SliceId]) -> Tensor:
        """The inverted histogram of ``source``."""
        subjects = [subject for subject, _ in ids]
        return matched(source, subjects, self.model.target, inverted=True)
