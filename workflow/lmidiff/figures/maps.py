"""What the LMI sees: maps of a real slice against itself, and against another contrast."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lmidiff.figures.canvas import GREY, drawn_page, left_and_right, scale_bar, show_slice
from lmidiff.figures.style import WIDTH_MM
from lmidiff.lmi import local_mutual_information

_GAP, _HEAD, _FOOT = 1.0, 5.0, 9.0


def figure_maps(
    source: NDArray[np.floating],
    target: NDArray[np.floating],
    titles: tuple[str, str],
    pixel_mm: float,
    out_png: str | Path,
    out_pdf: str | Path,
) -> None:
    """Draw source y and target x, LMI(y, y), LMI(x, x) and LMI(y, x), normalised.

    Args:
        source, target: (X, Y) slices of one person, RAS, 0..1.
        titles: modalities of the two.
        pixel_mm: side of a pixel.
        out_png, out_pdf: the files.
    """
    y, x = (torch.from_numpy(np.ascontiguousarray(a))[None, None].float() for a in (source, target))
    maps = [local_mutual_information(a, b)[0, 0].numpy() for a, b in ((y, y), (x, x), (y, x))]
    pairs = ("y, y", "x, x", "y, x")
    shown = [(f"{titles[0]}, y", source, GREY), (f"{titles[1]}, x", target, GREY)]
    look = {"cmap": "viridis", "vmin": 0, "vmax": 1}
    shown += [(f"LMI({pair})", found, look) for pair, found in zip(pairs, maps, strict=True)]
    box = (0, 0, *source.shape)
    cell = (WIDTH_MM - (len(shown) - 1) * _GAP) / len(shown)
    height = cell * box[3] / box[2]
    with drawn_page(_HEAD + height + _FOOT, out_png, out_pdf) as page:
        for column, (title, image, kind) in enumerate(shown):
            left = column * (cell + _GAP)
            page.text(left + cell / 2, _HEAD - 1, title, ha="center", va="bottom", fontsize=8)
            axes = page.axes(left, _HEAD, cell, height)
            show_slice(axes, image, box, **kind)
            if column == 0:
                scale_bar(axes, box, pixel_mm)
                left_and_right(axes)
        bar = page.axes(2 * (cell + _GAP), _HEAD + height + 1.5, cell, 2, bare=False)
        colours = page.figure.axes[2].images[0]
        page.figure.colorbar(colours, cax=bar, orientation="horizontal", ticks=[0, 0.5, 1])
        note = "normalised, 0 to 1, patches of 3 x 3 pixels"
        page.text(3 * (cell + _GAP), _HEAD + height + 3.5, note, fontsize=7, va="center")
