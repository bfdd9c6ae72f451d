"""Uncertainty over people and over trainings: every person is scored by every training.

A few trainings are too few to bootstrap, so the interval is Student's t, its variance the sum of
two: that of people over their number and that of trainings over theirs, with the degrees of freedom
of Satterthwaite (1946). How one training suits one person is in both, so the sum errs to the wide
side.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.statistics import LEVEL, Interval, bootstrap_interval

Array = NDArray[np.float64]


class Crossed(NamedTuple):
    """A mean over n people and k trainings, and how sure it is; arrays hold one for each part.

    Attributes:
        mean: over all, in the unit of the values.
        people: variance of the people's means over n.
        trainings: variance of the trainings' means over k.
        n: people.
        k: trainings.
    """

    mean: Array
    people: Array
    trainings: Array
    n: int
    k: int

    @property
    def error(self) -> Array:
        """The standard error of the mean."""
        return np.sqrt(self.people + self.trainings)

    @property
    def freedom(self) -> Array:
        """Satterthwaite's degrees of freedom; those of people where nothing varies."""
        shares = self.people**2 / (self.n - 1) + self.trainings**2 / (self.k - 1)
        whole = (self.people + self.trainings) ** 2
        return np.divide(whole, shares, out=np.full_like(whole, self.n - 1), where=shares > 0)


def crossed(values: Array) -> Crossed:
    """The mean of ``values`` (..., people, trainings), all finite, at least two of each.

    Raises:
        StudyError: there are fewer.
    """
    n, k = values.shape[-2:]
    if n < 2 or k < 2:
        raise StudyError(f"trainings: {n} people and {k} trainings have no variance")
    return Crossed(
        values.mean(axis=(-2, -1)),
        values.mean(axis=-1).var(axis=-1, ddof=1) / n,
        values.mean(axis=-2).var(axis=-1, ddof=1) / k,
        n,
        k,
    )


def crossed_interval(values: Array) -> Interval:
    """The mean of ``values`` (people, trainings) with its t interval; none for one person."""
    from scipy import stats  # slow to import, and the Snakemake of every job reads this module

    n = values.shape[0]
    mean = float(values.mean()) if n else float("nan")
    if n < 2 or not np.isfinite(values).all():
        return Interval(mean, float("nan"), float("nan"), n)
    found = crossed(values)
    half = float(stats.t.isf((1 - LEVEL) / 2, found.freedom) * found.error)
    return Interval(mean, mean - half, mean + half, n)


def mean_interval(values: ArrayLike, *, seed: int) -> Interval:
    """The mean of scores with its interval: over people, and trainings where there are several.

    Args:
        values: (people, trainings). A person without a number from some training is left out.
        seed: of the bootstrap, which serves a single training.
    """
    scores = np.asarray(values, np.float64)
    if not scores.size or scores.shape[1] == 1:
        return bootstrap_interval(scores.ravel(), seed=seed)
    return crossed_interval(scores[~np.isnan(scores).any(axis=1)])
