"""Quality against the cost of training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy.optimize import isotonic_regression

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.rows import SHOWN
from lmidiff.evaluation.tables import MethodInfo
from lmidiff.figures.style import KIND_LOOKS, sheet

_NO_METHOD = "no method (untouched, truth)"
_LOOKS = {_NO_METHOD if kind == "ceiling" else kind: look for kind, look in KIND_LOOKS.items()}
_NONE = 0.5
"""Seconds at which a method without training is drawn: a log axis has no 0."""
_APART = 0.048
"""Of the height of a panel, from the middle of one number to that of the next."""
_NEAR, _BESIDE = 0.25, 0.09
"""Decades between points whose numbers would meet, and from the last of them to its number."""


def kind_of(method: MethodInfo) -> str:
    """The kind of the legend that a row of the table is drawn as."""
    if method.ceiling or method.key == "source":
        return _NO_METHOD
    return method.kind


def figure_training_cost(
    table: pd.DataFrame,
    kinds: Mapping[str, str],
    sources: Sequence[str],
    out_png: str | Path,
    out_pdf: str | Path,
) -> None:
    """Draw mean scores against training time, a numbered point a method.

    Args:
        table: see :func:`lmidiff.evaluation.rows.rows_of_table`.
        kinds: method -> one of the kinds of the legend.
        sources: a column of panels each.

    Raises:
        StudyError: nothing to draw, or a file cannot be written.
    """
    if table.empty:
        raise StudyError("quality against training cost: nothing to draw")
    labels = dict(zip(table["method"], table["label"], strict=True))
    height = 26 + 52 * len(SHOWN) + 3.2 * -(-len(labels) // 3)
    with sheet(height, out_png, out_pdf) as figure:
        grid = figure.subplots(len(SHOWN), len(sources), squeeze=False, sharex=True, sharey="row")
        for row, quantity in zip(grid, SHOWN, strict=True):
            of = table[table["quantity"] == quantity.key]
            own = [of[(of["source"] == s) & np.isfinite(of["mean"])] for s in sources]
            for axes, rows in zip(row, own, strict=True):
                _points(axes, rows, kinds)
            for axes, rows in zip(row, own, strict=True):  # once all have set the height they share
                _numbers(axes, rows, list(labels))
            row[0].set_ylabel(f"{quantity.title}\n(higher is better)")
        for axes, source in zip(grid[0], sources, strict=True):
            axes.set_title(f"from {source}", loc="left", weight="bold")
        for axes in grid[-1]:
            axes.set_xlabel("wall time of training [s]")
        names = [
            Line2D([], [], ls="", marker=f"${number}$", ms=5 if number < 10 else 7, color="0.2")
            for number in range(1, len(labels) + 1)
        ]
        shown = [kind for kind in _LOOKS if kind in kinds.values()]
        marks = [
            Line2D([], [], ls="", marker=_LOOKS[kind][1], color=_LOOKS[kind][0], ms=4)
            for kind in shown
        ]
        figure.legend(
            [*marks, *names],
            [*shown, *labels.values()],
            loc="outside lower center",
            ncols=3,
            frameon=False,
        )


def _points(axes: Axes, rows: pd.DataFrame, kinds: Mapping[str, str]) -> None:
    for row in rows.itertuples():
        colour, marker = _LOOKS[kinds[row.method]]
        x = max(row.training_seconds, _NONE)
        axes.plot([x, x], [row.low, row.high], color=colour, lw=1)
        axes.plot(x, row.mean, marker=marker, ms=3.5, color=colour)
    most = max(rows["training_seconds"], default=0)
    axes.set_xscale("log")
    axes.set_xlim(_NONE / 2.5, max(most, 1) * 3)
    ticks = [10.0**power for power in range(1, 7) if 10.0**power <= most * 3]
    axes.set_xticks([_NONE, *ticks], ["none", *(f"{tick:g}" for tick in ticks)])
    axes.minorticks_off()
    axes.grid(alpha=0.25, lw=0.4)


def _numbers(axes: Axes, rows: pd.DataFrame, order: Sequence[str]) -> None:
    """A number right of each point, apart from those of its neighbours, with a line to its own."""
    least = np.ptp(axes.get_ylim()) * _APART
    seconds = rows["training_seconds"].clip(lower=_NONE)
    near = (seconds.sort_values().apply(np.log10).diff() > _NEAR).cumsum()
    for _, members in rows.groupby(near):
        right = seconds[members.index].max()
        for row, y in zip(members.itertuples(), spread(members["mean"], least), strict=True):
            axes.annotate(
                str(order.index(row.method) + 1),
                (max(row.training_seconds, _NONE), row.mean),
                (right * 10**_BESIDE, y),
                fontsize=6,
                va="center",
                arrowprops={"arrowstyle": "-", "lw": 0.3, "color": "0.5", "shrinkA": 0},
            )


def spread(places: Sequence[float], least: float) -> np.ndarray:
    """``places`` moved as little as makes neighbours at least ``least`` apart, in their order.

    Least squares: less the room that those below need, places must not fall (isotonic regression).
    """
    places = np.asarray(places, float)
    order = np.argsort(places, kind="stable")
    room = least * np.arange(len(places))
    moved = np.empty_like(places)
    moved[order] = isotonic_regression(places[order] - room).x + room
    return moved
