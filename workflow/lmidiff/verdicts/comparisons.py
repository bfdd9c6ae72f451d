"""Every row of the table against one reference row: difference, interval, paired test."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lmidiff.evaluation.crossed import crossed_interval
from lmidiff.evaluation.quantities import Quantity
from lmidiff.evaluation.tables import measured_quantities
from lmidiff.verdicts.differences import PairedScores
from lmidiff.verdicts.over_trainings import crossed_p
from lmidiff.verdicts.paired import hierarchical_intervals, holm, sign_flip_p
from lmidiff.verdicts.rule import stacked

COLUMNS = [
    "source", "reference", "method", "label", "quantity", "unit", "higher_is_better", "status",
    "subjects", "difference", "low", "high", "p", "p_holm", "left_out",
]  # fmt: skip


def compare_rows(
    scores: PairedScores,
    labels: Mapping[str, str],
    sources: Sequence[str],
    reference: Sequence[str],
    *,
    seed: int,
) -> pd.DataFrame:
    """Compare every row with the reference row, for each source and quantity.

    Args:
        scores: of one study.
        labels: row to its printed name, in the order of the table.
        sources: the study's source modalities.
        reference: the first of these that is a row of the study is compared with.
        seed: of the bootstrap.

    Returns:
        A frame of ``COLUMNS``, empty if no row of ``reference`` is in the study. ``difference`` is
        the row minus the reference in the quantity's own unit (so below 0 is better for an error),
        with a two-level bootstrap interval; ``p`` is the two-sided sign-flip test, or both are the
        t-test's over people and trainings where there are several; ``p_holm`` is
        corrected over the rows of one source and quantity. ``status`` is ``measured``; ``missing``,
        where one of the two has no score; or ``undefined``, where no subject has a finite
        difference (the ceiling's infinite PSNR). ``left_out`` are the subjects without one.
    """
    base = next((row for row in reference if row in labels), None)
    if base is None:
        return pd.DataFrame(columns=COLUMNS)
    rows = []
    for source in sources:
        for quantity in measured_quantities(scores.metrics):
            block = [
                _compare(scores, row, base, source, quantity, seed) | {"label": label}
                for row, label in labels.items()
                if row != base
            ]
            tested = [row for row in block if not np.isnan(row["p"])]
            for row, corrected in zip(tested, holm([row["p"] for row in tested]), strict=True):
                row["p_holm"] = float(corrected)
            rows += block
    return pd.DataFrame(rows, columns=COLUMNS)


def _compare(
    scores: PairedScores, row: str, base: str, source: str, quantity: Quantity, seed: int
) -> dict[str, object]:
    nan = float("nan")
    found = {
        "source": source,
        "reference": base,
        "method": row,
        "quantity": quantity.key,
        "unit": quantity.unit,
        "higher_is_better": quantity.higher_is_better,
        "status": "missing",
        "subjects": 0,
        "left_out": " ".join(scores.subjects),
        **dict.fromkeys(("difference", "low", "high", "p", "p_holm"), nan),
    }
    if not (scores.has(row, source) and scores.has(base, source)):
        return found
    difference = scores.differences(row, base, source, quantity.key)
    subjects = list(difference.values.index)
    if not subjects:
        return found | {"status": "undefined"}
    values, deviations = stacked([difference], subjects)
    if not quantity.higher_is_better:
        values, deviations = -values, -deviations
    if values.shape[2] > 1:
        interval, p = crossed_interval(values[0]), crossed_p(values, two_sided=True)[0]
    else:
        interval = hierarchical_intervals(values[:, :, 0], deviations, seed=seed)[0]
        # A row that is the reference to the last digit differs in nothing: p is 1.
        p = sign_flip_p(values[:, :, 0], two_sided=True)[0]
    return found | {
        "status": "measured",
        "subjects": interval.n,
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "p": float(p),
        "left_out": " ".join(sorted(set(scores.subjects) - set(subjects))),
    }
