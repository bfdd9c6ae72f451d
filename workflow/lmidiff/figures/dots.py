"""Dots with intervals, a row a method and a line of panels a source."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lmidiff.common.errors import StudyError
from lmidiff.figures.style import OKABE_ITO, sheet


@dataclass(frozen=True)
class DotPage:
    """A page of panels that share their rows, see :func:`dot_page`.

    Attributes:
        figure: what they are on.
        grid: (sources, panels) axes.
        labels: method to its printed name, from top to bottom.
        ceilings: methods that are shown the answer, drawn in black.
    """

    figure: Figure
    grid: NDArray[np.object_]
    labels: pd.Series
    ceilings: Collection[str]

    def colour(self, method: str) -> str:
        """Black for a ceiling."""
        return "black" if method in self.ceilings else OKABE_ITO["blue"]

    def dots(self, axes: Axes, cells: pd.DataFrame) -> None:
        """A dot with its interval for each method.

        Args:
            axes: one of the grid's.
            cells: frame with columns ``middle``, ``low`` and ``high``, by method; a method that is
                not there, or whose middle is no number, has no dot.
        """
        for place, method in enumerate(self.labels.index):
            if method not in cells.index or pd.isna(cells.loc[method, "middle"]):
                continue
            middle, low, high = cells.loc[method, ["middle", "low", "high"]].astype(float)
            colour = self.colour(method)
            axes.plot([low, high], [place, place], color=colour, lw=1.2)
            axes.plot(middle, place, color=colour, marker="o", ms=3)
        axes.grid(axis="x", alpha=0.25, lw=0.4)


@contextmanager
def dot_page(
    table: pd.DataFrame,
    sources: Sequence[str],
    ceilings: Collection[str],
    png: str | Path,
    pdf: str | Path,
    *,
    panels: int,
    row_mm: float,
) -> Iterator[DotPage]:
    """A page to draw on, a row a method of the table; saved when the block succeeds.

    Args:
        table: with columns ``method`` and ``label``.
        sources: a line of panels each.
        ceilings: methods that are shown the answer, drawn in black.
        panels: how many beside each other.
        row_mm: height of a row.

    Raises:
        StudyError: the table is empty, or a file cannot be written.
    """
    if table.empty:
        raise StudyError(f"{png}: nothing to draw")
    labels = table.drop_duplicates("method").set_index("method")["label"]
    with sheet(18 + len(sources) * (9 + row_mm * len(labels)), png, pdf) as figure:
        grid = figure.subplots(len(sources), panels, squeeze=False, sharey=True, sharex="col")
        for line, source in zip(grid, sources, strict=True):
            line[0].set_title(f"from {source}", loc="left", weight="bold")
        grid[0, 0].set_yticks(range(len(labels)), list(labels))
        grid[0, 0].set_ylim(len(labels) - 0.4, -0.6)
        yield DotPage(figure, grid, labels, ceilings)
