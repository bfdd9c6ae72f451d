"""Is one row above another on the same subjects? Effect, interval, exact test, power.

All functions take differences, one a subject, of which 0 means no difference. Subjects are the
independent units; slices of a subject only widen the interval. Arrays hold several comparisons of
the same subjects at once, *parts*, shape (parts, subjects).
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lmidiff.common.errors import StudyError
from lmidiff.common.seeds import generator_of
from lmidiff.evaluation.statistics import SAMPLES, Interval, percentile_ends

#: Up to this many subjects every pattern of signs is tried, beyond it this power of 2 at random.
EXACT_SUBJECTS = 14
POWER = 0.8
#: Beyond this many subjects the answer to "how many would settle it" is "more than that".
MOST_SUBJECTS = 1000
_TINY = 1e-9

Array = NDArray[np.float64]


def hierarchical_intervals(values: Array, deviations: Array, *, seed: int) -> list[Interval]:
    """Mean difference of each part with its two-level bootstrap interval.

    Subjects are drawn with replacement, and within each drawn subject its slices; a resampled
    subject is its own difference plus the mean deviation of the slices drawn for it. The volume's
    score stays the estimate (Dice and PSNR of a volume are no means over slices), and the slices
    say how far another choice of slices would have moved it. Drawing at both levels counts the
    spread within subjects twice, so the interval errs to the wide side (Davison and Hinkley 1997,
    section 3.8), which with few subjects is where a percentile interval needs it.

    Args:
        values: (parts, subjects) differences of the subjects' volumes.
        deviations: (parts, subjects, slices), each slice's difference minus its subject's mean
            over slices; 0 where a slice has no number.
        seed: the same seed and shape resample the same way, whatever the values.

    Returns:
        An interval a part; its ends are ``nan`` for a single subject, all is ``nan`` for none.

    Raises:
        StudyError: the shapes do not belong together.
    """
    values, deviations = np.atleast_2d(values), np.asarray(deviations, np.float64)
    if deviations.shape[:2] != values.shape:
        raise StudyError(f"bootstrap: slices {deviations.shape} for subjects {values.shape}")
    parts, n = values.shape
    if n == 0:
        return [Interval(float("nan"), float("nan"), float("nan"), 0)] * parts
    means = values.mean(axis=1)
    if n == 1:
        return [Interval(float(mean), float("nan"), float("nan"), 1) for mean in means]
    subjects, slices = _weights(n, deviations.shape[2], seed)
    resampled = values @ subjects.T + deviations.reshape(parts, -1) @ slices.T
    low, high = percentile_ends(resampled, axis=1)
    return [Interval(*map(float, row), n) for row in zip(means, low, high, strict=True)]


@lru_cache(maxsize=4)
def _weights(n: int, depth: int, seed: int) -> tuple[Array, Array]:
    """What each subject, and each slice, counts in each resample: the bootstrap as two matrices."""
    generator = generator_of(seed, "hierarchical bootstrap")
    drawn = generator.integers(0, n, (SAMPLES, n))
    row = np.arange(SAMPLES)[:, None]
    subjects = np.bincount((row * n + drawn).ravel(), minlength=SAMPLES * n)
    if depth == 0:
        return subjects.reshape(SAMPLES, n) / n, np.zeros((SAMPLES, 0))
    chosen = drawn[..., None] * depth + generator.integers(0, depth, (SAMPLES, n, depth))
    flat = (row[..., None] * n * depth + chosen).ravel()
    slices = np.bincount(flat, minlength=SAMPLES * n * depth)
    return subjects.reshape(SAMPLES, n) / n, slices.reshape(SAMPLES, -1) / (n * depth)


def sign_flip_p(values: Array, *, two_sided: bool = False) -> Array:
    """p-values of the sign-flip permutation test (Fisher 1935), a part each.

    Under the null hypothesis a subject's difference is as likely to have the other sign (the two
    rows' names could be swapped), so the observed mean is ranked among the means of all patterns
    of signs. Exact for any spread of values, unlike the t-test, and about the mean difference that
    is reported, unlike Wilcoxon's ranks. With n subjects no p is below 2^-n.

    Args:
        values: (parts, subjects); the alternative is a mean above 0, or other than 0.

    Returns:
        (parts,), 1 where there is no subject.
    """
    scaled = _scaled(values)
    flipped, observed = scaled @ _signs(scaled.shape[1]).T, scaled.sum(axis=1, keepdims=True)
    if two_sided:
        flipped, observed = np.abs(flipped), np.abs(observed)
    return (flipped >= observed - _TINY).mean(axis=1)


def any_part_p(values: Array) -> float:
    """p-value of "some part has a mean above 0", corrected for the number of parts.

    The smallest p of the parts, ranked among those of all sign patterns where a subject's parts
    flip together (min-p, Westfall and Young 1993): at least that smallest p, at most Bonferroni's
    multiple of it, and near the former where parts rise and fall together.
    """
    scaled = _scaled(values)
    flipped = scaled @ _signs(scaled.shape[1]).T
    patterns = flipped.shape[1]
    smallest = np.ones(patterns)
    for part in flipped:
        below = np.searchsorted(np.sort(part), part - _TINY)
        smallest = np.minimum(smallest, 1 - below / patterns)
    # The first pattern is the observed one.
    return float((smallest <= smallest[0] + _TINY).mean())


def _scaled(values: Array) -> Array:
    # Flips leave the sum of squares as it is, so this ranks as the t statistic does.
    values = np.atleast_2d(np.asarray(values, np.float64))
    norm = np.sqrt((values**2).sum(axis=1, keepdims=True))
    return np.divide(values, norm, out=np.zeros_like(values), where=norm > 0)


@lru_cache(maxsize=4)
def _signs(n: int) -> NDArray[np.int8]:
    """(patterns, n) of 1 and -1; the first is all 1, the observed one."""
    if n <= EXACT_SUBJECTS:
        bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
    else:
        bits = generator_of(n, "sign flips").integers(0, 2, (2**EXACT_SUBJECTS, n))
        bits[0] = 0
    return (1 - 2 * bits).astype(np.int8)


def holm(p_values: Array) -> Array:
    """Holm's (1979) step-down correction: p-values that bound the chance of any false finding."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    steps = (len(p) - np.arange(len(p))) * p[order]
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def subjects_to_settle(mean: float, spread: float, alpha: float, power: float = POWER) -> float:
    """How many subjects would show that a mean is above 0, if it and the spread are as estimated.

    The one-sided paired t-test's power (noncentral t), for it has no closed form with sign flips
    and agrees with it closely; and no fewer than the sign-flip test can resolve, 2^-n <= alpha.

    Args:
        mean: of the differences, in units of the score.
        spread: their standard deviation over subjects, the same units.
        alpha: one-sided level after correction.
        power: the chance to find it.

    Returns:
        A whole number; ``inf`` beyond :data:`MOST_SUBJECTS` or where the mean is not above 0;
        ``nan`` where the spread is unknown (a single subject).
    """
    from scipy import stats  # slow to import, and the Snakemake of every job reads this module

    if np.isnan(spread) or np.isnan(mean):
        return float("nan")
    if mean <= 0:
        return float("inf")
    least = max(2, int(np.ceil(-np.log2(alpha) - _TINY)))
    if spread == 0:
        return float(least)
    n = np.arange(least, MOST_SUBJECTS + 1)
    shift = np.sqrt(n) * mean / spread
    found = stats.nct.sf(stats.t.isf(alpha, n - 1), n - 1, shift)
    # Far from 0 the noncentral t underflows to nan: there the power is 1.
    enough = np.flatnonzero(np.nan_to_num(found, nan=1.0) >= power)
    return float(n[enough[0]]) if len(enough) else float("inf")
