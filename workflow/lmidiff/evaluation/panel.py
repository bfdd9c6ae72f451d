"""What a panel of Figure 2 holds: one slice, its translations and labels, and its close-ups."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lmidiff.common.errors import StudyError

SOURCE, TARGET = "source", "target"
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Panel:
    """One subject's slice, translated from one source modality: three lines of the grid.

    Attributes:
        title: names the source modality, e.g. ``PDw``.
        subtitle: names subject and slice.
        images: (X, Y) slices in RAS orientation (x to the subject's right, y to the front), 0..1,
            under ``"source"``, ``"target"`` and the key of each method. A method that is not there
            is drawn as an empty cell that says so.
        labels: (X, Y) K-Means labels 0..3 under the same keys; absent ones stay empty.
        pixel_size: side of a pixel in mm.
        rois: close-ups as ``(x, y, width, height)`` in pixels of the arrays; none takes
            :func:`choose_roi` of the target's labels.
    """

    title: str
    subtitle: str
    images: Mapping[str, NDArray[np.floating]]
    labels: Mapping[str, NDArray[np.integer]] = field(default_factory=dict)
    pixel_size: float = 1.0
    rois: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        for key in (SOURCE, TARGET):
            if key not in self.images:
                raise StudyError(f"figure 2: {self.title} {self.subtitle} has no {key} image")
        shape = np.shape(self.images[TARGET])
        for key, image in [*self.images.items(), *self.labels.items()]:
            if np.ndim(image) != 2 or np.shape(image) != shape:
                raise StudyError(
                    f"figure 2: {self.title} {self.subtitle}, {key}: shape {np.shape(image)},"
                    f" target {shape}"
                )
        for x, y, width, height in self.rois:
            fits = x + width <= shape[0] and y + height <= shape[1]
            if min(x, y) < 0 or min(width, height) < 1 or not fits:
                raise StudyError(
                    f"figure 2: roi {(x, y, width, height)} does not fit a slice of {shape}"
                )

    @property
    def brain(self) -> NDArray[np.bool_]:
        """Where the true target has a K-Means label or, without labels, is above 0.1."""
        target = np.asarray(self.images[TARGET])
        return np.asarray(self.labels.get(TARGET, target > 0.1)) > 0


def choose_roi(labels: NDArray[np.integer], side: int) -> Box:
    """The square in which the rarest of the three tissues is most frequent.

    Chosen from the true target alone, so that no method picks its own close-up.

    Args:
        labels: (X, Y) labels 0..3.
        side: side of the square in pixels, cut to the image.
    """
    labels = np.asarray(labels)
    side = min(side, *labels.shape)
    sums = []
    for label in (1, 2, 3):
        total = np.pad((labels == label).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        sums.append(
            total[side:, side:]
            - total[:-side, side:]
            - total[side:, :-side]
            + total[:-side, :-side]
        )
    x, y = np.unravel_index(np.argmin(-np.min(sums, axis=0)), sums[0].shape)
    return int(x), int(y), side, side
