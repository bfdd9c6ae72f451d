"""The contract every translation method keeps."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lmidiff.common.errors import StudyError

SliceId = tuple[str, int]


@dataclass(frozen=True)
class Translation:
    """What a method gives back.

    Attributes:
        image: (N, 1, H, W) in 0..1; the mean over draws where a method samples.
        spread: standard deviation over the draws, same shape and units, or None.
    """

    image: Tensor
    spread: Tensor | None = None


class Method(ABC):
    """A translation method; what a plan knows of it stands in :data:`lmidiff.methods.METHODS`.

    Args:
        settings: of the dataclass that is declared there.
        model: what its family loads; None for a method without a model.
        seed: the study's.
        label: what tables and figures print.
    """

    def __init__(self, settings: Any, model: Any, seed: int, label: str) -> None:
        self.settings, self.model, self.seed, self.label = settings, model, seed, label

    @abstractmethod
    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """Translate source slices.

        Args:
            source: (N, 1, H, W) in 0..1, air exactly 0, on the model's device.
            ids: subject and slice number of each, which seed its noise.
        """


class Ceiling(Method):
    """What is made from the answer: a bound, not a method."""

    @abstractmethod
    def answer(self, source: Tensor, target: Tensor, ids: list[SliceId]) -> Translation:
        """What the true target (N, 1, H, W) allows; arguments otherwise as for ``translate``."""

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:  # noqa: ARG002
        """Raise StudyError: without the answer there is no translation."""
        raise StudyError(f"{self.label}: it needs the true target image")
