"""Slices as a picture in a terminal: two pixels a character, in 24-bit grey."""

import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.panel import SOURCE, TARGET
from lmidiff.evaluation.pictures import intensities, read_pictures
from lmidiff.records.packed import ENDING, unpack

CELL = 26
"""Characters a slice is wide; as few pixels as show a brain."""

EXTRACT = "extracts/figure2.safetensors"


def plot(folder: Path, labels: Mapping[str, str], columns: int) -> str:
    """Source, truth and as many rows as fit, of the first panel of Figure 2.

    Args:
        folder: of a finished or recorded study.
        labels: row -> name, the most telling first.
        columns: of the terminal.

    Raises:
        StudyError: the study has no such pictures.
    """
    pictures = _pictures(folder)
    titles = {SOURCE: "source", TARGET: "truth", **labels}
    shown = [key for key in titles if f"0/images/{key}" in pictures]
    shown = shown[: max(1, (columns + 1) // (CELL + 1))]
    slices = [intensities(pictures[f"0/images/{key}"]) for key in shown]
    names = [textwrap.shorten(titles[key], CELL, placeholder="…").ljust(CELL) for key in shown]
    strips = [_strip(image) for image in slices]
    return "\n".join([" ".join(names), *(" ".join(line) for line in zip(*strips, strict=True))])


def _strip(image: NDArray[np.floating]) -> list[str]:
    """An (X, Y) slice in 0..1, anterior up, as lines of ``CELL`` characters."""
    grey = Image.fromarray((np.rot90(image) * 255).astype(np.uint8))
    rows = round(CELL * grey.height / grey.width / 2) * 2
    pixels = np.asarray(grey.resize((CELL, rows), Image.Resampling.BOX))
    lines = []
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        cells = (
            f"\x1b[38;2;{a};{a};{a};48;2;{b};{b};{b}m▀" for a, b in zip(upper, lower, strict=True)
        )
        lines.append("".join(cells) + "\x1b[0m")
    return lines


def _pictures(folder: Path) -> dict[str, NDArray[np.uint8]]:
    path, packed = folder / EXTRACT, folder / f"{EXTRACT}{ENDING}"
    if path.is_file():
        return read_pictures(path)[0]
    if not packed.is_file():
        raise StudyError(f"{path}: no such file; run the study first (make reproduce)")
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as unpacked:
        unpacked.write(unpack(packed))
        unpacked.flush()
        return read_pictures(unpacked.name)[0]
