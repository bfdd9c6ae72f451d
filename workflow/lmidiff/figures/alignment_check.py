"""A raw subject's picture: the mask's outline on the reference, its edges over the other scans."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from skimage.feature import canny

from lmidiff.common.files import atomic
from lmidiff.data.align import AlignedSubject
from lmidiff.figures.style import OKABE_ITO, WIDTH_MM, drawable, inches, style

OUTLINE, EDGES = OKABE_ITO["orange"], OKABE_ITO["sky"]
"""Both stand out from grey under every common colour blindness; they are never on one picture."""

HEIGHTS = (0.3, 0.5, 0.7)
"""Of the axial views, as shares of the brain's extent; the other views cut through its middle."""

_MARGIN_MM = 25.0


def draw_quality(subject: AlignedSubject, name: str, path: str | Path) -> None:
    """Draw a subject: a row a scan, three axial views, a coronal and a sagittal one.

    Args:
        subject: as it was aligned.
        name: printed above.
        path: the PNG.
    """
    views = _views(subject.brain, subject.images)
    rows = len(subject.images)
    with style():
        figure = Figure((inches(WIDTH_MM), inches(8 + 42 * rows)))
        axes = figure.subplots(
            rows,
            len(views),
            squeeze=False,
            gridspec_kw={"width_ratios": [view.width for view in views]},
        )
        still = next(iter(subject.images))
        for row, entry in enumerate(subject.quality):
            for axis, view in zip(axes[row], views, strict=True):
                _show(axis, view.cut(subject.images[entry.modality].data), view)
                brain = view.cut(subject.brain)
                if row == 0:
                    _outline(axis, brain, view)
                else:
                    _edges(axis, view.cut(subject.images[still].data), brain, view)
            axes[row, 0].set_title(_caption(entry, still), loc="left")
        figure.suptitle(drawable(name), x=0.01, ha="left", fontsize=8, parse_math=False)
        figure.subplots_adjust(0.005, 0.005, 0.995, 1 - 9 / (8 + 42 * rows), 0.02, 0.14)
        with atomic(path) as temporary:
            figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})


class _View:
    """A plane of the volume, cropped to the head around the brain."""

    def __init__(self, axis: int, at: int, box: list[slice], voxel_mm: np.ndarray) -> None:
        self.axis, self.at = axis, at
        rest = [other for other in range(3) if other != axis]
        self.window = tuple(box[other] for other in rest)
        self.aspect = float(voxel_mm[rest[1]] / voxel_mm[rest[0]])
        height, width = (self.window[k].stop - self.window[k].start for k in (1, 0))
        self.width = width / (height * self.aspect)

    def cut(self, data: np.ndarray) -> np.ndarray:
        """The plane as rows from top to bottom: (height, width)."""
        return np.take(data, self.at, self.axis)[self.window].T[::-1]


def _views(brain: np.ndarray, images: dict) -> list[_View]:
    voxel_mm = next(iter(images.values())).voxel_mm
    rows = [
        np.flatnonzero(brain.any(axis=tuple(other for other in range(3) if other != axis)))
        for axis in range(3)
    ]
    box = []
    for row, edge, length in zip(rows, voxel_mm, brain.shape, strict=True):
        margin = int(_MARGIN_MM / edge)
        box.append(slice(max(row[0] - margin, 0), min(row[-1] + margin + 1, length)))
    heights = [int(np.quantile(rows[2], share)) for share in HEIGHTS]
    middle = [int(np.median(row)) for row in rows]
    # Beside the falx, so that the sagittal view shows a hemisphere.
    beside = min(middle[0] + int(8 / voxel_mm[0]), brain.shape[0] - 1)
    return [
        *(_View(2, height, box, voxel_mm) for height in heights),
        _View(1, middle[1], box, voxel_mm),
        _View(0, beside, box, voxel_mm),
    ]


def _show(axis: Axes, image: np.ndarray, view: _View) -> None:
    # A little dark, so that lines stand out from the brightest tissue.
    top = 1.3 * float(np.percentile(image, 99.5)) or 1.0
    axis.imshow(image, cmap="gray", vmin=0, vmax=top, aspect=view.aspect)
    axis.axis("off")


def _outline(axis: Axes, brain: np.ndarray, view: _View) -> None:
    if brain.any() and not brain.all() and min(brain.shape) > 1:  # one row has no outline
        axis.contour(brain, [0.5], colors=[OUTLINE], linewidths=0.7)
    axis.set_aspect(view.aspect)


def _edges(axis: Axes, image: np.ndarray, brain: np.ndarray, view: _View) -> None:
    """The reference's edges within the brain, and the outline of the brain itself."""
    if brain.any():
        scaled = image / max(float(np.percentile(image[brain], 99)), 1e-12)
        found = canny(np.clip(scaled, 0, 1), sigma=1.5, mask=brain)
        layer = np.zeros((*found.shape, 4))
        layer[found] = [*(int(EDGES[k : k + 2], 16) / 255 for k in (1, 3, 5)), 0.9]
        axis.imshow(layer, aspect=view.aspect, interpolation="nearest")


def _caption(entry, still: str) -> str:
    flags = f"   FLAGGED: {'; '.join(entry.flags)}" if entry.flags else ""
    found = entry.registration
    if found is None:
        return f"{entry.modality}, reference, mask {entry.mask_ml:.0f} ml{flags}"
    return (
        f"{entry.modality} with the edges of {still}: turned {found.turned_deg:.1f} degrees, moved "
        f"{found.moved_mm:.1f} mm, MI {found.before:.2f} to {found.after:.2f}, masks' Dice "
        f"{found.dice_before:.3f} to {found.dice_after:.3f}{flags}"
    )
