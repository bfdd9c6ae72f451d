"""Tissue volumes of each row: what is left of the differences between people, and the bias."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.segmentation import TISSUES
from lmidiff.figures.style import OKABE_ITO, WIDTH_MM, inches, save, style

SLOPES = (-0.75, 2.0)
"""Shown; an interval may go on beyond."""
REFERENCE = "kmeans"


def figure_tissue_volumes(
    table: pd.DataFrame,
    sources: Sequence[str],
    ceilings: Collection[str],
    out_png: str | Path,
    out_pdf: str | Path,
) -> None:
    """For each tissue the slope with its interval (1 keeps people apart, 0 makes them alike), and
    the bias with the standard deviation over people, both against K-Means on the true target.

    Args:
        table: see :func:`lmidiff.evaluation.tissue_volumes.volumes_table`.
        sources: a row of panels each.
        ceilings: rows that are shown the answer, drawn in black.

    Raises:
        StudyError: nothing to draw, or a file cannot be written.
    """
    table = table[table["reference"] == REFERENCE]
    if table.empty:
        raise StudyError("volumes: nothing to draw")
    methods = table.drop_duplicates("method").set_index("method")["label"]
    with style():
        height = 18 + len(sources) * (9 + 4.0 * len(methods))
        figure = Figure(figsize=(inches(WIDTH_MM), inches(height)), layout="constrained")
        FigureCanvasAgg(figure)
        shape = len(sources), 2 * len(TISSUES)
        grid = figure.subplots(*shape, squeeze=False, sharey=True, sharex="col")
        for line, source in zip(grid, sources, strict=True):
            for place, tissue in enumerate(TISSUES):
                own = table[(table["source"] == source) & (table["tissue"] == tissue)]
                cells = own.set_index("method")
                _slopes(line[place], cells, list(methods.index), ceilings)
                _biases(line[place + len(TISSUES)], cells, list(methods.index), ceilings)
            line[0].set_title(f"from {source}", loc="left", weight="bold")
        for place, tissue in enumerate(TISSUES):
            grid[-1, place].set_xlabel(f"{tissue.upper()}: slope of\nshares on the truth's")
            grid[-1, place + len(TISSUES)].set_xlabel(
                f"{tissue.upper()}: too much [ml],\nmean ± SD"
            )
        grid[0, 0].set_yticks(range(len(methods)), list(methods))
        grid[0, 0].set_ylim(len(methods) - 0.4, -0.6)
        save(figure, out_png, out_pdf)


def _slopes(
    axes: Axes, cells: pd.DataFrame, methods: Sequence[str], ceilings: Collection[str]
) -> None:
    for place, method in enumerate(methods):
        if method in cells.index and pd.notna(cells.loc[method, "slope"]):
            slope, low, high = cells.loc[method, ["slope", "low", "high"]].astype(float)
            _mark(axes, place, (low, slope, high), method in ceilings)
    axes.axvline(0, color="0.7", lw=0.6)
    axes.axvline(1, color="0.3", lw=0.8, ls="--")
    axes.set_xlim(*SLOPES)


def _biases(
    axes: Axes, cells: pd.DataFrame, methods: Sequence[str], ceilings: Collection[str]
) -> None:
    for place, method in enumerate(methods):
        if method in cells.index:
            bias, spread = cells.loc[method, ["bias", "spread"]].astype(float)
            spread = 0.0 if pd.isna(spread) else spread
            _mark(axes, place, (bias - spread, bias, bias + spread), method in ceilings)
    axes.axvline(0, color="0.3", lw=0.8, ls="--")


def _mark(axes: Axes, place: int, ends: tuple[float, float, float], ceiling: bool) -> None:
    low, middle, high = ends
    colour = "black" if ceiling else OKABE_ITO["blue"]
    axes.plot([low, high], [place, place], color=colour, lw=1.2)
    axes.plot(middle, place, color=colour, marker="o", ms=3)
    axes.grid(axis="x", alpha=0.25, lw=0.4)
