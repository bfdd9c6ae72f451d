"""One look for every figure, and files that are the same bytes for the same numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from lmidiff.common.files import atomic
from lmidiff.common.regions import BRAIN, HEAD

WIDTH_MM = 180.0
"""Width of a printed double column."""

OKABE_ITO = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "orange": "#E69F00",
    "black": "#000000",
    "yellow": "#F0E442",
}
"""Okabe and Ito's palette, told apart under every common colour blindness."""

# Of all triples of the palette, this one stays furthest apart, and from the black background, under
# simulated protanopia, deuteranopia and tritanopia and in grey print (test_figures.py).
TISSUE_COLOURS = {
    "csf": OKABE_ITO["sky"],
    "gm": OKABE_ITO["vermillion"],
    "wm": OKABE_ITO["yellow"],
}

KIND_LOOKS = {
    "zero-shot": (OKABE_ITO["blue"], "o"),
    "training saw the source": (OKABE_ITO["vermillion"], "s"),
    "ceiling": (OKABE_ITO["black"], "D"),
}
"""Colour and marker of a row by its :attr:`lmidiff.evaluation.tables.MethodInfo.kind`."""

MARKERS = "osD^v<>"
"""Of what is told apart by shape."""

LABEL_COLOURS = {
    BRAIN: {name.upper(): colour for name, colour in TISSUE_COLOURS.items()},
    # Most of the dark cluster of a whole slice is air, so it has the grey of that.
    HEAD: {"dark": "#404040", "middle": OKABE_ITO["vermillion"], "bright": OKABE_ITO["yellow"]},
}
"""Printed name to colour of the labels 1, 2, 3, by what the segmenter labels."""

_FONT = "DejaVu Sans"

_SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": [_FONT],
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.0,
    "figure.facecolor": "white",
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.hashsalt": "lmidiff",
    "image.interpolation": "nearest",
}


def inches(mm: float) -> float:
    """Millimetres as inches, which matplotlib wants."""
    return mm / 25.4


def drawable(text: str) -> str:
    """The text, a user's own name say, with ``?`` for what the figures' font has no letter for."""
    font = font_manager.get_font(font_manager.findfont(_FONT))
    return "".join(letter if font.get_char_index(ord(letter)) else "?" for letter in text)


@contextmanager
def style() -> Iterator[None]:
    """Draw inside this: fixed fonts and sizes, whatever the user's own matplotlib settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


@contextmanager
def sheet(height_mm: float, png: str | Path, pdf: str | Path) -> Iterator[Figure]:
    """A figure of the printed width to draw in; :func:`save` keeps it when the block succeeds.

    Args:
        height_mm: its height; panels make room for each other.
        png, pdf: the files.
    """
    with style():
        yield (figure := Figure((inches(WIDTH_MM), inches(height_mm)), layout="constrained"))
        save(figure, png, pdf)


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """The legend of one of the panels, below them all."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)


def line_look(number: int, *avoided: str) -> dict[str, str]:
    """Colour and dashes of one of many lines: colours repeat, the dashes then differ.

    Args:
        number: of the line, from 0.
        *avoided: colours of ``OKABE_ITO`` beside yellow, which is too light for a line.
    """
    colours = [c for name, c in OKABE_ITO.items() if name not in ("yellow", *avoided)]
    turn, place = divmod(number, len(colours))
    return {"color": colours[place], "ls": ("-", "--", "-.", ":")[turn % 4]}


def save(figure: Figure, png: str | Path, pdf: str | Path) -> None:
    """Write a figure as PNG (300 dpi) and PDF (embedded TrueType), with no date or version inside.

    Call it inside :func:`style`. The figure keeps its size in mm: nothing is cropped.

    Raises:
        StudyError: a file cannot be written.
    """
    blank_pdf = {"CreationDate": None, "Creator": None, "Producer": None}
    for path, kind, metadata in ((png, "png", {"Software": None}), (pdf, "pdf", blank_pdf)):
        with atomic(path) as temporary:
            figure.savefig(temporary, format=kind, metadata=metadata)
            if kind == "png":
                _in_few_colours(temporary)


def _in_few_colours(png: Path) -> None:
    """Pack a PNG into a palette of 256: a third of the size, and no eye sees it here."""
    with Image.open(png) as picture:
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(png, format="PNG", optimize=True, dpi=picture.info["dpi"])
