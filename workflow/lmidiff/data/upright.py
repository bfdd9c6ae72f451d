"""Does a brain lie as its header says? Asked by turning it every way.

A header that calls the wrong axis "up" cannot be seen in the header. Of a brain without its skull
the outline tells, against a template's: a brain is longer than wide, and flat below. Of a whole
head the mask network tells, which knows upright heads alone: turned any other way it is less sure
where the brain ends. Left and right look the same, so a mirrored brain or head is not found.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import permutations, product

import numpy as np
from scipy import ndimage

from lmidiff.data.brain import STRIPPED_RATIO
from lmidiff.data.brain_network import cube_logits, to_cube

STEP_MM = 6.0
SIDE = 40
"""The outlines are compared on a cube of this many steps."""

TEMPLATE_MM3 = 1.9e6
"""Volume that every outline is scaled to, mm^3: about the template's own."""

DOUBT = 0.02
"""How much better another way round must fit, in Dice. Of 148 real people's brains, upright, none
fitted another way better by more than .014, so none was doubted; turned every other way, 1.5 of a
thousand were missed, most of them of people whose brain fits upside down and back to front."""

LEAST_FIT = 0.75
"""A part of a brain fits no way round; nothing is said of it."""

HEAD_DOUBT = 0.03
"""How much more in doubt the network must be than at another way round, as a share. Of 166 real
upright heads, T1w and FLAIR, none was by more than .025, so none was doubted; turned every other
way, 3 of a thousand were missed (of the FLAIR 3 of a hundred)."""

HEAD_BRIGHT, SLAB_SHARE = 0.15, 0.1
"""A head is brighter than this share of the 99th percentile. Where it fills more than the second
share of two opposite faces of the field of view it is a slab, which the network does not know."""

CUT_SHARE = 0.14
"""A brain that is cropped to its own extent touches a face of the field of view with less than this
share of its own extent there: .13 at most, of nine people's. Cut by an eighth it has .09 to .5."""


def lies_otherwise(data: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> str:
    """Where the header has right, front and top, if the brain in a scan does not lie as it says.

    Args:
        data: (X, Y, Z) float32, at least 0, axes closest to right, anterior, superior.
        brain: (X, Y, Z) bool.
        affine: (4, 4), voxels to RAS mm.

    Returns:
        As :func:`turned_axes`, by the head around the brain where there is one.
    """
    if (data > 0).sum() > STRIPPED_RATIO * brain.sum():
        return turned_head(data, np.linalg.norm(affine[:3, :3], axis=0))
    return turned_axes(brain, affine)


def turned_axes(brain: np.ndarray, affine: np.ndarray) -> str:
    """Where the header has a brain's right, front and top, if the brain does not lie as it says.

    Args:
        brain: (X, Y, Z) bool, axes closest to right, anterior, superior.
        affine: (4, 4), voxels to RAS mm.

    Returns:
        "" where the brain lies as its header says, is cut by the field of view, or is too small a
        part to tell; else what the header calls its right, front and top: "R, S, P" for a brain
        whose front is at the header's top.
    """
    if is_cut(brain):
        return ""
    shape = _outline(brain, affine)
    template = _template()
    fits = {names: _dice(turned, template) for names, turned in _turns(shape)}
    best = max(fits, key=fits.__getitem__)
    if fits[best] < LEAST_FIT or fits[best] - fits["RAS"] <= DOUBT:
        return ""
    return ", ".join(best)


def is_cut(brain: np.ndarray) -> bool:
    """Whether the brain reaches the edge of the field of view, so that a part of it is missing."""
    extent = [np.ptp(places) + 1 for places in np.nonzero(brain)]
    for axis in range(3):
        own = CUT_SHARE * np.prod(extent) / extent[axis]
        if any(brain.take(place, axis).sum() > own for place in (0, -1)):
            return True
    return False


def turned_head(data: np.ndarray, voxel_mm: np.ndarray) -> str:
    """As :func:`turned_axes`, of a scan that shows the head around the brain.

    Args:
        data: (X, Y, Z) float32, at least 0, axes closest to right, anterior, superior.
        voxel_mm: (3,) edges of a voxel.
    """
    if _is_slab(data):
        return ""
    cube, _ = to_cube(data, voxel_mm)
    doubts = {names: _doubt(turned) for names, turned in _turns(cube)}
    best = min(doubts, key=doubts.__getitem__)
    return "" if doubts["RAS"] <= (1 + HEAD_DOUBT) * doubts[best] else ", ".join(best)


def _is_slab(data: np.ndarray) -> bool:
    """Whether the head goes on beyond two opposite faces of the field of view."""
    head = data > HEAD_BRIGHT * np.percentile(data, 99)
    return any(
        min(head.take(place, axis).mean() for place in (0, -1)) > SLAB_SHARE for axis in range(3)
    )


def _doubt(cube: np.ndarray) -> float:
    """How thick the layer is, over the surface of the brain, in which the network is in doubt."""
    logits = cube_logits(np.ascontiguousarray(cube)[None])[0]
    pieces, count = ndimage.label(logits > 0)
    if not count:
        return float("inf")
    size = float(np.bincount(pieces.ravel())[1:].max())
    return float((1 - np.abs(np.tanh(logits / 2))).sum()) / size ** (2 / 3)


def _turns(shape: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The cube in every way round; mirrors left to right are one."""
    for order in permutations(range(3)):
        for flips in product((False, True), repeat=2):
            turned = np.transpose(shape, order)
            names = ["RAS"[axis] for axis in order]
            for axis, flip in zip((1, 2), flips, strict=True):
                if flip:
                    turned = np.flip(turned, axis)
                    names[axis] = {"R": "L", "A": "P", "S": "I"}[names[axis]]
            yield "".join(names), turned


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one * other).sum() / (np.square(one).sum() + np.square(other).sum()))


def _outline(brain: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The brain on a cube around the middle of its extent, scaled to the template's volume."""
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    found = np.argwhere(brain)
    middle = (found.min(axis=0) + found.max(axis=0)) / 2
    size = float(np.cbrt(brain.sum() * np.prod(edges) / TEMPLATE_MM3))
    step = STEP_MM * size / edges
    offset = middle - step * (SIDE - 1) / 2
    smooth = ndimage.gaussian_filter(brain.astype(np.float32), 0.4 * step)
    return ndimage.affine_transform(smooth, step, offset, output_shape=(SIDE,) * 3, order=1)


@lru_cache(maxsize=1)
def _template() -> np.ndarray:
    from nilearn import datasets  # costs a second, and only this function needs it

    mask = datasets.load_mni152_brain_mask(resolution=2)
    return _outline(np.asarray(mask.dataobj) > 0, np.asarray(mask.affine))
