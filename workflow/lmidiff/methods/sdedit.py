"""SDEdit (Meng et al. 2022): noise the source part of the way, denoise it as target.

``strength`` is the share of the schedule at which the noised source starts (t_0 in the paper).
It is chosen on validation subjects, for each source modality by itself.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lmidiff.common.errors import StudyError
from lmidiff.common.settings import settings_of
from lmidiff.methods.base import Method, SliceId, Translation
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
        denoise = self.model.denoiser(source, self.settings.precision)
        drawn = self.model.sample(
            denoise, self.settings, source, ids, self.seed, start=self.strength
        )
        return Translation(*drawn)
