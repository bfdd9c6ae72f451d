"""Where the brain is in a raw scan, with or without its skull."""

import numpy as np
from scipy import ndimage

from lmidiff.data.brain_network import brain_share
from lmidiff.data.volumes import Volume
from lmidiff.errors import StudyError

STRIPPED_RATIO = 1.35
"""What is not zero is the brain if it holds at most this many times the found brain's volume."""

NO_BRAIN_ML = 100.0
"""A smaller find is none; a slab of few slices is measured against its field of view instead."""

NO_BRAIN_SHARE = 0.02


def find_brain(volume: Volume) -> np.ndarray:
    """The brain: tissue, ventricles and the fluid close around them; (X, Y, Z) bool.

    The mask network's answer, its largest piece, with what it encloses. A scan in which nothing
    but the brain is left above zero, as skull stripping leaves it, keeps all of that.

    Raises:
        StudyError: no brain was found.
    """
    share = brain_share(volume.data, volume.voxel_mm)
    found = _largest(share > 0)
    voxel_ml = float(np.prod(volume.voxel_mm)) / 1000
    size = float(found.sum()) * voxel_ml
    least = min(NO_BRAIN_ML, NO_BRAIN_SHARE * found.size * voxel_ml)
    if size <= least:
        raise StudyError(
            f"{volume.name}: no brain was found ({size:.0f} ml); check that it is a head, upright "
            "in its header, or give a brain mask"
        )
    something = volume.data > 0
    if STRIPPED_RATIO * found.sum() >= something.sum() >= found.sum() / STRIPPED_RATIO:
        found = _largest(something)
    return _filled(found)


def _largest(mask: np.ndarray) -> np.ndarray:
    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return pieces == sizes.argmax()


def _filled(mask: np.ndarray) -> np.ndarray:
    """With what it encloses in each axial slice: ventricles are open in a stack of few slices."""
    filled = mask.copy()
    for z in range(mask.shape[2]):
        filled[:, :, z] = ndimage.binary_fill_holes(mask[:, :, z])
    return filled
