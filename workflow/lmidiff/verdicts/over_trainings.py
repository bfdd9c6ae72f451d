"""Is one row above another on the same people, over several trainings of each?

In place of bootstrap and sign flips, which know people alone: Student's t with the error and the
degrees of freedom of :mod:`lmidiff.evaluation.crossed`. Arrays hold several comparisons at once,
*parts*, shape (parts, people, trainings), a difference each.
"""

import numpy as np
from numpy.typing import NDArray

from lmidiff.evaluation.crossed import crossed
from lmidiff.verdicts.paired import MOST_SUBJECTS, POWER

Array = NDArray[np.float64]


def crossed_p(values: Array, *, two_sided: bool = False) -> Array:
    """p-values of the t-test, a part each; 1 where one person or nothing at all speaks against 0.

    Args:
        values: (parts, people, trainings); the alternative is a mean above 0, or other than 0.
    """
    from scipy import stats  # slow to import, and the Snakemake of every job reads this module

    if values.shape[1] < 2:
        return np.ones(len(values))
    found = crossed(values)
    mean = np.abs(found.mean) if two_sided else found.mean
    sure = np.where(mean > 0, np.inf, 0.0)
    t = np.divide(mean, found.error, out=sure, where=found.error > 0)
    return stats.t.sf(t, found.freedom) * (2 if two_sided else 1)


def any_part_crossed_p(values: Array) -> float:
    """p-value of "some part has a mean above 0": Bonferroni's, over the parts."""
    return float(min(1.0, crossed_p(values).min() * len(values)))


def people_to_settle(excess: float, values: Array, alpha: float, power: float = POWER) -> float:
    """How many people would show that a mean is above 0, with as many trainings as there are.

    Args:
        excess: the mean, in units of the score.
        values: (people, trainings) differences, for their variances.
        alpha: one-sided level after correction.
        power: the chance to find it.

    Returns:
        A whole number; ``inf`` where no number up to :data:`MOST_SUBJECTS` would, because the
        trainings differ too much or the mean is not above 0; ``nan`` for a single person.
    """
    from scipy import stats

    if values.shape[0] < 2:
        return float("nan")
    if excess <= 0:
        return float("inf")
    found = crossed(values)
    n = np.arange(2, MOST_SUBJECTS + 1)
    people, trainings = found.people * found.n / n, found.trainings
    whole = people + trainings
    if whole[0] == 0:
        return 2.0
    freedom = whole**2 / (people**2 / (n - 1) + trainings**2 / (found.k - 1))
    chance = stats.nct.sf(stats.t.isf(alpha, freedom), freedom, excess / np.sqrt(whole))
    # Far from 0 the noncentral t underflows to nan: there the power is 1.
    enough = np.flatnonzero(np.nan_to_num(chance, nan=1.0) >= power)
    return float(n[enough[0]]) if len(enough) else float("inf")
