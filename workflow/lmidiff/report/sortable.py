"""Tables a reader can sort: one HTML page each, with its own small script and no other file."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from lmidiff.evaluation.quantities import QUANTITIES
from lmidiff.evaluation.tables import measured_quantities, values_by_subject
from lmidiff.report.html import write_html
from lmidiff.report.summary import interval, short_rows

_NUMBER = re.compile(r"^([-−]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|∞))(?:\s*[\[(%].*)?$")

TITLES = {quantity.key: quantity.title for quantity in QUANTITIES}

LONG = 24
"""Columns with a text of more characters than these are kept wide."""


def write_sortable(frame: pd.DataFrame, path: str | Path, *, title: str, note: str) -> None:
    """Write a frame as a page whose columns sort on click.

    A column sorts by number if each of its cells that are not empty starts with one, such as
    ``0.71 [0.68, 0.75]``, ``∞`` or ``8``; otherwise by text.

    Args:
        frame: printed as it is, ``nan`` and ``None`` as empty cells.
        path: the HTML file, written atomically.
        title: of the page.
        note: a sentence or two above the table.
    """
    names = [str(name) for name in frame.columns]
    texts = [["" if pd.isna(cell) else str(cell) for cell in row] for row in frame.to_numpy(object)]
    numeric = [_is_numeric([row[n] for row in texts]) for n in range(len(names))]
    long = [max((len(row[n]) for row in texts), default=0) > LONG for n in range(len(names))]
    rows = [
        [(cell, _key(cell) if numeric[n] else None) for n, cell in enumerate(row)] for row in texts
    ]
    shown = {"names": names, "numeric": numeric, "long": long, "rows": rows}
    write_html("sortable.html", path, title=title, note=note, **shown)


def table1_frame(tidy: pd.DataFrame) -> pd.DataFrame:
    """Table 1 from its tidy CSV, a row a source and method, a column a quantity.

    Args:
        tidy: ``table1.csv`` read with ``keep_default_na=False``: ``source, label, training,
            quantity, mean, low, high``, texts or numbers; "" is missing.
    """
    titles = {key: TITLES.get(key, key) for key in tidy["quantity"].unique()}
    return pd.DataFrame(short_rows(tidy, titles, missing=""))


def subjects_frame(metrics: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """The quantities of Table 1 for every subject, a row a source, method and subject.

    Args:
        metrics: volume-level frame of ``metrics.csv``.
        labels: method key -> printed name, in order.
    """
    rows, quantities = [], measured_quantities(metrics)
    for source in sorted(metrics["source"].unique()):
        for method, label in labels.items():
            own = metrics[(metrics["source"] == source) & (metrics["method"] == method)]
            values = {q.title: (values_by_subject(own, q), q.digits) for q in quantities}
            for subject in sorted(own["subject"].unique()):
                row = {"source": source, "method": label, "subject": subject}
                for title, (series, digits) in values.items():
                    value = series.get(subject, float("nan"))
                    row[title] = "" if pd.isna(value) else f"{value:.{digits}f}".replace("inf", "∞")
                rows.append(row)
    return pd.DataFrame(rows)


def verdicts_frame(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The verdicts in words, a row a claim; empty cells where it was not run.

    Args:
        verdicts: ``verdicts.csv`` read as text, "" where there is none.
    """
    rows = [
        {
            "claim": row["sentence"],
            "of": row["origin"],
            "verdict": row["verdict"],
            "difference": interval(row[["effect", "low", "high"]], missing=""),
            "must exceed": _number(row["margin"]),
            "weakest against": row["against"] if row["effect"] else "",
            "source": row["source"],
            "quantity": TITLES.get(row["quantity"], row["quantity"]),
            "p for": _number(row["p_for_holm"]),
            "p against": _number(row["p_against_holm"]),
            "subjects": row["subjects"],
            "subjects to settle it": row["subjects_to_settle"],
            "note": row["note"],
        }
        for _, row in verdicts.iterrows()
    ]
    return pd.DataFrame(rows)


def _number(text: str) -> str:
    return f"{float(text):.3g}" if text else ""


def _is_numeric(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return bool(filled) and all(_NUMBER.match(cell) for cell in filled)


def _key(cell: str) -> str | None:
    found = _NUMBER.match(cell)
    if not found:
        return None
    return found[1].replace("−", "-").replace("∞", "Infinity")
