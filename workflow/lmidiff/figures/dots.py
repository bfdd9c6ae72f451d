"""Dots with intervals, a row a method and a line of panels a source."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lmidiff.figures.style import OKABE_ITO, WIDTH_MM, inches


class DotPage:
    """A page of panels that share their rows; make it inside :func:`lmidiff.figures.style.style`.

    Args:
        labels: method to its printed name, from top to bottom.
        sources: a line of panels each.
        panels: how many beside each other.
        row_mm: height of a row.
        ceilings: methods that are shown the answer, drawn in black.

    Attributes:
        figure: to be saved.
        grid: (sources, panels) axes.
    """

    def __init__(
        self,
        labels: pd.Series,
        sources: Sequence[str],
        panels: int,
        row_mm: float,
        ceilings: Collection[str],
    ) -> None:
        self.labels, self.ceilings = labels, ceilings
        height = 18 + len(sources) * (9 + row_mm * len(labels))
        self.figure = Figure(figsize=(inches(WIDTH_MM), inches(height)), layout="constrained")
        FigureCanvasAgg(self.figure)
        self.grid: NDArray[np.object_] = self.figure.subplots(
            len(sources), panels, squeeze=False, sharey=True, sharex="col"
        )
        for line, source in zip(self.grid, sources, strict=True):
            line[0].set_title(f"from {source}", loc="left", weight="bold")
        self.grid[0, 0].set_yticks(range(len(labels)), list(labels))
        self.grid[0, 0].set_ylim(len(labels) - 0.4, -0.6)

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
            colour = "black" if method in self.ceilings else OKABE_ITO["blue"]
            axes.plot([low, high], [place, place], color=colour, lw=1.2)
            axes.plot(middle, place, color=colour, marker="o", ms=3)
        axes.grid(axis="x", alpha=0.25, lw=0.4)
