"""Uncertainty over subjects: the percentile bootstrap of a mean (Efron 1979).

Subjects are the independent units. Slices of one subject are not, so they are never resampled here;
differences between rows, with slices within subjects, are in :mod:`lmidiff.verdicts.paired`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmidiff.common.errors import StudyError
from lmidiff.common.seeds import generator_of

SAMPLES = 2000
LEVEL = 0.95


class Interval(NamedTuple):
    """A mean over ``n`` subjects with the ends of its interval, in the units of the values."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap_interval(
    values_by_subject: Sequence[float] | NDArray[np.floating], *, seed: int
) -> Interval:
    """Mean over subjects and its percentile bootstrap interval.

    Subjects are drawn with replacement ``SAMPLES`` times; the interval is the central ``LEVEL`` of
    the resampled means. With few subjects it is too narrow (of 95 % nominal, about 90 % at n = 10).

    Args:
        values_by_subject: one value a subject. ``nan`` (undefined) is left out.
        seed: the same seed and number of subjects resample the same way, whatever the values.

    Returns:
        ``low`` and ``high`` are ``nan`` for a single subject, all three for none. Infinite values
        (the PSNR of a perfect match) give infinite ends, never ``nan``.

    Raises:
        StudyError: values are not one-dimensional.
    """
    values = np.asarray(values_by_subject, dtype=np.float64)
    if values.ndim != 1:
        raise StudyError(f"bootstrap: needs one value a subject, got shape {values.shape}")
    values = values[~np.isnan(values)]
    if values.size == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    mean = float(values.mean())
    if values.size == 1:
        return Interval(mean, float("nan"), float("nan"), 1)
    drawn = generator_of(seed, "bootstrap").integers(0, values.size, (SAMPLES, values.size))
    means = values[drawn].mean(axis=1)
    low, high = percentile_ends(means)
    return Interval(mean, float(low), float(high), int(values.size))


def percentile_ends(resampled: NDArray[np.floating], axis: int = -1) -> NDArray[np.float64]:
    """The ends of the central ``LEVEL`` of resampled means along an axis, low then high."""
    # Interpolating between two infinite means would give nan; order statistics do not.
    rule = "linear" if np.isfinite(resampled).all() else "inverted_cdf"
    return np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=axis, method=rule)
