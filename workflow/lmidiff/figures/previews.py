"""The figure of what models make while they are trained."""

from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from matplotlib.figure import Figure

from lmidiff.common.errors import StudyError
from lmidiff.figures.style import WIDTH_MM, inches, save, style


def figure_previews(files: Mapping[str, str | Path], png: str | Path, pdf: str | Path) -> None:
    """Draw a row a model and a column a moment; each cell holds the pictures side by side.

    Args:
        files: model to its npz, see :func:`lmidiff.training.previews.write_previews`. Models that
            took no pictures are left out.

    Raises:
        StudyError: a file is missing or damaged.
    """
    shown = {model: taken for model, path in files.items() if len((taken := _read(path))[0])}
    with style():
        rows = max(len(shown), 1)
        columns = max((len(steps) for steps, _ in shown.values()), default=1)
        height = 8 + 16.0 * rows
        figure = Figure(figsize=(inches(WIDTH_MM), inches(height)))
        grid = figure.subplots(rows, columns, squeeze=False)
        figure.subplots_adjust(0.13, 0.005, 0.995, 1 - 5 / height, wspace=0.03, hspace=0.22)
        for axes in grid.flat:
            axes.set_axis_off()
        for line, (model, (steps, images)) in zip(grid, shown.items(), strict=False):
            for axes, step, pictures in zip(line, steps, images, strict=False):
                # Arrays are (left-right, back-front); pictures show the front up.
                strip = np.concatenate([np.flipud(each.T) for each in pictures], axis=1)
                axes.imshow(strip, cmap="gray", vmin=0, vmax=255)
                axes.set_title(f"step {step:,}", pad=1.5, fontsize=6)
            line[0].text(
                -0.04,
                0.5,
                model.replace("_", "\n"),
                transform=line[0].transAxes,
                ha="right",
                va="center",
            )
        save(figure, png, pdf)


def _read(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as content:
            return content["steps"], content["images"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise StudyError(f"{path}: not a file of previews ({error}); train the model") from error
