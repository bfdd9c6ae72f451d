"""A real scan, its translation and the truth at full resolution, with a close-up of each."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lmidiff.figures.canvas import GREY, drawn_page, left_and_right, outline, scale_bar, show_slice
from lmidiff.figures.style import OKABE_ITO, WIDTH_MM

CLOSEUP_MM = 45.0
MARKED = OKABE_ITO["orange"]
_GAP, _HEAD = 1.0, 5.0


def figure_own_scan(
    slices: Mapping[str, NDArray[np.floating]],
    titles: Mapping[str, str],
    pixel_mm: float,
    out_png: str | Path,
    out_pdf: str | Path,
) -> None:
    """Draw a column an image: the slice, and a close-up at the scan's own pixels.

    The close-up is of the middle of ``lesions`` in the half of the brain that has more of them, and
    those are outlined in the first column's; without any, of the middle of the slice.

    Args:
        slices: (X, Y) axial slices in RAS, 0..1; ``lesions``, above 0 where there is one.
        titles: key of ``slices`` to the title of its column, in order.
        pixel_mm: side of a pixel.
        out_png, out_pdf: the files.
    """
    shape = next(iter(slices.values())).shape
    cell = (WIDTH_MM - (len(titles) - 1) * _GAP) / len(titles)
    side = min(round(CLOSEUP_MM / pixel_mm), *shape)
    lesions = slices.get("lesions")
    middle = _middle(lesions) if lesions is not None and lesions.any() else np.array(shape) / 2
    corner = np.clip((middle - side / 2).astype(int), 0, np.array(shape) - side)
    roi = (int(corner[0]), int(corner[1]), side, side)
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
                if box is roi and column == 0 and lesions is not None:
                    limits = axes.axis()
                    axes.contour(lesions.T, [0.5], colors=[MARKED], linewidths=0.7)
                    axes.axis(limits)
                if box is not roi:
                    outline(axes, roi)
                    if column == 0:
                        left_and_right(axes)
                y += height + _GAP


def _middle(lesions: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mean place of what is marked in the half, left or right, that has more of it."""
    places = np.argwhere(lesions > 0)
    left = places[:, 0] < lesions.shape[0] / 2
    return places[left if left.mean() >= 0.5 else ~left].mean(axis=0)
