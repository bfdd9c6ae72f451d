"""The gallery of failures: the slices that :mod:`lmidiff.evaluation.failures` chose."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.panel import SOURCE, TARGET
from lmidiff.evaluation.pictures import intensities, read_pictures
from lmidiff.figures.canvas import GREY, Page, content_box, drawn_page, show_slice
from lmidiff.figures.style import WIDTH_MM

_CELLS = {SOURCE: "source", TARGET: "true target", "image": "translation", "error": "error"}
_ERROR = {"cmap": "inferno", "vmin": 0, "vmax": 0.5}
_GAP, _HEAD, _SUBHEAD, _FOOT, _COLUMNS = 0.6, 4.0, 6.6, 9.0, 2


def figure_failures(
    path: str | Path, labels: Mapping[str, str], out_png: str | Path, out_pdf: str | Path
) -> None:
    """Draw source, truth, translation and absolute error of every method's worst slice.

    Args:
        path: the pictures that :func:`lmidiff.evaluation.failures.cut_failures` kept.
        labels: method key -> printed name.

    Raises:
        StudyError: there is no slice to draw, or a file cannot be read or written.
    """
    pictures, rows = read_pictures(path)
    if not rows:
        raise StudyError(f"{path}: holds no slice")
    shown = [_images(pictures, number) for number in range(len(rows))]
    box = content_box(np.any([images[TARGET] > 0.05 for images in shown], axis=0))
    block = WIDTH_MM / _COLUMNS - 3
    cell = (block - _GAP * (len(_CELLS) - 1)) / len(_CELLS)
    tall = cell * box[3] / box[2]
    lines = -(-len(rows) // _COLUMNS)
    height = _HEAD + lines * (tall + _SUBHEAD) + _FOOT
    with drawn_page(height, out_png, out_pdf) as page:
        for number, (row, images) in enumerate(zip(rows, shown, strict=True)):
            left = 1.5 + (number % _COLUMNS) * (block + 3)
            top = _HEAD + number // _COLUMNS * (tall + _SUBHEAD)
            page.text(left, top + 1.2, _title(row, labels), fontsize=6, va="top")
            for column, (key, name) in enumerate(_CELLS.items()):
                x = left + column * (cell + _GAP)
                axes = page.axes(x, top + _SUBHEAD - 0.6, cell, tall)
                show_slice(axes, images[key], box, **(_ERROR if key == "error" else GREY))
                if number < _COLUMNS:
                    page.text(x + cell / 2, 3.2, name, ha="center", va="bottom", fontsize=6)
        _foot(page)


def _images(pictures: Mapping[str, NDArray], number: int) -> dict[str, NDArray]:
    images = {key: intensities(pictures[f"{number}/{key}"]) for key in (SOURCE, TARGET, "image")}
    mask = pictures[f"{number}/mask"] > 0
    images["error"] = np.where(mask, np.abs(images["image"] - images[TARGET]), 0)
    return images


def _title(row: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    name = textwrap.shorten(labels[row["method"]], 60, placeholder="…")
    return (
        f"{name}\nfrom {row['source']}, {row['subject']}, slice {row['slice'] + 1}: "
        f"brain SSIM {row['ssim_brain']:.3f} (median, all sources: {row['median_ssim_brain']:.3f})"
    )


def _foot(page: Page) -> None:
    axes = page.axes(4, page.height - 6.5, 28, 1.8)
    bar = page.figure.colorbar(
        ScalarMappable(Normalize(0, _ERROR["vmax"]), _ERROR["cmap"]),
        cax=axes,
        orientation="horizontal",
        extend="max",
    )
    bar.ax.tick_params(labelsize=5.5, length=1.5, width=0.4, pad=1)
    bar.outline.set_linewidth(0.4)
    note = "absolute error inside the brain, in intensities 0..1"
    page.text(35, page.height - 5.6, note, fontsize=5.5, va="center")
