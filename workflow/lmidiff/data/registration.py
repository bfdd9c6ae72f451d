"""Rigid registration of two scans of one person, with checks that it worked.

Mattes mutual information (Mattes et al., IEEE TMI 2003;22:120-128) as SimpleITK has it, from
coarse to fine, started from the centres of the two brains.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from lmidiff.common.errors import StudyError
from lmidiff.data.orientation import from_itk, itk_transform, matrix_of, to_itk, volume_to_itk
from lmidiff.data.volumes import Volume

COARSE_MM = 4.0
"""Voxels of the coarse level, where both starts are tried; at 8 mm the metric has false maxima."""

FINE_MM = 1.5
"""Voxels of the last level; its metric is what is reported."""

MARGIN_MM = 6.0
"""The metric sees the brain and this much around it, where its surface shows."""

SECOND_START_DEG = (9.0, -9.0, 9.0)
"""The second start is turned by this about x, y and z."""

DISTINCT_MM = 4.0
"""How far the result is moved aside to see what that costs."""

_SAMPLES = 60_000
_BINS = 32
_SEED = 1


@dataclass(frozen=True)
class Registration:
    """How a moving scan lies over a fixed one.

    Attributes:
        matrix: (4, 4), where a point of the fixed scan's world (RAS mm) lies in the moving one's.
        before: mutual information in nats where the headers put the scans.
        after: mutual information at ``matrix``.
        dice_before: agreement of the two brain masks where the headers put them, 0..1.
        dice_after: agreement of the two brain masks at ``matrix``.
        starts_mm: how far the ends of the two starts lie apart at the brain's surface (95th
            percentile), before the last level.
        turned_deg: angle of the rotation.
        moved_mm: how far the brain's centre moves.
        covered: share of the fixed brain that the moving scan shows.
        distinct: share of ``after`` that is lost 4 mm aside, mean of both ways along each axis.
            Folds of one brain fit each other only where they lie; those of two fit nowhere.
    """

    matrix: np.ndarray
    before: float
    after: float
    dice_before: float
    dice_after: float
    starts_mm: float
    turned_deg: float
    moved_mm: float
    covered: float
    distinct: float


def register(
    fixed: Volume, fixed_brain: np.ndarray, moving: Volume, moving_brain: np.ndarray
) -> Registration:
    """Find the rigid transform between two scans of one person.

    Two starts, both at the centres of the brains and one of them turned, run at a coarse
    level; the one that ends with more mutual information is refined. How far apart they ended
    is one check of the result, the agreement of the brain masks, each found in its own scan,
    another: neither is what was optimised.

    Args:
        fixed, moving: intensities, bias-corrected.
        fixed_brain, moving_brain: (X, Y, Z) bool on their own grids, not empty.

    Raises:
        StudyError: the scans cannot be brought to overlap.
    """
    levels = {mm: _Level(fixed, fixed_brain, moving, mm) for mm in (COARSE_MM, FINE_MM)}
    centre = _centre(fixed_brain, fixed.affine)
    shift = _centre(moving_brain, moving.affine) - centre
    ends = []
    for angles in ((0.0, 0.0, 0.0), SECOND_START_DEG):
        end = sitk.Euler3DTransform()
        # SimpleITK's world is LPS.
        end.SetCenter((centre * [-1, -1, 1]).tolist())
        end.SetRotation(*np.deg2rad(angles).tolist())
        end.SetTranslation((shift * [-1, -1, 1]).tolist())
        end, value = levels[COARSE_MM].descend(end, f"{moving.name} onto {fixed.name}")
        ends.append((value, end))
    surface = surface_points(fixed_brain, fixed.affine)
    apart = distances(surface, *(matrix_of(end) for _, end in ends))
    _, best = min(ends, key=lambda end: end[0])
    best, value = levels[FINE_MM].descend(best, f"{moving.name} onto {fixed.name}")
    matrix = matrix_of(best)
    cosine = np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1)
    before, after = (
        mask_agreement(fixed_brain, fixed.affine, moving_brain, moving.affine, where)
        for where in (np.eye(4), matrix)
    )
    return Registration(
        matrix=matrix,
        before=-levels[FINE_MM].value(sitk.Euler3DTransform()),
        after=-value,
        dice_before=before,
        dice_after=after,
        starts_mm=float(np.percentile(apart, 95)),
        turned_deg=float(np.rad2deg(np.arccos(cosine))),
        moved_mm=float(np.linalg.norm((matrix @ [*centre, 1])[:3] - centre)),
        covered=_covered(fixed_brain, fixed.affine, moving, matrix),
        distinct=1 - _aside(levels[FINE_MM], matrix) / -value if value else 0.0,
    )


def resample_onto(
    moving: Volume, matrix: np.ndarray, fixed: Volume, *, order: int = 3
) -> np.ndarray:
    """A moving scan on the grid of a fixed one: (X, Y, Z) float32, at least 0.

    Args:
        moving: the scan, or labels.
        matrix: from the fixed world to the moving one, as :class:`Registration` has it.
        fixed: gives the grid.
        order: of the B-spline: 3, 1 (linear) or 0 (nearest, for labels).
    """
    methods = {0: sitk.sitkNearestNeighbor, 1: sitk.sitkLinear, 3: sitk.sitkBSpline3}
    image = sitk.Resample(
        volume_to_itk(moving),
        to_itk(np.empty(fixed.data.shape, bool), fixed.affine, fixed.name),
        itk_transform(matrix),
        methods[order],
        0.0,
        sitk.sitkFloat32,
    )
    return np.maximum(from_itk(image), 0)


def surface_points(brain: np.ndarray, affine: np.ndarray, most: int = 4000) -> np.ndarray:
    """(N, 3) RAS mm of the brain's surface voxels, thinned evenly to about ``most``."""
    shell = np.argwhere(brain & ~ndimage.binary_erosion(brain))
    shell = shell[:: max(1, len(shell) // most)]
    return shell @ affine[:3, :3].T + affine[:3, 3]


def distances(points: np.ndarray, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """(N,) mm between where two (4, 4) matrices put the points (N, 3)."""
    difference = one - two
    return np.linalg.norm(points @ difference[:3, :3].T + difference[:3, 3], axis=1)


def mask_agreement(
    fixed: np.ndarray,
    fixed_affine: np.ndarray,
    moving: np.ndarray,
    moving_affine: np.ndarray,
    matrix: np.ndarray,
) -> float:
    """Dice of two masks where ``matrix`` puts the moving one over the fixed one."""
    there = resample_onto(
        Volume(moving.astype(np.float32), moving_affine, "mask"),
        matrix,
        Volume(fixed, fixed_affine, "mask"),
        order=1,
    )
    inside = there > 0.5
    total = int(inside.sum()) + int(fixed.sum())
    return 2 * float((inside & fixed).sum()) / total if total else 0.0


class _Level:
    """Both scans at one resolution, and the metric between them."""

    def __init__(self, fixed: Volume, brain: np.ndarray, moving: Volume, mm: float) -> None:
        self.mm = mm
        image = volume_to_itk(fixed)
        mask = to_itk(brain, fixed.affine, fixed.name)
        near = sitk.SignedMaurerDistanceMap(
            mask, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
        )
        near = near < MARGIN_MM
        box = _box(from_itk(near) > 0)
        image, near = (_cropped(each, box) for each in (image, near))
        grid = _grid(image, mm)
        self.fixed = sitk.Resample(_smoothed(image, mm), grid, sitk.Transform(), sitk.sitkLinear)
        self.mask = sitk.Resample(near, grid, sitk.Transform(), sitk.sitkNearestNeighbor)
        whole = volume_to_itk(moving)
        self.moving = sitk.Resample(
            _smoothed(whole, mm), _grid(whole, mm), sitk.Transform(), sitk.sitkLinear
        )

    def descend(self, start: sitk.Transform, what: str) -> tuple[sitk.Transform, float]:
        """The best transform near a start, and minus its mutual information."""
        method = self._method()
        # Powell's line searches cross the ripples that random samples put on the metric; from 20
        # degrees away gradient descent was caught by them.
        method.SetOptimizerAsPowell(
            numberOfIterations=12,
            maximumLineIterations=30,
            stepLength=self.mm / 4,
            stepTolerance=self.mm / 200,
            valueTolerance=1e-6,
        )
        # A step of 1 mm is one of 0.01 rad: as much at the brain's surface.
        method.SetOptimizerScales([100.0, 100.0, 100.0, 1.0, 1.0, 1.0])
        end = sitk.Euler3DTransform(start)
        method.SetInitialTransform(end, inPlace=True)
        try:
            method.Execute(self.fixed, self.moving)
        except RuntimeError as error:
            raise StudyError(
                f"{what}: the scans cannot be brought to overlap; check that they show one head"
            ) from error
        return end, float(method.GetMetricValue())

    def value(self, transform: sitk.Transform) -> float:
        """Minus the mutual information; 0 where the scans do not overlap."""
        method = self._method()
        method.SetInitialTransform(transform)
        try:
            return float(method.MetricEvaluate(self.fixed, self.moving))
        except RuntimeError:
            return 0.0

    def _method(self) -> sitk.ImageRegistrationMethod:
        method = sitk.ImageRegistrationMethod()
        method.SetNumberOfThreads(1)
        method.SetMetricAsMattesMutualInformation(_BINS)
        share = min(1.0, _SAMPLES / self.fixed.GetNumberOfPixels())
        if share < 1:
            method.SetMetricSamplingStrategy(method.RANDOM)
            method.SetMetricSamplingPercentage(share, _SEED)
        method.SetMetricFixedMask(self.mask)
        method.SetInterpolator(sitk.sitkLinear)
        return method


def _aside(level: _Level, matrix: np.ndarray) -> float:
    """Mean mutual information where a result is moved by ``DISTINCT_MM``."""
    values = []
    for axis in range(3):
        for way in (-DISTINCT_MM, DISTINCT_MM):
            moved = matrix.copy()
            moved[axis, 3] += way
            values.append(-level.value(itk_transform(moved)))
    return float(np.mean(values))


def _smoothed(image: sitk.Image, mm: float) -> sitk.Image:
    sigma = [0.4 * mm if mm > edge else 0.3 * edge for edge in image.GetSpacing()]
    return sitk.SmoothingRecursiveGaussian(image, sigma)


def _grid(image: sitk.Image, mm: float) -> sitk.Image:
    """An empty image over the same box with voxels of ``mm``, or the image's own if larger."""
    spacing = [max(mm, edge) for edge in image.GetSpacing()]
    size = [
        max(1, int(np.floor((n - 1) * edge / wide)) + 1)
        for n, edge, wide in zip(image.GetSize(), image.GetSpacing(), spacing, strict=True)
    ]
    grid = sitk.Image(size, sitk.sitkUInt8)
    grid.SetOrigin(image.GetOrigin())
    grid.SetDirection(image.GetDirection())
    grid.SetSpacing(spacing)
    return grid


def _box(mask: np.ndarray) -> list[tuple[int, int]]:
    rows = [
        np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)
    ]
    return [(int(row[0]), int(row[-1]) + 1) for row in rows]


def _cropped(image: sitk.Image, box: list[tuple[int, int]]) -> sitk.Image:
    return sitk.RegionOfInterest(image, [high - low for low, high in box], [low for low, _ in box])


def _centre(brain: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return affine[:3, :3] @ np.array(ndimage.center_of_mass(brain)) + affine[:3, 3]


def _covered(brain: np.ndarray, affine: np.ndarray, moving: Volume, matrix: np.ndarray) -> float:
    """Share of the brain's voxels that lie within the moving scan's field of view."""
    inside = np.argwhere(brain)
    inside = inside[:: max(1, len(inside) // 50_000)]
    there = np.linalg.inv(moving.affine) @ matrix @ affine
    index = inside @ there[:3, :3].T + there[:3, 3]
    room = np.array(moving.data.shape) - 0.5
    return float(((index > -0.5) & (index < room)).all(axis=1).mean())
