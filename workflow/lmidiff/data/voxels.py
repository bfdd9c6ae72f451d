"""What the voxels of a scan must be: finite, magnitudes, something to see; and air made air."""

import logging

import numpy as np
from nibabel.spatialimages import SpatialImage
from scipy import ndimage

from lmidiff.common.errors import StudyError

logger = logging.getLogger("lmidiff")

NEGATIVE_SHARE = 0.01
"""Share of the summed absolute intensity that may be negative and is clipped to 0."""


WRAPPED_SHARE = 0.3
"""Integers more negative than this share of the brightest are no undershoot of interpolation."""


PADDED_SHARE = 0.01
"""A constant below zero is padding if so much of the volume has it."""


MOST_EVEN = 0.2
"""A map of labels has more equal neighbours than this (.31 and more, of brains in two to 145
labels at 1 to 4 mm), a scan fewer (.012 at most, of 8 bits and less); see :func:`even_share`."""


def without_padding(data: np.ndarray, name: str) -> np.ndarray:
    """What is not finite, or one constant below zero, around the head as 0; within it stays NaN."""
    broken = "NaN or infinite" if np.isinf(data).any() else "NaN"
    data = np.where(np.isinf(data), np.float32(np.nan), data)
    lowest = np.nanmin(data) if np.isfinite(data).any() else np.nan
    constant = data == lowest
    if not (np.isfinite(lowest) and lowest < 0 and _is_padding(data, constant)):
        constant[:] = False
    for air, value in ((np.isnan(data), broken), (constant, f"{lowest:g}")):
        outside = _outside(np.where(air, 1, data), air)
        if outside.any() and not outside.all():
            count = int(outside.sum())
            logger.warning("WARNING %s: %d voxels around the head are %s: air", name, count, value)
            data = np.where(outside, np.float32(0), data)
    return data


def _is_padding(data: np.ndarray, constant: np.ndarray) -> bool:
    """Whether all that is negative is one constant, and so much that no accident explains it."""
    return bool((constant | ~(data < 0)).all()) and constant.sum() >= PADDED_SHARE * data.size


def _outside(data: np.ndarray, air: np.ndarray) -> np.ndarray:
    """Of ``air``, what reaches the edge of the field of view through air (or zeros).

    Along an axis of one or two slices everything is at the edge, so that axis does not count.
    """
    seed = np.zeros(data.shape, bool)
    for axis, length in enumerate(data.shape):
        if length > 2:
            for place in (0, length - 1):
                seed[(slice(None),) * axis + (place,)] = True
    passable = air | (data == 0)
    return ndimage.binary_propagation(seed & passable, mask=passable) & air


def warn_of_wraps(image: SpatialImage, data: np.ndarray, name: str) -> None:
    """Say where integers have wrapped: far below zero, where no interpolation takes a value."""
    if image.get_data_dtype().kind != "i" or not np.isfinite(data).all():
        return
    low, high = float(data.min()), float(data.max())
    far = data < -WRAPPED_SHARE * high
    if low >= 0 or not far.any() or _is_padding(data, data == low):
        return
    logger.warning(
        "WARNING %s: %d voxels are far below zero (lowest %g), as integers that overflowed are; "
        "export the image again as unsigned or float",
        name,
        int(far.sum()),
        low,
    )


def even_share(data: np.ndarray, brain: np.ndarray) -> float:
    """Share of a brain's voxels whose next neighbour has the very same value along every axis.

    Next to nothing in a scan, whose noise and tissues differ; most of a map of labels.

    Args:
        data: (X, Y, Z), as it was read.
        brain: (X, Y, Z) bool, not empty.
    """
    even = brain.copy()
    for axis, length in enumerate(data.shape):
        if length > 1:
            here, after = ((slice(None),) * axis + (part,) for part in (np.s_[:-1], np.s_[1:]))
            even[here] &= data[here] == data[after]
    return float(even.sum() / brain.sum())


def check_finite(data: np.ndarray, name: str) -> None:
    bad = data.size - int(np.isfinite(data).sum())
    if bad:
        raise StudyError(
            f"{name}: {bad} voxels are NaN or infinite, within the head too; replace them, for "
            "example by 0"
        )


def check_intensities(data: np.ndarray, name: str, flat: bool = False) -> None:
    check_finite(data, name)
    low, high = float(data.min()), float(data.max())
    if low == high and not flat:
        raise StudyError(
            f"{name}: every voxel is {low:g}; the image shows nothing, export it again"
        )
    if low < 0:
        negative = -float(data.sum(where=data < 0, dtype=np.float64))
        share = negative / float(np.abs(data).sum(dtype=np.float64))
        if share > NEGATIVE_SHARE:
            raise StudyError(
                f"{name}: negative values hold {share:.0%} of the intensity (lowest {low:.4g}); "
                "give magnitudes, not z-scores or other shifted values"
            )
