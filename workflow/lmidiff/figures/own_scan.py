"""One picture of a translated scan, to be looked at in ten seconds."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from lmidiff.common.files import atomic
from lmidiff.data.own_space import OwnScan

_PLANES = (("sagittal", 0), ("coronal", 1), ("axial", 2))
OUTLINE = "#E69F00"


def draw_scan(
    scan: OwnScan, image: np.ndarray, doubt: np.ndarray | None, path: Path, target: str
) -> None:
    """A scan in three planes through the brain's middle, the mask's outline on top.

    Below it the translation, and its uncertainty if there is one.

    Args:
        scan: the raw scan and its brain.
        image: (X, Y, Z) its translation, 0..1.
        doubt: (X, Y, Z) how far off that may be, 0..1, or None.
        path: the PNG to write.
        target: the modality of the translation.
    """
    data, brain, size = scan.volume.data, scan.brain, scan.volume.voxel_mm
    middle = [int(np.median(np.flatnonzero(brain.any(axis=other)))) for other in _OTHERS]
    top = np.percentile(data[brain], 99.5)
    rows = [("scan", data / top, "gray", True), (f"translation ({target})", image, "gray", False)]
    if doubt is not None:
        most = max(float(np.percentile(doubt[brain], 99)), 1e-6)
        rows.append((f"uncertainty, white is {most:.2f}", doubt / most, "inferno", False))
    shape = (len(rows), 3)
    with mpl.rc_context({"font.size": 9}):
        figure = Figure((9, 3.1 * len(rows)), facecolor="black", layout="constrained")
        axes = figure.subplots(*shape)
        for line, (title, values, colours, outlined) in zip(axes, rows, strict=True):
            for place, (plane, axis) in zip(line, _PLANES, strict=True):
                cut = np.take(values, middle[axis], axis).T
                tall, wide = (s for k, s in reversed(list(enumerate(size))) if k != axis)
                place.imshow(
                    cut, cmap=colours, vmin=0, vmax=1, origin="lower", aspect=float(tall / wide)
                )
                edge = np.take(brain, middle[axis], axis).T
                if outlined and min(edge.shape) > 1:  # one row has no outline
                    place.contour(edge, [0.5], colors=OUTLINE, linewidths=0.7)
                place.set_axis_off()
                place.set_title(f"{title}, {plane}", color="white")
        with atomic(path) as temporary:
            figure.savefig(temporary, format="png", dpi=100, facecolor="black")


_OTHERS = ((1, 2), (0, 2), (0, 1))
