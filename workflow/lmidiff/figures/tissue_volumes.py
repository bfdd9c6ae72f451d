"""Tissue volumes of each row: what is left of the differences between people, and the bias."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from lmidiff.common.regions import TISSUES
from lmidiff.figures.dots import DotPage, dot_page

SLOPES = (-0.75, 2.0)
"""Shown; an interval that goes on beyond has an arrow."""
REFERENCE = "kmeans"


def figure_tissue_volumes(
    table: pd.DataFrame,
    sources: Sequence[str],
    out_png: str | Path,
    out_pdf: str | Path,
    *,
    ceilings: Collection[str],
) -> None:
    """For each tissue the slope with its interval (1 keeps people's differences, 0 none of them),
    and the bias with the standard deviation over people; against K-Means on the true target.

    Args:
        table: see :func:`lmidiff.evaluation.tissue_volumes.volumes_table`.
        sources: a row of panels each.
        ceilings: rows that are shown the answer, drawn in black.

    Raises:
        StudyError: nothing to draw, or a file cannot be written.
    """
    table = table[table["reference"] == REFERENCE]
    shape = {"panels": 2 * len(TISSUES), "row_mm": 4.0}
    with dot_page(table, sources, ceilings, out_png, out_pdf, **shape) as page:
        for line, source in zip(page.grid, sources, strict=True):
            for place, tissue in enumerate(TISSUES):
                own = table[(table["source"] == source) & (table["tissue"] == tissue)]
                cells = own.set_index("method")
                _slopes(page, line[place], cells)
                _biases(page, line[place + len(TISSUES)], cells)
        for place, tissue in enumerate(TISSUES):
            name = tissue.upper()
            page.grid[-1, place].set_xlabel(f"{name}\nslope")
            page.grid[-1, place + len(TISSUES)].set_xlabel(f"{name}\nbias [ml]")


def _slopes(page: DotPage, axes: Axes, cells: pd.DataFrame) -> None:
    page.dots(axes, cells.rename(columns={"slope": "middle"}))
    axes.axvline(0, color="0.7", lw=0.6)
    axes.axvline(1, color="0.3", lw=0.8, ls="--")
    axes.set_xlim(*SLOPES)
    for place, method in enumerate(page.labels.index):
        if method in cells.index:
            low, high = cells.loc[method, ["low", "high"]].astype(float)
            colour = page.colour(method)
            for end, marker, beyond in zip(
                SLOPES, "<>", (low < SLOPES[0], high > SLOPES[1]), strict=True
            ):
                if beyond:
                    axes.plot(end, place, color=colour, marker=marker, ms=3, clip_on=False)


def _biases(page: DotPage, axes: Axes, cells: pd.DataFrame) -> None:
    bias, spread = cells["bias"].astype(float), cells["spread"].astype(float).fillna(0)
    page.dots(axes, pd.DataFrame({"middle": bias, "low": bias - spread, "high": bias + spread}))
    axes.axvline(0, color="0.3", lw=0.8, ls="--")
