"""What each row of a study is worth beside a row of reference: means and paired differences."""

from collections.abc import Mapping, Sequence

import pandas as pd

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.statistics import Interval, bootstrap_interval
from lmidiff.evaluation.tables import QUANTITIES, values_by_subject

SHOWN = tuple(q for q in QUANTITIES if q.key in ("ssim_brain", "dice_kmeans_mean"))


def compare_rows(
    metrics: pd.DataFrame,
    labels: Mapping[str, str],
    sources: Sequence[str],
    seed: int,
    reference: str | None = None,
) -> pd.DataFrame:
    """Mean score of every method with its interval, and its difference from the reference.

    Args:
        metrics: volume-level frame of one study.
        labels: method key -> printed name, in order.
        sources: modalities, in order.
        seed: of the bootstrap.
        reference: the method to subtract, on the same subjects; ``None`` for no difference.

    Returns:
        A row a source, method and quantity of ``SHOWN``: ``source, method, label, quantity,
        subjects, mean, low, high`` and, with a reference, ``difference, difference_low,
        difference_high`` of this row minus the reference; six decimals.

    Raises:
        StudyError: the reference has no scores, or methods were scored on different subjects.
    """
    rows = []
    for source in sources:
        for quantity in SHOWN:
            values = {}
            for method in labels:
                chosen = (metrics["source"] == source) & (metrics["method"] == method)
                values[method] = values_by_subject(metrics[chosen], quantity).to_dict()
            if reference is not None and not values.get(reference):
                raise StudyError(f"ablation: the reference {reference} has no scores from {source}")
            for method, label in labels.items():
                mean, low, high, n = bootstrap_interval(values[method], seed=seed)
                row = {"source": source, "method": method, "label": label}
                row |= {"quantity": quantity.key, "subjects": n}
                row |= {"mean": mean, "low": low, "high": high}
                if reference is not None and values[method]:
                    apart = _apart(values[method], values[reference], seed)
                    row |= {"difference": apart.mean}
                    row |= {"difference_low": apart.low, "difference_high": apart.high}
                rows.append(row)
    return pd.DataFrame(rows).round(6)


def _apart(a: Mapping[str, float], b: Mapping[str, float], seed: int) -> Interval:
    """Mean of ``a - b`` over the same subjects, with its interval."""
    if set(a) != set(b):
        odd = sorted(set(a) ^ set(b))[0]
        raise StudyError(f"ablation: subject {odd} has a value on one side only")
    return bootstrap_interval({key: float(a[key]) - float(b[key]) for key in a}, seed=seed)
