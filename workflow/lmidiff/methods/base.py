"""The contract every translation method keeps."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

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
    """A translation method.

    Class attributes, which the rules read to build the DAG:

    Attributes:
        label: what tables and figures print.
        family: the model family the method's ``model`` must be of, or None for no model.
        conditions: of a diffusion model, the ``guidance.condition`` that the method can use, or
            None for a family without.
        sees_test_target: whether its rule is handed the true target image (:class:`Ceiling`).
    """

    label: ClassVar[str]
    family: ClassVar[str | None] = None
    conditions: ClassVar[frozenset[str] | None] = None
    sees_test_target: ClassVar[bool] = False

    def __init__(self, settings: Mapping[str, Any], model: Any, seed: int) -> None:
        """``settings`` is the method's block of the config, ``model`` what its family loads."""
        self.model, self.seed = model, seed
        self.configure(settings)

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Check and keep the settings; raises StudyError for an unknown key."""
        from lmidiff.common.settings import settings_of

        settings_of(NoSettings, settings, "methods")

    @abstractmethod
    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """Translate source slices.

        Args:
            source: (N, 1, H, W) in 0..1, air exactly 0, on the model's device.
            ids: subject and slice number of each, which seed its noise.
        """


class Ceiling(Method):
    """What is made from the answer: a bound, not a method."""

    sees_test_target = True

    @abstractmethod
    def answer(self, source: Tensor, target: Tensor, ids: list[SliceId]) -> Translation:
        """What the true target (N, 1, H, W) allows; arguments otherwise as for ``translate``."""

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:  # noqa: ARG002
        """Raise StudyError: without the answer there is no translation."""
        raise StudyError(f"{self.label}: it needs the true target image")


@dataclass(frozen=True)
class NoSettings:
    """For methods that take none."""
