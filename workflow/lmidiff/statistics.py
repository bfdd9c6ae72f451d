"""Uncertainty over subjects: the percentile bootstrap of a mean (Efron 1979).

Subjects are the independent units. Slices of one subject are not, so they are never resampled.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmidiff.errors import StudyError
from lmidiff.seeds import generator_of

SAMPLES = 2000
LEVEL = 0.95


class Interval(NamedTuple):
    """A mean over ``n`` subjects with the ends of its interval, in the units of the values."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap_interval(
    values_by_subject: Mapping[str, float] | Sequence[float] | NDArray[np.floating],
    *,
    seed: int,
    samples: int = SAMPLES,
    level: float = LEVEL,
) -> Interval:
    """Mean over subjects and its percentile bootstrap interval.

    Subjects are drawn with replacement ``samples`` times; the interval is the central ``level`` of
    the resampled means. With few subjects it is too narrow (of 95 % nominal, about 90 % at n = 10).

    Args:
        values_by_subject: one value a subject. A mapping is taken in the order of its keys sorted,
            so the order of a file does not matter. ``nan`` (undefined) is left out.
        seed: the same seed and number of subjects resample the same way, whatever the values.

    Returns:
        ``low`` and ``high`` are ``nan`` for a single subject, all three for none. Infinite values
        (the PSNR of a perfect match) give infinite ends, never ``nan``.

    Raises:
        StudyError: values are not one-dimensional, ``samples`` < 1, or ``level`` not in 0..1.
    """
    if samples < 1 or not 0 < level < 1:
        raise StudyError(f"bootstrap: samples={samples}, level={level} make no sense")
    if isinstance(values_by_subject, Mapping):
        values_by_subject = [values_by_subject[key] for key in sorted(values_by_subject)]
    values = np.asarray(values_by_subject, dtype=np.float64)
    if values.ndim != 1:
        raise StudyError(f"bootstrap: needs one value a subject, got shape {values.shape}")
    values = values[~np.isnan(values)]
    if values.size == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    mean = float(values.mean())
    if values.size == 1:
        return Interval(mean, float("nan"), float("nan"), 1)
    drawn = generator_of(seed, "bootstrap").integers(0, values.size, (samples, values.size))
    means = values[drawn].mean(axis=1)
    # Interpolating between two infinite means would give nan; order statistics do not.
    rule = "linear" if np.isfinite(means).all() else "inverted_cdf"
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], method=rule)
    return Interval(mean, float(low), float(high), int(values.size))


def paired_interval(
    a: Mapping[str, float],
    b: Mapping[str, float],
    *,
    seed: int,
    samples: int = SAMPLES,
    level: float = LEVEL,
) -> Interval:
    """Mean of ``a - b`` over the same subjects, with its interval: is one method above another?

    Methods are scored on the same subjects, so the spread between subjects cancels. An interval
    that excludes 0 is the evidence; overlapping intervals of the two means are not.

    Raises:
        StudyError: the two were not scored on the same subjects.
    """
    if set(a) != set(b):
        odd = sorted(set(a) ^ set(b))[0]
        raise StudyError(f"paired comparison: subject {odd} has a value on one side only")
    # Two perfect matches (inf - inf) give nan: undefined, hence left out.
    difference = {key: float(a[key]) - float(b[key]) for key in a}
    return bootstrap_interval(difference, seed=seed, samples=samples, level=level)
