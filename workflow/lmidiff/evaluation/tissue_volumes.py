"""How much of each tissue a translation shows: does it keep what is a person's own?

A prior that pulls everybody to the population's mean shows everybody the same share of fluid, grey
and white matter. Over people, the translation's share then rises less than the truth's: the slope
of the one on the other is below 1, and 0 where nothing is left of the person. The slope is the
correlation times the *variation*, the translations' standard deviation over people as a multiple
of the truth's: where that is far below 1 people are made alike; where it is not, and the slope is
low, they differ in ways that are not their own. Shares, not millilitres, since the size of the
brain is given by the mask whatever a method does.

A volume is that of the part of the brain that the study's slices run through: the area of a tissue
in them, times the distance between them (Cavalieri's estimate), not that of a whole brain.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmidiff.common.regions import TISSUES
from lmidiff.common.seeds import generator_of
from lmidiff.evaluation import scores
from lmidiff.evaluation.rows import rows_measured
from lmidiff.evaluation.segmentation import KMeansModel, segment
from lmidiff.evaluation.statistics import SAMPLES, percentile_ends

KEYS = [*scores.KEYS, "tissue"]
COLUMNS = [*KEYS, "ml", "kmeans_ml", "truth_ml", "brain_ml"]
REFERENCES = {"kmeans": "kmeans_ml", "truth": "truth_ml"}
"""The true target's K-Means labels, and the data set's own where there are any."""
ALIKE = 1e-9
"""Shares that differ by less are the same."""
LEAST = 3
"""People that a slope needs."""
TABLE_COLUMNS = [
    "source", "method", "label", "tissue", "reference", "bias", "spread", "slope", "low",
    "high", "variation", "n", "trainings",
]  # fmt: skip

Array = NDArray[np.float64]


class Person:
    """One person's true tissues, against which any number of translations are measured.

    Args:
        model: K-Means.
        mask: (X, Y, Z), non-zero is brain.
        target: (X, Y, Z) the true target, 0..1.
        truth: (X, Y, Z) tissue labels 1 CSF, 2 GM, 3 WM, where the data set has them.
        affine: (4, 4); the edge of a voxel along z is the distance of the slices.
    """

    def __init__(
        self, model: KMeansModel, mask: Array, target: Array, truth: Array | None, affine: Array
    ) -> None:
        self.inside = mask > 0
        self.each = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
        self.kmeans = self._volumes(segment(model, target, self.inside))
        self.truth = None if truth is None else self._volumes(truth)

    def measure(self, labels: NDArray[np.integer]) -> list[dict[str, float | str]]:
        """The columns from ``tissue`` on, a row a tissue, of the labels of a translation."""
        found = self._volumes(labels)
        return [
            {
                "tissue": tissue,
                "ml": found[tissue],
                "kmeans_ml": self.kmeans[tissue],
                "truth_ml": float("nan") if self.truth is None else self.truth[tissue],
                "brain_ml": self.each * int(self.inside.sum()),
            }
            for tissue in TISSUES
        ]

    def _volumes(self, labels: NDArray[np.integer]) -> dict[str, float]:
        inside = labels[self.inside]
        return {name: self.each * int((inside == k).sum()) for k, name in enumerate(TISSUES, 1)}


def volumes_table(
    measured: pd.DataFrame, labels: Mapping[str, str], sources: Sequence[str], *, seed: int
) -> pd.DataFrame:
    """Bias, spread and slope of each row's volumes, over people; the mean over trainings first.

    Args:
        measured: frame of ``COLUMNS``.
        labels: row to its printed name, in order; one that was not measured is left out.
        sources: in order.
        seed: of the bootstrap over people.

    Returns:
        A frame of ``TABLE_COLUMNS``, a row a source, row, tissue and reference. ``bias`` and
        ``spread`` are mean and standard deviation of the difference from the reference, in ml;
        ``slope``, with a 95 % interval, and ``variation`` are of the shares of the brain; ``nan``
        for fewer people than ``LEAST`` or where the reference does not vary.
    """
    rows = []
    for names, chosen in rows_measured(measured, labels, sources):
        for tissue, (reference, column) in product(TISSUES, REFERENCES.items()):
            own = chosen[chosen["tissue"] == tissue]
            people = own.dropna(subset=[column]).groupby("subject")
            mean = people[["ml", column, "brain_ml"]].mean()
            if len(mean):
                numbers = _agreement(mean["ml"], mean[column], mean["brain_ml"], seed)
                of = (*names, tissue, reference)
                rows.append((*of, *numbers, len(mean), own["seed"].nunique()))
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)


def _agreement(found: pd.Series, true: pd.Series, brain: pd.Series, seed: int) -> tuple[float, ...]:
    """Bias, spread, slope and its interval, variation."""
    difference = (found - true).to_numpy()
    spread = float(difference.std(ddof=1)) if len(difference) > 1 else float("nan")
    y, x = (found / brain).to_numpy(), (true / brain).to_numpy()
    nothing = (float("nan"),) * 4
    if len(x) < LEAST or np.ptp(x) < ALIKE:
        return (float(difference.mean()), spread, *nothing)
    drawn = generator_of(seed, "volumes").integers(0, len(x), (SAMPLES, len(x)))
    drawn = drawn[np.ptp(x[drawn], axis=1) >= ALIKE]
    low, high = percentile_ends(_slope(x[drawn], y[drawn]))
    of_shares = (float(_slope(x, y)), float(low), float(high), float(y.std() / x.std()))
    return float(difference.mean()), spread, *of_shares


def _slope(x: Array, y: Array) -> Array:
    """Of least squares, along the last axis."""
    apart = x - x.mean(axis=-1, keepdims=True)
    return (apart * y).sum(axis=-1) / (apart**2).sum(axis=-1)
