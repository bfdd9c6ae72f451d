"""How much of the way from the untouched source to the supervised row a row goes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lmidiff.common.seeds import generator_of
from lmidiff.evaluation.statistics import SAMPLES, percentile_ends
from lmidiff.evaluation.tables import measured_quantities
from lmidiff.verdicts.differences import PairedScores

COLUMNS = [
    "source", "method", "label", "quantity", "start", "goal", "status", "subjects", "share",
    "low", "high",
]  # fmt: skip
START, GOAL = "source", "supervised"
#: The share of the mean distance over all sources, where one alone may have none.
ALL = "all"


def gap_closed(
    scores: PairedScores, labels: Mapping[str, str], sources: Sequence[str], *, seed: int
) -> pd.DataFrame:
    """The share of the distance between ``START`` and ``GOAL`` that each row closes.

    (row - start) / (goal - start), both means over subjects: 0 is the start, 1 the goal.

    Args:
        scores: of one study.
        labels: row to its printed name, in the order of the table.
        sources: the study's source modalities.
        seed: of the bootstrap over subjects.

    Returns:
        A frame of ``COLUMNS`` for each source and for ``ALL`` together (a subject's mean over
        them), empty if the study has no such two rows. ``status`` is ``measured``; ``missing``,
        where a row has no score; or ``no gap``, where the goal is not above the start for the mean
        of the subjects or for a resample of them, so that a share would mean nothing.
    """
    if not {START, GOAL} <= set(labels):
        return pd.DataFrame(columns=COLUMNS)
    rows = []
    for quantity in measured_quantities(scores.metrics):
        for source in (*sources, ALL):
            for row, label in labels.items():
                if row in (START, GOAL):
                    continue
                asked = sources if source == ALL else [source]
                rows.append(
                    {
                        "source": source,
                        "method": row,
                        "label": label,
                        "quantity": quantity.key,
                        "start": START,
                        "goal": GOAL,
                        **_share(scores, row, asked, quantity.key, seed),
                    }
                )
    return pd.DataFrame(rows, columns=COLUMNS)


def _share(
    scores: PairedScores, row: str, sources: Sequence[str], quantity: str, seed: int
) -> dict[str, object]:
    nothing = {"subjects": 0, "share": np.nan, "low": np.nan, "high": np.nan}
    if not all(scores.has(name, source) for name in (row, START, GOAL) for source in sources):
        return {"status": "missing", **nothing}
    way, whole = (
        pd.concat([scores.differences(name, START, s, quantity).means for s in sources], axis=1)
        for name in (row, GOAL)
    )
    # A subject counts where both are finite from every source.
    both = way.dropna().index.intersection(whole.dropna().index)
    way, whole = (frame.loc[both].mean(axis=1).to_numpy() for frame in (way, whole))
    if not len(both) or whole.mean() <= 0:
        return {"status": "no gap" if len(both) else "missing", **nothing}
    found = {"status": "measured", "subjects": len(both), "share": way.mean() / whole.mean()}
    if len(both) == 1:
        return {**found, "low": np.nan, "high": np.nan}
    drawn = generator_of(seed, "gap").integers(0, len(both), (SAMPLES, len(both)))
    resampled = whole[drawn].mean(1)
    if (resampled <= 0).any():
        return {"status": "no gap", **nothing}
    low, high = percentile_ends(way[drawn].mean(1) / resampled)
    return {**found, "low": float(low), "high": float(high)}
