"""The rows of a study as figures show them: every interval is read from the tables that hold it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import pandas as pd

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.quantities import QUANTITIES

SHOWN = tuple(q for q in QUANTITIES if q.key in ("ssim_brain", "dice_kmeans_mean"))


def rows_measured(
    measured: pd.DataFrame, labels: Mapping[str, str], sources: Sequence[str]
) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame]]:
    """What was measured of each row, by source, in order; rows that were not measured are left out.

    Args:
        measured: with columns ``source`` and ``method``.
        labels: row to its printed name, in order.
        sources: in order.

    Yields:
        Source, row and printed name, and the row's part of ``measured``.
    """
    for source, (method, label) in product(sources, labels.items()):
        own = measured[(measured["source"] == source) & (measured["method"] == method)]
        if len(own):
            yield (source, method, label), own


def rows_of_table(
    table: pd.DataFrame, labels: Mapping[str, str], sources: Sequence[str]
) -> pd.DataFrame:
    """Means with their intervals, as Table 1 has them.

    Args:
        table: frame of ``table1.csv``.
        labels: method key to its printed name, in order.
        sources: modalities, in order.

    Returns:
        A row a source, quantity of ``SHOWN`` and method: ``source, method, label, quantity,
        subjects, mean, low, high, training_seconds``.
    """
    cells = table.set_index(["source", "quantity", "method"])
    rows = []
    for source in sources:
        for quantity in SHOWN:
            for method, label in labels.items():
                cell = cells.loc[(source, quantity.key, method)]
                row = {"source": source, "method": method, "label": label}
                row |= {"quantity": quantity.key, "subjects": cell["n"]}
                row |= {key: cell[key] for key in ("mean", "low", "high", "training_seconds")}
                rows.append(row)
    return pd.DataFrame(rows)


def rows_beside(
    table: pd.DataFrame,
    comparisons: pd.DataFrame,
    labels: Mapping[str, str],
    sources: Sequence[str],
    reference: str | None,
) -> pd.DataFrame:
    """:func:`rows_of_table`, and the difference of each row from the reference row.

    Args:
        comparisons: frame of ``comparisons.csv``.
        reference: the row that is subtracted, or None for no difference.

    Returns:
        With a reference, ``difference, difference_low, difference_high`` too: 0 for the reference
        itself, nothing where the comparison is not measured.

    Raises:
        StudyError: the comparisons are with another row.
    """
    rows = rows_of_table(table, labels, sources).drop(columns="training_seconds")
    if reference is None:
        return rows
    against = sorted(set(comparisons["reference"]))
    if against != [reference]:
        raise StudyError(
            f"ablation: figures.ablation.reference is {reference}, but comparisons.csv compares "
            f"with {', '.join(against) or 'no row'}; name the first row under `reference` in "
            "config/claims.yaml that the study has"
        )
    cells = comparisons.set_index(["source", "quantity", "method"])
    names = {"difference": "difference", "difference_low": "low", "difference_high": "high"}
    for column, held in names.items():
        rows[column] = [
            0.0
            if row.method == reference
            else cells[held].get((row.source, row.quantity, row.method))
            for row in rows.itertuples()
        ]
    return rows
