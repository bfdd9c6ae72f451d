"""Structures of the brain, by a network that others trained on T1w: do they survive a translation?

The network labels the translation and the true target of the same person. Dice is the agreement of
the two; the volume against the truth's says what a translation adds to a structure or takes away.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmidiff.evaluation.crossed import mean_interval
from lmidiff.evaluation.metrics import dice
from lmidiff.evaluation.rows import rows_measured
from lmidiff.evaluation.scores import KEYS

COLUMNS = [*KEYS, "structure", "dice", "ml", "true_ml"]
MEASURES = ("dice", "excess")
TABLE_COLUMNS = ["source", "method", "label", "structure", "measure", "mean", "low", "high", "n"]


def measure_structures(
    found: NDArray[np.integer],
    wanted: NDArray[np.integer],
    mask: NDArray[np.bool_],
    labels: Mapping[str, int],
    voxel_ml: float,
) -> list[tuple[str, float, float, float]]:
    """The structures of one person in one translation.

    Args:
        found, wanted: (X, Y, Z) labels of the translation and of the true target.
        mask: (X, Y, Z), the brain; what lies outside is not counted.
        labels: structure to its label.
        voxel_ml: volume of a voxel.

    Returns:
        Structure, Dice (``nan`` where neither has it), and its volume in both, in ml.
    """
    ours, theirs = (np.where(mask, each, 0) for each in (found, wanted))
    rows = []
    for name, value in labels.items():
        ml, true_ml = (float((each == value).sum()) * voxel_ml for each in (ours, theirs))
        rows.append((name, dice(ours, theirs, value), ml, true_ml))
    return rows


def structures_table(
    measured: pd.DataFrame, labels: Mapping[str, str], sources: Sequence[str], *, seed: int
) -> pd.DataFrame:
    """Means over people with their 95 % intervals.

    Args:
        measured: frame of ``COLUMNS``.
        labels: row to its printed name, in order; one that was not measured is left out.
        sources: in order.
        seed: of the bootstrap.

    Returns:
        A frame of ``TABLE_COLUMNS``: for each structure its ``dice``, and ``excess``, volume over
        the truth's less 1, of those people in whose truth it is.
    """
    excess = measured["ml"] / measured["true_ml"].where(measured["true_ml"] > 0) - 1
    measured = measured.assign(excess=excess)
    structures = list(dict.fromkeys(measured["structure"]))
    rows = []
    for names, own in rows_measured(measured, labels, sources):
        for structure, measure in product(structures, MEASURES):
            one = own[own["structure"] == structure]
            values = one.pivot(index="subject", columns="seed", values=measure)
            rows.append((*names, structure, measure, *mean_interval(values, seed=seed)))
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)
