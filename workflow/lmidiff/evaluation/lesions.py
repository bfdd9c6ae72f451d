"""What becomes of white-matter lesions in a translation.

A lesion is a connected patch of a slice of at least ``LEAST_PIXELS`` marked pixels. In the true
target it has a contrast to white matter; a translation can lose it (the lesion *vanishes*) or
overdo it (the lesion *turns into CSF*). White matter and CSF are those of the tissue labels, less
the lesions.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from lmidiff.evaluation.crossed import mean_interval
from lmidiff.evaluation.rows import rows_measured
from lmidiff.evaluation.scores import KEYS

LEAST_PIXELS = 4
VISIBLE = 0.1
"""A lesion shows in the target that is darker than white matter by this share of that to CSF."""
KEPT = 0.25
"""It vanishes if the translation keeps less than this share of its true contrast."""

CSF, GM, WM = 1, 2, 3
MEASURES = {
    "contrast": "lesion minus white matter, mean intensity",
    "true_contrast": "the same in the true target",
    "vanished": "share of the visible lesions that keep under a quarter of their contrast",
    "into_csf": "share of all lesions not truly half-way to CSF that the translation takes there",
    "kmeans_csf": "share of the lesions' pixels that K-Means calls CSF",
    "kmeans_gm": "share that it calls grey matter",
    "kmeans_wm": "share that it calls white matter",
}
"""What is measured of a person; intensities 0..1."""
SHARES = [measure for measure in MEASURES if "contrast" not in measure]
COLUMNS = [*KEYS, "lesions", "visible", "pixels", *MEASURES]
TABLE_COLUMNS = ["source", "method", "label", "measure", "mean", "low", "high", "n", "trainings"]

Array = NDArray[np.float64]


def measure_lesions(
    image: Array,
    target: Array,
    found: NDArray[np.integer],
    truth: NDArray[np.integer],
    lesions: NDArray[np.bool_],
) -> dict[str, float]:
    """The lesions of one person in one translation.

    The target is one on which CSF is darker than white matter, as on T1w.

    Args:
        image: (X, Y, Z) translation, 0..1.
        target: (X, Y, Z) true target, 0..1.
        found: (X, Y, Z) K-Means labels of the translation.
        truth: (X, Y, Z) tissue labels 1 CSF, 2 GM, 3 WM.
        lesions: (X, Y, Z).

    Returns:
        ``lesions, visible, pixels`` (counts) and :data:`MEASURES`; ``nan`` where there is nothing
        to take a mean of.
    """
    in_plane = np.zeros((3, 3, 3))
    in_plane[:, :, 1] = 1  # slices of the study are apart
    patches, count = ndimage.label(lesions, in_plane)
    sizes = np.bincount(patches.ravel(), minlength=count + 1)
    kept = [number for number in range(1, count + 1) if sizes[number] >= LEAST_PIXELS]
    inside = np.isin(patches, kept) if kept else np.zeros(lesions.shape, bool)
    white, fluid = (truth == WM) & ~lesions, (truth == CSF) & ~lesions
    nothing = {"lesions": len(kept), "visible": 0, "pixels": int(inside.sum())}
    if not (kept and white.any() and fluid.any()):
        return {**nothing, **dict.fromkeys(MEASURES, float("nan"))}
    there, here = (_Scale(each, white, fluid) for each in (target, image))
    true, shown = (ndimage.mean(each, patches, kept) for each in (target, image))
    visible = true - there.white < VISIBLE * (there.fluid - there.white)
    not_fluid = true > there.half
    labels = found[inside]
    return {
        **nothing,
        "visible": int(visible.sum()),
        "contrast": float(image[inside].mean() - here.white),
        "true_contrast": float(target[inside].mean() - there.white),
        "vanished": _share((shown - here.white > KEPT * (true - there.white))[visible]),
        "into_csf": _share((shown < here.half)[not_fluid]),
        "kmeans_csf": _share(labels == CSF),
        "kmeans_gm": _share(labels == GM),
        "kmeans_wm": _share(labels == WM),
    }


def lesions_table(
    measured: pd.DataFrame, labels: Mapping[str, str], sources: Sequence[str], *, seed: int
) -> pd.DataFrame:
    """Means over people, and trainings, of every measure with their 95 % intervals.

    Args:
        measured: frame of ``COLUMNS``.
        labels: row to its printed name, in order; one that was not measured is left out.
        sources: in order.
        seed: of the bootstrap.

    Returns:
        A frame of ``TABLE_COLUMNS``, a row a source, row and measure.
    """
    rows = []
    for names, own in rows_measured(measured, labels, sources):
        for measure in MEASURES:
            values = own.pivot(index="subject", columns="seed", values=measure)
            cell = mean_interval(values, seed=seed)
            if measure in SHARES:  # a t interval does not know where they end
                cell = cell._replace(low=max(cell.low, 0.0), high=min(cell.high, 1.0))
            rows.append((*names, measure, *cell, own["seed"].nunique()))
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)


class _Scale:
    """The means of white matter and CSF in an image, and half-way between."""

    def __init__(self, image: Array, white: NDArray[np.bool_], fluid: NDArray[np.bool_]) -> None:
        self.white, self.fluid = float(image[white].mean()), float(image[fluid].mean())
        self.half = (self.white + self.fluid) / 2


def _share(chosen: NDArray[np.bool_]) -> float:
    return float(chosen.mean()) if chosen.size else float("nan")
