"""Where the brain is in a raw scan, with or without its skull."""

import numpy as np
from scipy import ndimage

from lmidiff.common.errors import StudyError
from lmidiff.data.brain_network import brain_share
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

SLAB_MM, CONTINUED_MM = 12.0, 24.0
"""A slab lower than the first is continued to the second. On slices of real T1w, T2w and PDw heads,
repeated, the masks have 142 to 162 cm2 where about 160 are right, and had 0 to 156."""

BAND_MM = 6.0
"""How far from the network's surface the scan itself decides."""

BONE_SHARE = 0.55
"""Bone is darker than this share of the brain's median."""

OPENING_MM, CLOSING_MM = 3.5, 8.0

FLUID_SHARE = 0.5
"""Fluid is dark where the darkest twentieth of the brain is below this share of its median."""

DARK_RIM_MM, BRIGHT_RIM_MM = 2.0, -0.5
"""Added where the rim of fluid is dark as bone, taken away where it is bright to the skull."""


def find_brain(volume: Volume) -> np.ndarray:
    """The brain: tissue, ventricles and the fluid close around them; (X, Y, Z) bool.

    The mask network says where the brain is, to some millimetres; within that band the scan's own
    dark bone says where it ends, see :func:`refine`. A scan in which nothing but the brain is left
    above zero, as skull stripping leaves it, keeps all of that.

    Raises:
        StudyError: no brain was found, or what is shown is far too large for a head.
    """
    _check_size(volume)
    found = locate(volume)
    voxel_ml = float(np.prod(volume.voxel_mm)) / 1000
    size = float(found.sum()) * voxel_ml
    least = min(NO_BRAIN_ML, NO_BRAIN_SHARE * found.size * voxel_ml)
    if size <= least or not _has_air(volume, found):
        raise StudyError(
            f"{volume.name}: no brain was found ({size:.0f} ml); check that it is a head, upright "
            "in its header, or give a brain mask"
        )
    something = volume.data > 0
    if STRIPPED_RATIO * found.sum() >= something.sum() >= found.sum() / STRIPPED_RATIO:
        return _filled(_largest(something))
    return refine(volume, found)


def _check_size(volume: Volume) -> None:
    for axis, edge in enumerate(volume.voxel_mm):
        shown = np.flatnonzero(volume.data.any(axis=tuple(k for k in range(3) if k != axis)))
        wide = float(edge) * (shown[-1] - shown[0] + 1) if len(shown) else 0.0
        if wide > FIELD_MM:
            raise StudyError(
                f"{volume.name}: what it shows is {wide:.0f} mm wide, by voxels of {edge:.4g} mm, "
                "and a head is not; set the header's affine from the original scan, in millimetres"
            )


def _has_air(volume: Volume, found: np.ndarray) -> bool:
    """Whether some of the scan is much darker than the brain, as the air beside a head is.

    A single slice that is cut close to the head holds little of it: its corners.
    """
    smoothed = ndimage.uniform_filter(volume.data, 3)
    return bool(np.percentile(smoothed, AIR_PERCENTILE) < AIR_SHARE * np.median(smoothed[found]))


def locate(volume: Volume) -> np.ndarray:
    """The network's answer: the largest piece of what it takes for brain.

    It sees the air above and below a slab, where a head goes on. So a slab lower than three of the
    network's voxels is continued by its outer slices, to six of them.
    """
    data, slices = volume.data, volume.data.shape[2]
    edge = float(volume.voxel_mm[2])
    more = int(np.ceil((CONTINUED_MM - slices * edge) / edge)) if slices * edge < SLAB_MM else 0
    below = more // 2
    continued = np.pad(data, ((0, 0), (0, 0), (below, more - below)), mode="edge")
    share = brain_share(continued, volume.voxel_mm)[:, :, below : below + slices]
    return _largest(share > 0)


def refine(volume: Volume, found: np.ndarray) -> np.ndarray:
    """Move the surface of a mask to where the scan shows bone.

    In a band around the surface, what is brighter than 55 % of the brain's median and thicker than
    7 mm, together with what lies deeper than the band, is the brain; it is then closed by 8 mm,
    which takes in fissures. Cortical bone is dark in every common sequence; fluid is dark or
    bright, and the rim is set by which.

    Args:
        volume: the scan, not corrected.
        found: (X, Y, Z) bool, right to about ``BAND_MM``.
    """
    edges = volume.voxel_mm
    core = _depth(found, edges) > BAND_MM
    if not core.any():
        return _filled(found)
    near = _depth(~found, edges) <= BAND_MM
    smoothed = ndimage.gaussian_filter(volume.data, 0.7 / edges)
    low, middle = np.percentile(smoothed[core], (5, 50))
    rim = DARK_RIM_MM if low < FLUID_SHARE * middle else BRIGHT_RIM_MM
    bright = (smoothed > BONE_SHARE * middle) & near
    piece = _largest((_depth(bright, edges) > OPENING_MM) | core)
    grown = _depth(~piece, edges) <= OPENING_MM + rim
    margins = [int(np.ceil(CLOSING_MM / edge)) + 1 for edge in edges]
    room = np.pad(grown, [(m, m) for m in margins])
    wide = _depth(~room, edges) <= CLOSING_MM
    closed = _depth(wide, edges) > CLOSING_MM
    inner = tuple(slice(m, -m) for m in margins)
    return _filled((closed[inner] & near) | core)


def _depth(mask: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Distance in mm to the nearest voxel outside a mask; 0 outside."""
    return ndimage.distance_transform_edt(mask, sampling=edges)


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
