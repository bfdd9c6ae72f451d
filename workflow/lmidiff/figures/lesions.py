"""What becomes of white-matter lesions: contrast, what vanishes, what turns into CSF."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from lmidiff.figures.dots import dot_page
from lmidiff.figures.style import OKABE_ITO, legend_below

PANELS = {
    "contrast": "lesion minus white\nmatter, mean\nintensity (0..1)",
    "vanished": "vanished, share\nof those that show\nin the truth",
    "into_csf": "darker than half-way to\nCSF, share of those\nnot so in the truth",
}
TISSUES = {"kmeans_csf": "sky", "kmeans_gm": "vermillion", "kmeans_wm": "yellow"}


def figure_lesions(
    table: pd.DataFrame,
    sources: Sequence[str],
    out_png: str | Path,
    out_pdf: str | Path,
    *,
    ceilings: Collection[str],
) -> None:
    """Means with 95 % intervals for each row, and what K-Means calls the lesions' pixels.

    A dashed line is the contrast in the true target.

    Args:
        table: see :func:`lmidiff.evaluation.lesions.lesions_table`.
        sources: a row of panels each.
        ceilings: rows that are shown the answer, drawn in black.

    Raises:
        StudyError: nothing to draw, or a file cannot be written.
    """
    shape = {"panels": len(PANELS) + 1, "row_mm": 5.0}
    with dot_page(table, sources, ceilings, out_png, out_pdf, **shape) as page:
        for line, source in zip(page.grid, sources, strict=True):
            cells = table[table["source"] == source].set_index(["measure", "method"])
            for axes, measure in zip(line, PANELS, strict=False):
                page.dots(axes, cells.loc[measure].rename(columns={"mean": "middle"}))
                axes.axvline(0, color="0.7", lw=0.6)
            truth = cells.loc["true_contrast", "mean"].iloc[0]
            line[0].axvline(truth, color="0.3", lw=0.8, ls="--")
            _tissues(line[-1], cells, list(page.labels.index))
        for axes, (measure, title) in zip(page.grid[-1], PANELS.items(), strict=False):
            axes.set_xlabel(title)
            if measure != "contrast":
                axes.set_xlim(-0.05, 1.05)  # a t interval of shares may end beyond
        page.grid[-1, -1].set_xlabel("what K-Means\ncalls them, share\nof their pixels")
        legend_below(page.figure, page.grid[0, -1], 3)


def _tissues(axes: Axes, cells: pd.DataFrame, methods: Sequence[str]) -> None:
    for place, method in enumerate(methods):
        left = 0.0
        for measure, colour in TISSUES.items():
            if (measure, method) not in cells.index:
                continue
            share = float(cells.loc[(measure, method), "mean"])
            name = measure.removeprefix("kmeans_").upper() if place == 0 else None
            look = {"color": OKABE_ITO[colour], "edgecolor": "0.3", "lw": 0.3}
            axes.barh(place, share, left=left, height=0.7, label=name, **look)
            left += share
