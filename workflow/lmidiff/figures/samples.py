"""Grids of drawn images beside real ones."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.samples import nearest
from lmidiff.figures.style import WIDTH_MM, inches, save, style

_LABEL, _GAP = 24.0, 0.4


def figure_samples(
    rows: Mapping[str, NDArray[np.floating]], out_png: str | Path, out_pdf: str | Path
) -> None:
    """A row of slices for each name, in the grey scale 0..1, anterior up, left at the left.

    Args:
        rows: label to (N, X, Y) slices; the longest row sets the size of a cell.
        out_png, out_pdf: the files to write.

    Raises:
        StudyError: there is nothing to draw, or a file cannot be written.
    """
    columns = max((len(images) for images in rows.values()), default=0)
    if not columns:
        raise StudyError("figure of samples: nothing to draw")
    cell = (WIDTH_MM - _LABEL) / columns
    height = cell * len(rows)
    with style():
        figure = Figure(figsize=(inches(WIDTH_MM), inches(height)))
        FigureCanvasAgg(figure)
        for line, (name, images) in enumerate(rows.items()):
            middle = 1 - (line + 0.5) / len(rows)
            figure.text((_LABEL - 1.5) / WIDTH_MM, middle, name, ha="right", va="center")
            for column, image in enumerate(images):
                corner = (_LABEL + column * cell) / WIDTH_MM, 1 - (line + 1) / len(rows)
                side = (cell - _GAP) / WIDTH_MM, (cell - _GAP) / height
                axes = figure.add_axes((*corner, *side))
                axes.imshow(np.rot90(image), cmap="gray", vmin=0, vmax=1, aspect="auto")
                axes.set_axis_off()
        save(figure, out_png, out_pdf)


def sample_rows(
    drawn: Mapping[str, NDArray[np.floating]],
    training: NDArray[np.floating],
    held_out: Mapping[str, NDArray[np.floating]],
    shown: int,
) -> dict[str, NDArray[np.floating]]:
    """The rows of the figure: held-out slices, then each model's first draws, unselected.

    Below the draws stand the training slices nearest to them: equal ones were memorised.

    Args:
        drawn: (N, X, Y) images by model.
        training: (M, X, Y) slices of the training subjects.
        held_out: slices by subject; ``shown`` of them are taken at even steps.
        shown: images a row.
    """
    real = np.concatenate(list(held_out.values()))
    rows = {"held-out slices": real[np.linspace(0, len(real) - 1, shown).round().astype(int)]}
    for name, images in drawn.items():
        first = images[:shown]
        rows[name] = first
        rows[f"nearest to\n{name}"] = training[nearest(first, training)[0]]
    return rows
