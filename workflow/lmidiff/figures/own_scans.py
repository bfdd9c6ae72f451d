"""A real scan, its translation and the truth at full resolution, with a close-up of each."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lmidiff.figures.canvas import GREY, drawn_page, left_and_right, outline, scale_bar, show_slice
from lmidiff.figures.style import WIDTH_MM

CLOSEUP_MM = 45.0
_GAP, _HEAD = 1.0, 5.0


def figure_own_scan(
    slices: Mapping[str, NDArray[np.floating]],
    titles: Mapping[str, str],
    pixel_mm: float,
    out_png: str | Path,
    out_pdf: str | Path,
) -> None:
    """Draw a column an image: the slice, and a close-up of its middle at the scan's own pixels.

    Args:
        slices: (X, Y) axial slices in RAS, 0..1.
        titles: key of ``slices`` to the title of its column, in order.
        pixel_mm: side of a pixel.
        out_png, out_pdf: the files.
    """
    shape = next(iter(slices.values())).shape
    cell = (WIDTH_MM - (len(titles) - 1) * _GAP) / len(titles)
    side = min(round(CLOSEUP_MM / pixel_mm), *shape)
    roi = ((shape[0] - side) // 2, (shape[1] - side) // 2, side, side)
    boxes = ((0, 0, *shape), roi)
    heights = [cell * box[3] / box[2] for box in boxes]
    with drawn_page(_HEAD + sum(heights) + _GAP, out_png, out_pdf) as page:
        for column, (key, title) in enumerate(titles.items()):
            x, y = column * (cell + _GAP), _HEAD
            page.text(x + cell / 2, _HEAD - 1, title, ha="center", va="bottom", fontsize=8)
            for box, height in zip(boxes, heights, strict=True):
                axes = page.axes(x, y, cell, height)
                show_slice(axes, slices[key], box, **GREY)
                if column == 0:
                    scale_bar(axes, box, pixel_mm)
                if box is not roi:
                    outline(axes, roi)
                    if column == 0:
                        left_and_right(axes)
                y += height + _GAP
