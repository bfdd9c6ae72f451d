"""Bars with intervals, a row a method: the figure of an ablation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.rows import SHOWN
from lmidiff.figures.style import OKABE_ITO, sheet


def figure_bars(
    table: pd.DataFrame,
    labels: Mapping[str, str],
    sources: Sequence[str],
    reference: str,
    out_png: str | Path,
    out_pdf: str | Path,
) -> None:
    """Draw the mean of every row as a bar from 0 with its interval; a line marks the reference.

    A full dot beside a bar says that the paired difference from the reference has an interval
    without 0, an empty one that it has not. They are 95 % each, not corrected for their number.

    Args:
        table: see :func:`lmidiff.evaluation.rows.rows_beside`.
        labels: method key -> printed name, from top to bottom.
        sources: a row of panels each.
        reference: the method the others are compared with.

    Raises:
        StudyError: nothing to draw, or a file cannot be written.
    """
    if table.empty or not labels:
        raise StudyError("ablation: nothing to draw")
    height = 16 + len(sources) * (9 + 4.6 * len(labels))
    with sheet(height, out_png, out_pdf) as figure:
        grid = figure.subplots(len(sources), len(SHOWN), squeeze=False, sharey=True, sharex="col")
        for row, source in zip(grid, sources, strict=True):
            for axes, quantity in zip(row, SHOWN, strict=True):
                chosen = (table["source"] == source) & (table["quantity"] == quantity.key)
                _bars(axes, table[chosen].set_index("method"), labels, reference)
                axes.set_title(f"from {source}", loc="left", weight="bold")
        for axes, quantity in zip(grid[-1], SHOWN, strict=True):
            axes.set_xlabel(f"{quantity.title} (higher is better)")
        note = (
            f"Bars: mean over test subjects, 95 % interval. Line: {labels[reference]}. Dots: "
            "paired difference from it, full if its 95 % interval excludes 0 (not corrected)."
        )
        figure.supxlabel(note, fontsize=6, color="0.3")


def _bars(axes: Axes, rows: pd.DataFrame, labels: Mapping[str, str], reference: str) -> None:
    for place, method in enumerate(labels):
        row = rows.loc[method]
        colour = OKABE_ITO["orange"] if method == reference else OKABE_ITO["sky"]
        axes.barh(place, row["mean"], height=0.7, color=colour, edgecolor="0.3", lw=0.4)
        axes.plot([row["low"], row["high"]], [place, place], color="black", lw=1.1)
        if method != reference and pd.notna(row["difference"]):
            apart = row["difference_low"] > 0 or row["difference_high"] < 0
            axes.plot(
                1.02,
                place,
                transform=axes.get_yaxis_transform(),
                clip_on=False,
                marker="o",
                ms=3,
                mec="black",
                mew=0.6,
                color="black" if apart else "white",
            )
    axes.axvline(rows.loc[reference, "mean"], color=OKABE_ITO["vermillion"], lw=0.8, ls="--")
    axes.axvline(0, color="black", lw=0.6)
    axes.set_yticks(range(len(labels)), list(labels.values()))
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="x", alpha=0.25, lw=0.4)
