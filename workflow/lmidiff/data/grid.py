"""The study grid that every subject is brought to."""

from dataclasses import dataclass

import numpy as np

from lmidiff.common.errors import StudyError

MIN_AREA = 0.10
"""Axial slices with less than this share of the largest brain area do not count as brain."""

MOST_SLICES = 200


@dataclass(frozen=True)
class Grid:
    """The study grid: square axial slices, evenly spaced through part of the brain's height.

    Attributes:
        image_size: pixels per side, 8..512.
        pixel_size: mm, 0.5..8.
        slices: number of slices, 1..200.
        extent: first and last slice as fractions (0..1, increasing) of the brain's extent
            from inferior to superior.
        slice_thickness: mm averaged through-plane, 0.5..10.

    Raises:
        StudyError: a value is outside its range.
    """

    image_size: int = 64
    pixel_size: float = 3.0
    slices: int = 10
    extent: tuple[float, float] = (0.40, 0.80)
    slice_thickness: float = 2.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("image_size", 8, 512),
            ("pixel_size", 0.5, 8),
            ("slices", 1, MOST_SLICES),
            ("slice_thickness", 0.5, 10),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise StudyError(f"grid: {name} {value} is outside {low}..{high}")
        if not 0 <= self.extent[0] < self.extent[1] <= 1:
            raise StudyError(f"grid: extent {self.extent} must increase within 0..1")

    def affine_for(self, points: np.ndarray, name: str) -> np.ndarray:
        """Place the grid on a brain.

        The brain's extent runs over the axial slices whose area is at least 10 % of the largest,
        so that neither the spinal canal nor a stray voxel moves the grid. In-plane the grid is
        centred on the bounding box of the brain within the chosen slices.

        Args:
            points: (N, 3) centres of the brain's voxels in mm, RAS.
            name: what to call the anatomy in an error.

        Returns:
            (4, 4) voxel index to mm; axes left to right, posterior to anterior, inferior to
            superior. A single slice lies in the middle of ``extent``.

        Raises:
            StudyError: the brain does not fit into the grid.
        """
        heights = points[:, 2]
        edges = np.arange(heights.min() - 2, heights.max() + 6, 4.0)
        area = np.histogram(heights, edges)[0]
        brain = np.flatnonzero(area >= MIN_AREA * area.max())
        bottom, top = edges[brain[0]], edges[brain[-1] + 1]
        first, last = (bottom + f * (top - bottom) for f in self.extent)
        step = (last - first) / max(self.slices - 1, 1)
        if self.slices == 1:
            first, step = (first + last) / 2, self.slice_thickness
        slab = points[(heights >= first - 4) & (heights <= last + 4), :2]
        low, high = slab.min(axis=0), slab.max(axis=0)
        field_of_view = self.image_size * self.pixel_size
        if (high - low).max() > field_of_view:
            raise StudyError(
                f"{name}: the brain is {(high - low).max():.0f} mm wide or long and does not fit "
                f"into image_size x pixel_size = {field_of_view:.0f} mm"
            )
        affine = np.diag([self.pixel_size, self.pixel_size, step, 1.0])
        affine[:2, 3] = (low + high) / 2 - self.pixel_size * (self.image_size - 1) / 2
        affine[2, 3] = first
        return affine

    def slabs(self, affine: np.ndarray, thickness: float) -> list[tuple[np.ndarray, float]]:
        """Fill slices of another thickness with equal slabs, none thicker than the grid's slices.

        Args:
            affine: of the grid, see :meth:`affine_for`.
            thickness: of the slices that are filled, mm, above 0.

        Returns:
            For each slab, from below, the affine of its centres and its thickness in mm.
        """
        count = int(np.ceil(thickness / self.slice_thickness))
        slabs = []
        for number in range(count):
            centres = affine.copy()
            centres[2, 3] += thickness * ((number + 0.5) / count - 0.5)
            slabs.append((centres, thickness / count))
        return slabs

    def fine_axes(
        self, affine: np.ndarray, thickness: float | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates in mm of the points averaged into voxels, two a voxel along each axis.

        ``thickness`` is that of the slices in mm, ``slice_thickness`` if None.
        """
        counts = (self.image_size, self.image_size, self.slices)
        extents = (self.pixel_size, self.pixel_size, thickness or self.slice_thickness)
        axes = []
        for axis, (count, extent) in enumerate(zip(counts, extents, strict=True)):
            centres = affine[axis, 3] + affine[axis, axis] * np.arange(count)
            axes.append((centres[:, None] + extent * np.array([-0.25, 0.25])).ravel())
        return axes[0], axes[1], axes[2]
