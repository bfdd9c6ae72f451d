"""Grids of drawn images beside real ones."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.samples import nearest
from lmidiff.figures.canvas import GREY, drawn_page
from lmidiff.figures.style import WIDTH_MM

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
    with drawn_page(cell * len(rows), out_png, out_pdf) as page:
        for line, (name, images) in enumerate(rows.items()):
            page.text(_LABEL - 1.5, (line + 0.5) * cell, name, ha="right", va="center")
            for column, image in enumerate(images):
                corner = (_LABEL + column * cell, line * cell + _GAP)
                axes = page.axes(*corner, cell - _GAP, cell - _GAP)
                axes.imshow(np.rot90(image), aspect="auto", **GREY)


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
