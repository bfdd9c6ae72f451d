"""Structures of the brain in a translation: agreement with the truth, and volume against it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lmidiff.figures.dots import dot_page
from lmidiff.figures.style import MARKERS, OKABE_ITO, legend_below

TITLES = {
    "dice": "Dice with the labels of the true target",
    "excess": "volume over the truth's, − 1",
}
COLOURS = ("sky", "vermillion", "blue", "orange", "green", "purple", "black")


def figure_structures(
    table: pd.DataFrame, sources: Sequence[str], out_png: str | Path, out_pdf: str | Path
) -> None:
    """A line a structure, a dot with its 95 % interval a row of the study.

    Args:
        table: see :func:`lmidiff.evaluation.structures.structures_table`.
        sources: a line of panels each.
        out_png, out_pdf: the files.

    Raises:
        StudyError: nothing to draw, or a file cannot be written.
    """
    structures = list(dict.fromkeys(table["structure"]))
    labels = table.drop_duplicates("method").set_index("method")["label"]
    lines = table.assign(method=table["structure"], label=table["structure"].str.replace("_", " "))
    shape = {"panels": len(TITLES), "row_mm": 5.0}
    with dot_page(lines, sources, (), out_png, out_pdf, **shape) as page:
        for line, source in zip(page.grid, sources, strict=True):
            for axes, measure in zip(line, TITLES, strict=True):
                own = table[(table["source"] == source) & (table["measure"] == measure)]
                _dots(axes, own.set_index(["method", "structure"]), labels, structures)
                axes.axvline(float(measure == "dice"), color="0.3", lw=0.8, ls="--")
        for axes, title in zip(page.grid[-1], TITLES.values(), strict=True):
            axes.set_xlabel(title)
        legend_below(page.figure, page.grid[0, 0], len(labels))


def _dots(axes: Axes, cells: pd.DataFrame, labels: pd.Series, structures: list[str]) -> None:
    """Rows of the study beside each other in half of a structure's line."""
    for number, (method, label) in enumerate(labels.items()):
        own = cells.loc[method].loc[structures]
        places = np.arange(len(structures)) + 0.5 * ((number + 0.5) / len(labels) - 0.5)
        colour = OKABE_ITO[COLOURS[number % len(COLOURS)]]
        axes.hlines(places, own["low"], own["high"], color=colour, lw=1.2)
        look = {"marker": MARKERS[number % len(MARKERS)], "ms": 3, "ls": ""}
        axes.plot(own["mean"], places, color=colour, label=label, **look)
    axes.grid(axis="x", alpha=0.25, lw=0.4)
