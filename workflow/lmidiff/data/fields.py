"""Smooth random fields on axis-aligned grids, from cubic B-splines on a periodic lattice."""

from collections.abc import Sequence

import numpy as np

PERIOD_MM = 320.0
"""Length after which a field repeats: wider than any head, so no grid sees the repetition."""

_MEAN_SQUARE_WEIGHT = 151 / 315  # integral of the squared cubic B-spline


def smooth_field(
    generator: np.random.Generator, axes: Sequence[np.ndarray], spacing: float
) -> np.ndarray:
    """One draw of a smooth Gaussian field of mean 0 and variance about 1.

    f(x, y, z) = sum_ijk c_ijk B(x/h - i) B(y/h - j) B(z/h - k) / norm, with c standard normal, B
    the cubic B-spline and h near ``spacing``. The lattice is fixed in space, so the same
    generator gives the same field whatever grid looks at it.

    Args:
        generator: state is advanced by the same amount whatever ``axes`` is.
        axes: three 1-D coordinate arrays in mm, of lengths X, Y and Z.
        spacing: distance of the lattice points in mm (0 < spacing <= 80): about half the width
            of the field's blobs.

    Returns:
        float32 (X, Y, Z).
    """
    count = max(4, round(PERIOD_MM / spacing))
    field = generator.standard_normal((count, count, count), dtype=np.float32)
    # Taps are added one by one: a matrix product's bits depend on the number of BLAS threads.
    # The last axis goes first: slices are few, so the intermediate arrays stay small.
    for axis in (2, 1, 0):
        field = _interpolate(field, np.asarray(axes[axis], dtype=np.float64), axis)
    return np.ascontiguousarray(field) / np.float32(_MEAN_SQUARE_WEIGHT**1.5)


def _interpolate(field: np.ndarray, at: np.ndarray, axis: int) -> np.ndarray:
    """Cubic B-spline sums along one axis of a periodic lattice, at coordinates in mm."""
    count = field.shape[axis]
    position = at * (count / PERIOD_MM)
    first = np.floor(position).astype(int)
    t = position - first
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    shape = [1, 1, 1]
    shape[axis] = at.size
    terms = (
        weight.astype(np.float32).reshape(shape) * field.take((first + tap) % count, axis=axis)
        for tap, weight in zip((-1, 0, 1, 2), weights, strict=True)
    )
    return sum(terms, start=np.float32(0))
