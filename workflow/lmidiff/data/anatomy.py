"""Anatomies to simulate: tissue fractions on the study grid, from ICBM 152 or from label maps."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from lmidiff.common.regions import BRAIN, HEAD
from lmidiff.common.seeds import generator_of
from lmidiff.data.atrophy import widened
from lmidiff.data.fields import smooth_field
from lmidiff.data.grid import Grid
from lmidiff.data.labelmaps import read_label_map
from lmidiff.data.sequences import STRUCTURES
from lmidiff.data.whole_head import head_shares

_NUCLEI = {
    "thalamus": ((11, -18, 8), (8, 12, 8)),
    "caudate": ((13, 12, 9), (5, 11, 10)),
    "putamen": ((26, 3, 0), (6, 15, 9)),
    "pallidum": ((19, -4, -1), (4, 8, 5)),
}
"""Centre and radii in mm, in ICBM space, |x| for the first axis."""

Axes = tuple[np.ndarray, np.ndarray, np.ndarray]

_SEARCH_BOX = ((-96, 97), (-132, 97), (-88, 105))  # mm; every warped ICBM brain lies inside


@dataclass(frozen=True)
class Anatomy:
    """Tissue fractions of one subject on the study grid.

    Attributes:
        name: what to call it in messages.
        fractions: float32 (3, X, Y, Z), CSF, GM, WM, each 0..1, summing to at most 1 (0 outside
            the brain).
        affine: (4, 4) voxel index to mm, RAS.
        structures: float32 (K, X, Y, Z), the share of a voxel that is of each of
            :data:`lmidiff.data.sequences.STRUCTURES`, in their order; None if nobody knows.
        slabs: the same person in equal slabs, which together fill the slices of a scan; none if
            these are the grid's.
        head: float32 (1 + H, X, Y, Z), the share of a voxel that is CSF outside the brain, then of
            each of :data:`lmidiff.data.whole_head.AROUND`; None where the brain alone is scanned.
    """

    name: str
    fractions: np.ndarray
    affine: np.ndarray
    structures: np.ndarray | None = None
    head: np.ndarray | None = None
    slabs: tuple["Anatomy", ...] = ()


def label_map_anatomy(
    path: str | Path,
    grid: Grid,
    field: str = BRAIN,
    *,
    slice_thickness: float = 0.0,
    atrophy: float = 0.0,
) -> Anatomy:
    """The anatomy of a person whose brain has been labelled (FreeSurfer numbers).

    Args:
        path: NIfTI label map in any orientation; see :mod:`lmidiff.data.labelmaps`.
        grid: where to sample it.
        field: "head" keeps the head around the brain.
        slice_thickness: mm of the scans' slices, for ``slabs``; 0: as thick as the grid's.
        atrophy: mm by which CSF has widened, see :func:`lmidiff.data.atrophy.widened`.

    Raises:
        StudyError: the file is missing, is no label map, has unknown labels, no brain or no head
            that was asked for, or the brain does not fit into the grid.
    """
    brain = read_label_map(path)
    affine = grid.affine_for(brain.points(), str(path))
    heights, beyond = grid.fine_axes(affine)[2], slice_thickness / 2
    fractions = brain.tissue_between(float(heights.min() - beyond), float(heights.max() + beyond))

    def part(affine: np.ndarray, axes: Axes) -> Anatomy:
        points = np.stack(np.meshgrid(*axes, indexing="ij"))
        fine = np.clip(_sample(fractions.values, fractions.affine, points), 0, 1)
        averaged = _average(widened(fine, atrophy, grid.pixel_size / 2))
        head = _around(path, points, averaged[:3]) if field == HEAD else None
        return Anatomy(str(path), averaged[:3], affine, averaged[3:], head)

    return _with_slabs(part, grid, affine, slice_thickness)


def _around(path: str | Path, points: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """``Anatomy.head`` at fine points, (3, 2X, 2Y, 2Z) in mm; ``brain`` is what was kept of it."""
    affine, shares = head_shares(path)
    head = np.concatenate([_average(_sample(each[None], affine, points)) for each in shares])
    # What has a brain's label and was not kept as brain is CSF between it and the skull.
    head[0] -= brain.sum(axis=0)
    return np.clip(head, 0, 1)


@lru_cache(maxsize=1)
def _icbm_template() -> tuple[np.ndarray, np.ndarray]:
    """The maps that nilearn carries in its package; no network.

    Returns:
        float32 (3, X, Y, Z) at 1 mm and its affine. Channels: GM and WM probability, which are
        0 outside the brain (CSF is the rest), and the depth below the brain's surface in mm,
        which passes 0.5 at the surface.
    """
    from nilearn import datasets  # costs a second, and only this function needs it

    mask = datasets.load_mni152_brain_mask(resolution=1)
    brain = np.asarray(mask.dataobj) > 0
    channels = np.zeros((3, *brain.shape), dtype=np.float32)
    channels[0] = datasets.load_mni152_gm_template(resolution=1).dataobj
    channels[1] = datasets.load_mni152_wm_template(resolution=1).dataobj
    channels[:2] *= brain / np.maximum(channels[:2].sum(axis=0), 1)
    coarse = ndimage.distance_transform_edt(brain[::2, ::2, ::2], sampling=2.0)
    for axis in range(3):
        coarse = np.repeat(coarse, 2, axis=axis)
    channels[2] = brain * np.maximum(coarse[tuple(slice(0, n) for n in brain.shape)], 1)
    return channels, mask.affine


def icbm_anatomy(
    grid: Grid, *seed_parts: object, slice_thickness: float = 0.0, atrophy: float = 0.0
) -> Anatomy:
    """A made-up person: the ICBM 152 average, warped, refolded and made crisp.

    Position: rotation, anisotropic scale, shear and shift, then a smooth displacement at two
    scales, and a swelling or shrinking around the ventricles. Tissue: the average maps
    p_k become w_k proportional to p_k^4 exp(a_k), where a_k holds smooth random fields (cortex
    thickness, ventricle and sulcus size) and, near the surface, a folding term that is large on
    the zero level of a random field, whose sheets look like sulci.

    Args:
        grid: where to sample it.
        *seed_parts: name the person, for example the study's seed and the subject.
        slice_thickness: mm of the scans' slices, for ``slabs``; 0: as thick as the grid's.
        atrophy: mm by which CSF has widened, see :func:`lmidiff.data.atrophy.widened`.

    Raises:
        StudyError: the brain does not fit into the grid.
    """
    name = "/".join(str(part) for part in seed_parts)
    channels, template_affine = _icbm_template()
    warp = _Warp(*seed_parts)
    box = tuple(np.arange(low, high, 4.0) for low, high in _SEARCH_BOX)
    depth = _sample(channels[2:], template_affine, warp.to_template(box))[0]
    affine = grid.affine_for(np.stack(np.meshgrid(*box, indexing="ij"), -1)[depth >= 0.5], name)

    def part(affine: np.ndarray, axes: Axes) -> Anatomy:
        where = warp.to_template(axes)
        grey, white, depth = _sample(channels, template_affine, where)
        average = np.stack([np.clip(1 - grey - white, 0, 1), grey, white])
        crisp = _refold(average, depth, where, axes, *seed_parts) * (depth >= 0.5)
        shares = _average(_ellipsoids(where))
        fractions = _average(widened(crisp, atrophy, grid.pixel_size / 2))
        return Anatomy(name, fractions, affine, shares)

    return _with_slabs(part, grid, affine, slice_thickness)


def _with_slabs(
    part: Callable[[np.ndarray, Axes], Anatomy], grid: Grid, affine: np.ndarray, thickness: float
) -> Anatomy:
    """A person on the grid and, if its scans have slices of another thickness, in their slabs."""
    whole = part(affine, grid.fine_axes(affine))
    if not thickness:
        return whole
    slabs = [part(a, grid.fine_axes(a, mm)) for a, mm in grid.slabs(affine, thickness)]
    return replace(whole, slabs=tuple(slabs))


class _Warp:
    """Where a made-up person's points lie in ICBM space; lengths in mm."""

    def __init__(self, *seed_parts: object) -> None:
        rng = generator_of(*seed_parts, "warp")
        angles = np.deg2rad(np.clip(rng.normal(0, 3, 3), -7, 7))
        # The ICBM average is larger than a typical brain, hence 0.92.
        scales = 0.92 * rng.uniform(0.96, 1.04) * rng.uniform(0.96, 1.04, 3)
        shears = rng.uniform(-0.03, 0.03, 3)
        rotation = np.eye(3)
        for axis, angle in enumerate(angles):
            plane = [(axis + 1) % 3, (axis + 2) % 3]
            cos, sin = np.cos(angle), np.sin(angle)
            turn = np.eye(3)
            turn[np.ix_(plane, plane)] = [[cos, -sin], [sin, cos]]
            rotation = turn @ rotation
        shear = np.eye(3)
        shear[np.triu_indices(3, 1)] = shears
        self._matrix = np.linalg.inv(rotation @ shear @ np.diag(scales))
        self._shift = rng.normal(0, 2, 3)
        self._ventricle = rng.uniform(-0.25, 0.45)
        self._seed_parts = seed_parts

    def to_template(self, axes: tuple[np.ndarray, ...]) -> np.ndarray:
        """(3, X, Y, Z) positions in ICBM mm of the points of an axis-aligned grid."""
        rng = generator_of(*self._seed_parts, "displacement")
        moved = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
        for spacing, size in ((60.0, 3.5), (22.0, 1.4)):
            for component in range(3):
                moved[component] += size * smooth_field(rng, axes, spacing)
        shift = self._shift.astype(np.float32)[:, None, None, None]
        result = _times(self._matrix.astype(np.float32), moved - shift)
        centre = np.array([0, -12, 14], dtype=np.float32)[:, None, None, None]
        offset = result - centre
        reach = np.array([26, 45, 24], dtype=np.float32)[:, None, None, None]
        bump = np.exp(-0.5 * ((offset / reach) ** 2).sum(axis=0))
        result[0] -= self._ventricle * bump * offset[0]
        result[2] -= 0.4 * self._ventricle * bump * offset[2]
        return result


def _refold(
    average: np.ndarray,
    depth: np.ndarray,
    where: np.ndarray,
    axes: tuple[np.ndarray, ...],
    *seed_parts: object,
) -> np.ndarray:
    """Crisp, individual tissue fractions (3, X, Y, Z) from average probabilities.

    ``depth`` (mm below the surface) and ``where`` (3, X, Y, Z; ICBM mm) keep the folding out of
    the deep nuclei: it acts near the surface and on the grey matter of the medial wall.
    """
    rng = generator_of(*seed_parts, "cortex")
    weight = 4 * np.log(average + 0.03)
    for tissue, base in enumerate((2.4, 0.0, -0.1)):
        weight[tissue] += base + rng.normal(0, 0.3) + 0.45 * smooth_field(rng, axes, 40.0)
    x, y, z = where
    beside_midline = np.clip(np.maximum(z - 20, -50 - y) / 10, 0, 1) * average[1]
    cortex = np.maximum(np.exp(-((depth / 20) ** 4)), np.exp(-((x / 14) ** 4)) * beside_midline)
    fold = np.abs(smooth_field(rng, axes, 10.0))
    weight[0] += cortex * (7.0 * np.exp(-((fold / 0.35) ** 2)) - 1.5)
    weight[2] += cortex * 5.0 * np.clip(fold - 0.7, -0.7, 1.2)
    weight[0] += 4.0 * np.exp(-((depth / 2.5) ** 2))  # the rim of CSF under the dura
    weight[0] += 9.0 * np.exp(-((x / 2.0) ** 2)) * beside_midline  # between the hemispheres
    weight -= weight.max(axis=0)
    np.exp(weight, out=weight)
    return weight / weight.sum(axis=0)


def _ellipsoids(where: np.ndarray) -> np.ndarray:
    """Which of the STRUCTURES each point lies in, roughly: (K, X, Y, Z) of 0 and 1.

    ``where`` (3, X, Y, Z) is in ICBM mm. The deep nuclei are ellipsoids on both sides; what is
    low and behind is cerebellum.
    """
    x, y, z = np.abs(where[0]), where[1], where[2]
    shares = np.zeros((len(STRUCTURES), *x.shape), dtype=np.float32)
    for number, name in enumerate(STRUCTURES):
        if name in _NUCLEI:
            centre, radii = _NUCLEI[name]
            parts = ((at - c) / r for at, c, r in zip((x, y, z), centre, radii, strict=True))
            shares[number] = sum(part**2 for part in parts) <= 1
        else:
            shares[number] = (z < -18 + 0.25 * (-45 - y)) & (y < -40)
    return shares


def _times(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """``matrix`` (3, 3) times points (3, X, Y, Z), with bits that do not depend on BLAS threads."""
    return np.einsum("ij,jxyz->ixyz", matrix, points)


def _sample(channels: np.ndarray, affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Linear interpolation of (C, X, Y, Z) at (3, ...) points in mm; 0 outside."""
    inverse = np.linalg.inv(affine)
    index = _times(inverse[:3, :3], points) + inverse[:3, 3][:, None, None, None]
    return np.stack(
        [
            ndimage.map_coordinates(channel, index, output=np.float32, order=1, mode="constant")
            for channel in channels
        ]
    )


def _average(fine: np.ndarray) -> np.ndarray:
    """Means over blocks of 2 x 2 x 2 points: (C, 2X, 2Y, 2Z) to float32 (C, X, Y, Z)."""
    channels, x, y, z = fine.shape
    blocks = fine.reshape(channels, x // 2, 2, y // 2, 2, z // 2, 2)
    return np.ascontiguousarray(blocks.mean(axis=(2, 4, 6), dtype=np.float32))
