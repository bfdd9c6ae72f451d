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

from lmidiff.data.brain_network import SIDE as CUBE
from lmidiff.data.brain_network import VOXEL_MM, cube_logits, to_cube

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
"""How much more in doubt the network must be, as a share, than at another way round."""

HEAD_MM = 150.0
"""A field of view narrower than this along an axis shows a part of a head; nothing is said."""

CUT_SHARE = 0.01
"""Of a face of the field of view that is brain: less is a brain that touches it, more is cut."""


def turned_axes(brain: np.ndarray, affine: np.ndarray) -> str:
    """Which axes the header seems to mean, where the brain does not lie as it says.

    Args:
        brain: (X, Y, Z) bool, axes closest to right, anterior, superior.
        affine: (4, 4), voxels to RAS mm.

    Returns:
        "" where the brain lies as its header says, is cut by the field of view, or is too small a
        part to tell; else the true directions of the axes that the header calls right, front and
        top: "R, S, P" for a brain whose front is at the bottom.
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
    faces = (brain.take(place, axis) for axis in range(3) for place in (0, -1))
    return any(face.mean() > CUT_SHARE for face in faces)


def turned_head(data: np.ndarray, voxel_mm: np.ndarray) -> str:
    """As :func:`turned_axes`, of a scan that shows the head around the brain.

    Args:
        data: (X, Y, Z) float32, at least 0, axes closest to right, anterior, superior.
        voxel_mm: (3,) edges of a voxel.
    """
    if (np.array(data.shape) * voxel_mm < HEAD_MM).any():
        return ""
    cube, start = to_cube(data, voxel_mm)
    rim = _rim(start, np.array(data.shape) * voxel_mm)
    seen = {
        names: (*_doubt(turned), edge)
        for (names, turned), (_, edge) in zip(_turns(cube), _turns(rim), strict=True)
    }
    best = min(seen, key=lambda names: seen[names][0])
    doubt, brain, edge = seen[best]
    if seen["RAS"][0] <= (1 + HEAD_DOUBT) * doubt:
        return ""
    # What is cut is none of the heads that the network knows, whichever way it lies.
    return "" if (brain & edge).sum() > CUT_SHARE * edge.sum() / 6 else ", ".join(best)


def _rim(start: np.ndarray, size_mm: np.ndarray) -> np.ndarray:
    """The outermost voxels of the field of view in the network's cube, (64, 64, 64) bool."""
    first = np.maximum(-start, 0)
    last = np.minimum(np.floor(size_mm / VOXEL_MM).astype(int) - start, CUBE)
    inside, inner = np.zeros((2, CUBE, CUBE, CUBE), bool)
    inside[tuple(map(slice, first, last))] = True
    inner[tuple(map(slice, first + 1, last - 1))] = True
    return inside & ~inner


def _doubt(cube: np.ndarray) -> tuple[float, np.ndarray]:
    """How thick the layer is, over the surface of the brain, in which the network is in doubt.

    Returns:
        The thickness, infinite where no brain is seen, and the brain, (64, 64, 64) bool.
    """
    logits = cube_logits(np.ascontiguousarray(cube)[None])[0]
    pieces, count = ndimage.label(logits > 0)
    if not count:
        return float("inf"), pieces > 0
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    unsure = float((1 - np.abs(np.tanh(logits / 2))).sum())
    return unsure / float(sizes.max()) ** (2 / 3), pieces == sizes.argmax()


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
