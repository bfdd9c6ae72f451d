"""Atrophy: the fluid of sulci and ventricles widens into the tissue beside it."""

from collections.abc import Iterator

import numpy as np

_STRIDE = 0.5
"""Points that a boundary moves at a time; the scheme is stable up to 1 / sqrt(2)."""


def widened(values: np.ndarray, distance: float, spacing: float) -> np.ndarray:
    """Tissue fractions after the boundaries of CSF have moved into the tissue.

    dC/ds = |grad C| within each slice, by the first-order upwind scheme of Osher and Sethian
    (1988, equation for a front of unit speed): every level of the CSF fraction C moves along its
    normal by ``distance``. At each point CSF takes what it gains from all else there in
    proportion, and never more than there is. So a point's total stays, no fraction leaves 0..1,
    what is not brain stays so, and with ``distance`` CSF grows and nothing else does, at every
    point.

    Args:
        values: (3 + K, X, Y, Z), CSF, GM and WM, each 0..1, summing to at most 1; then the shares
            of structures, which shrink with the tissue they are of.
        distance: mm, at least 0.
        spacing: of the points along X and Y, mm, above 0.

    Returns:
        The same shape and dtype; ``values`` itself if ``distance`` is 0.
    """
    if not distance:
        return values
    total = values[:3].sum(axis=0)
    fluid = values[0]
    for stride in _strides(distance / spacing):
        fluid = np.minimum(fluid + values.dtype.type(stride) * _slope(fluid), total)
    before, after = total - values[0], total - fluid
    left = np.divide(after, before, out=np.ones_like(total), where=before > 0)
    return np.concatenate([fluid[None], values[1:] * np.minimum(left, 1)])


def _strides(distance: float) -> Iterator[float]:
    """A distance in points, in strides; the last is what is left."""
    whole = int(distance / _STRIDE)
    yield from [_STRIDE] * whole
    yield distance - whole * _STRIDE


def _slope(fluid: np.ndarray) -> np.ndarray:
    """|grad C| a point, (X, Y, Z): along each axis from the side that has more, if one has."""
    square = np.zeros_like(fluid)
    for axis in (0, 1):
        rise = np.diff(fluid, axis=axis)
        none = np.zeros_like(fluid.take([0], axis=axis))
        ahead = np.concatenate([rise, none], axis=axis)
        behind = np.concatenate([none, -rise], axis=axis)
        square += np.maximum(np.maximum(ahead, behind), 0) ** 2
    return np.sqrt(square)
