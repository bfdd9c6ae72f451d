"""The data at a glance: numbers of every volume, and slices of the first and of the oddest."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lmidiff.evaluation.pictures import intensities, read_pictures
from lmidiff.figures.canvas import GREY, Page, content_box, drawn_page, show_slice
from lmidiff.figures.style import OKABE_ITO, WIDTH_MM

_QUANTITIES = {
    "brain_ml": "brain in the volume [ml]",
    "mean": "mean intensity, 0..1",
    "sd": "standard deviation, 0..1",
    "at_ceiling": "share at the ceiling",
    "nmi_with_target": "NMI with the target, 1..2",
}
_LOOKS = {
    "train": (OKABE_ITO["blue"], "o"),
    "val": (OKABE_ITO["vermillion"], "s"),
    "test": (OKABE_ITO["green"], "^"),
}
_LABEL, _GAP, _HEAD, _PLOTS, _FOOT = 14.0, 1.0, 9.0, 44.0, 5.0


def figure_data(
    quality: pd.DataFrame,
    path: str | Path,
    modalities: Sequence[str],
    out_png: str | Path,
    out_pdf: str | Path,
) -> None:
    """Draw a panel a number, a point a volume; below, a column of slices a shown subject.

    Args:
        quality: see :func:`lmidiff.evaluation.data_quality.check_volumes`.
        path: the pictures that :func:`lmidiff.evaluation.data_quality.cut_examples` kept.
        modalities: in order.

    Raises:
        StudyError: a file cannot be read or written.
    """
    pictures, index = read_pictures(path)
    cell = min(30.0, (WIDTH_MM - _LABEL) / len(index) - _GAP)
    shown = np.any([intensities(image) > 0.05 for image in pictures.values()], axis=0)
    box = content_box(shown)
    tall = cell * box[3] / box[2]
    first = _PLOTS + 22 + _HEAD
    height = first + len(modalities) * (tall + _GAP) + _FOOT
    with drawn_page(height, out_png, out_pdf) as page:
        _numbers(page, quality, modalities)
        for column, entry in enumerate(index):
            x = _LABEL + column * (cell + _GAP)
            title = f"{entry['subject']}\n{entry['reason']}"
            page.text(x + cell / 2, first - 1, title, ha="center", va="bottom", fontsize=6)
            for row, modality in enumerate(modalities):
                if modality not in entry["modalities"]:
                    continue  # who is trained on has the target alone
                axes = page.axes(x, first + row * (tall + _GAP), cell, tall)
                show_slice(axes, intensities(pictures[f"{column}/{modality}"]), box, **GREY)
        for row, modality in enumerate(modalities):
            y = first + row * (tall + _GAP) + tall / 2
            page.text(_LABEL - 2, y, modality, ha="right", va="center", fontsize=7)


def _numbers(page: Page, quality: pd.DataFrame, modalities: Sequence[str]) -> None:
    width = (WIDTH_MM - 12) / len(_QUANTITIES)
    for panel, (key, title) in enumerate(_QUANTITIES.items()):
        axes = page.axes(10 + panel * width, 5, width - 11, _PLOTS, bare=False)
        for split, (colour, marker) in _LOOKS.items():
            for place, modality in enumerate(modalities):
                chosen = (quality["split"] == split) & (quality["modality"] == modality)
                values = quality.loc[chosen, key].to_numpy()
                # Fixed offsets instead of random jitter keep the file the same on every run.
                offsets = place + 0.18 * np.sin(2.4 * np.arange(len(values)))
                look = {"color": colour, "marker": marker, "ls": "", "ms": 2.6, "mew": 0}
                axes.plot(offsets, values, **look, alpha=0.7, label=split if place == 0 else None)
        axes.set_xticks(range(len(modalities)), modalities, fontsize=6)
        axes.set_xlim(-0.6, len(modalities) - 0.4)
        axes.set_title(title, fontsize=6.5)
        axes.tick_params(axis="y", labelsize=5.5)
        axes.grid(axis="y", alpha=0.25, lw=0.4)
        if panel == 0:
            handles, names = axes.get_legend_handles_labels()
    above = 1 - (_PLOTS + 11) / page.height
    at = {"loc": "upper center", "bbox_to_anchor": (0.5, above)}
    page.figure.legend(handles, names, **at, ncols=3, frameon=False)
