"""The head in scans on the study grid: all within the skin, and no air around it."""

from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from lmidiff.common.errors import StudyError

SHARE = 0.15
"""Brighter than this share of the brain's median is head: noise and ghosts in air are darker."""

CLOSING_MM = 6.0
"""Gaps of the skin up to twice this wide are closed, so that dark bone below them is head."""

DARKEST = 1e-3
"""No pixel of the head is darker, of a range of 1: 0 is air (:data:`lmidiff.images.rim.LEAST`)."""

LEAST_MORE = 0.15
"""A head fills at least this much more of the slices than its brain; rims of a mask do not."""


def head_mask(
    images: Iterable[np.ndarray], brain: np.ndarray, pixel_mm: float, name: str
) -> np.ndarray:
    """What every scan of a person shows as head, with the brain.

    Slice by slice: pixels brighter than ``SHARE`` of the brain's median, with small gaps closed,
    the piece that holds the brain, and what it encloses (bone and air-filled sinuses are dark).

    Args:
        images: (S, S, Z) each, on one grid, background not removed.
        brain: (S, S, Z) bool, not empty.
        pixel_mm: side of a pixel.
        name: what messages call the person's scans.

    Returns:
        (S, S, Z) bool.

    Raises:
        StudyError: there is no head around the brain, as in an image that is skull-stripped.
    """
    head = np.ones(brain.shape, bool)
    for image in images:
        bright = brain | (image > SHARE * np.median(image[brain]))
        for z in range(brain.shape[2]):
            head[..., z] &= _within_skin(bright[..., z], brain[..., z], pixel_mm)
    head |= brain
    if head.sum() < (1 + LEAST_MORE) * brain.sum():
        raise StudyError(
            f"{name}: shows no head around the brain, and data.field is head; give scans that are "
            "not skull-stripped, or set data.field: brain"
        )
    return head


def _within_skin(bright: np.ndarray, brain: np.ndarray, pixel_mm: float) -> np.ndarray:
    """The head of a slice, (S, S) bool."""
    reach = max(1, round(CLOSING_MM / pixel_mm))
    # Beyond the image the head goes on as it ends there, or its cut edge would be eaten away.
    wide = np.pad(bright, 2 * reach, mode="edge")
    disc = np.hypot(*np.indices((2 * reach + 1,) * 2) - reach) <= reach
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(wide, disc))
    inner = (slice(2 * reach, -2 * reach),) * 2
    # Closing joins what lies near the head to it; opening lets go of what hangs by a thread.
    pieces, count = ndimage.label(ndimage.binary_opening(filled)[inner])
    if not count:
        return brain
    wanted = pieces[brain] if brain.any() else pieces
    sizes = np.bincount(wanted.ravel(), minlength=count + 1)
    sizes[0] = 0
    return pieces == sizes.argmax() if sizes.any() else brain
