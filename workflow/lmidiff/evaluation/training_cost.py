"""What the training of each method cost, beside what it reached."""

from collections.abc import Mapping, Sequence

import pandas as pd

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.ablation import compare_rows


def training_seconds(costs: pd.DataFrame, models: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Method -> wall seconds of the trainings behind it, summed; 0 for one without a model.

    Args:
        costs: frame of ``record/cost.csv`` (:func:`lmidiff.evaluation.costs.summarise_costs`).
        models: method -> its models.

    Raises:
        StudyError: a model has no cost on record.
    """
    known = costs[costs["stage"] == "train"].set_index("job")["seconds"]
    for method, used in models.items():
        lacking = [model for model in used if model not in known.index]
        if lacking:
            raise StudyError(f"cost: the training of {lacking[0]} ({method}) is not on record")
    return {method: float(sum(known[model] for model in used)) for method, used in models.items()}


def quality_and_cost(
    metrics: pd.DataFrame,
    costs: pd.DataFrame,
    models: Mapping[str, Sequence[str]],
    labels: Mapping[str, str],
    sources: Sequence[str],
    seed: int,
) -> pd.DataFrame:
    """Means and differences of the rows (``compare_rows``) and a column ``training_seconds``."""
    seconds = training_seconds(costs, models)
    table = compare_rows(metrics, labels, sources, seed)
    return table.assign(training_seconds=table["method"].map(seconds))
