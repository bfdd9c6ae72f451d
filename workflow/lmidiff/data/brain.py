"""Where the brain is in a raw scan, with or without its skull."""

import numpy as np
from scipy import ndimage

from lmidiff.common.errors import StudyError
from lmidiff.data.brain_network import brain_share
from lmidiff.data.brain_surface import brain_surface
from lmidiff.data.volumes import Volume

STRIPPED_RATIO = 1.35
"""What is not zero is the brain if it holds at most this many times the found brain's volume."""

NO_BRAIN_ML = 100.0
"""A smaller find is none; a slab of few slices is measured against its field of view instead."""

NO_BRAIN_SHARE = 0.02

FIELD_MM = 600.0
"""No scanner shows a head, and no head is, wider than this."""

AIR_SHARE, AIR_PERCENTILE = 0.6, 5.0
"""A scan holds a head if its darkest twentieth is below this share of the brain's median."""

SLAB_MM, CONTINUED_MM = 12.0, 34.0
"""A slab lower than the first is continued to the second. On slices of a real T1w and T2w head,
repeated, the masks have 163 to 175 cm2 where about 165 is right, out to the dura; continued to
24 mm they had 125 to 162."""


def find_brain(volume: Volume) -> np.ndarray:
    """The brain: tissue, ventricles and the fluid close around them; (X, Y, Z) bool.

    One network says where the brain is, another where it ends. A scan in which nothing but the
    brain is left above zero, as skull stripping leaves it, keeps all of that.

    Raises:
        StudyError: no brain was found, or what is shown is far too large for a head.
    """
    _check_size(volume)
    data, part = _continued(volume)
    share = brain_share(data, volume.voxel_mm)
    found = _largest((share > 0)[part])
    _check_found(volume, found)
    something = volume.data > 0
    if STRIPPED_RATIO * found.sum() >= something.sum() >= found.sum() / STRIPPED_RATIO:
        return _filled(_largest(something))
    brain = _filled(_largest((brain_surface(data, volume.voxel_mm, share) > 0)[part]))
    _check_found(volume, brain)
    return brain


def locate(volume: Volume) -> np.ndarray:
    """The largest piece of what the first network alone takes for brain: right to some mm."""
    data, part = _continued(volume)
    return _largest((brain_share(data, volume.voxel_mm) > 0)[part])


def _check_size(volume: Volume) -> None:
    for axis, edge in enumerate(volume.voxel_mm):
        shown = np.flatnonzero(volume.data.any(axis=tuple(k for k in range(3) if k != axis)))
        wide = float(edge) * (shown[-1] - shown[0] + 1) if len(shown) else 0.0
        if wide > FIELD_MM:
            raise StudyError(
                f"{volume.name}: what it shows is {wide:.0f} mm wide, by voxels of {edge:.4g} mm, "
                "and a head is not; set the header's affine from the original scan, in millimetres"
            )


def _check_found(volume: Volume, found: np.ndarray) -> None:
    voxel_ml = float(np.prod(volume.voxel_mm)) / 1000
    size = float(found.sum()) * voxel_ml
    least = min(NO_BRAIN_ML, NO_BRAIN_SHARE * found.size * voxel_ml)
    if size <= least or not _has_air(volume, found):
        raise StudyError(
            f"{volume.name}: no brain was found ({size:.0f} ml); check that it is a head, upright "
            "in its header, or give a brain mask"
        )


def _has_air(volume: Volume, found: np.ndarray) -> bool:
    """Whether some of the scan is much darker than the brain, as the air beside a head is.

    A single slice that is cut close to the head holds little of it: its corners.
    """
    smoothed = ndimage.uniform_filter(volume.data, 3)
    return bool(np.percentile(smoothed, AIR_PERCENTILE) < AIR_SHARE * np.median(smoothed[found]))


def _continued(volume: Volume) -> tuple[np.ndarray, tuple[slice, slice, slice]]:
    """The image, and the part of it that the scan holds.

    The networks see the air above and below a slab, where a head goes on. So a slab lower than
    three voxels of the first is continued by its outer slices.
    """
    slices, edge = volume.data.shape[2], float(volume.voxel_mm[2])
    more = int(np.ceil((CONTINUED_MM - slices * edge) / edge)) if slices * edge < SLAB_MM else 0
    below = more // 2
    data = np.pad(volume.data, ((0, 0), (0, 0), (below, more - below)), mode="edge")
    return data, (slice(None), slice(None), slice(below, below + slices))


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
