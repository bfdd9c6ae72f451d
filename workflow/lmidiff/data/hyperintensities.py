"""What a FLAIR shows brighter than white matter, in a translation to T1w.

Lesions of white matter are bright on FLAIR, where nothing healthy is, and as dark as grey matter on
T1w, rarely as dark as fluid (Wardlaw et al., Lancet Neurology 12, 2013: standards for reporting
vascular changes). A network that learnt from the T1w of healthy people has seen no such place: it
makes white matter of some and fluid of others. Where the scan is brighter than the spread of its
white matter explains, the translation is held near grey matter's intensity g:

    T' = T + w * (clip(T, g - d0, g + d1) - T),   w = clip((y - m) / s - 2, 0, 1)

with y the scan, m and s the median and spread of its white matter; w is the less of the scan's and
that of the scan smoothed a little, so that noise is no lesion and a lesion does not grow. Grey
matter is left as it is translated, but for what ``BAND`` takes off.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.cluster import KMeans

from lmidiff.data.detail import smoothed

Array = NDArray[np.float32]

TARGET = "T1w"
"""Of which it is known what lesions look like."""

SMOOTH_MM = 0.7
"""Standard deviation of the Gaussian over the scan."""

STARTS = 2.0
"""From how many spreads above white matter on a voxel counts; one more, and it counts in full."""

GREY_BELOW = 1.1
"""By how many spreads the upper quartile of a FLAIR's grey matter may be darker than white matter.
Half-way between three people's FLAIR (at most .54) and 45 people's T1w (at least 1.62)."""

BAND = 0.1
"""How far a held voxel may be from grey matter, as a share of the way to fluid and to white."""

BINS = 256
"""Of a translation's intensities, which the three clusters are found from."""

LEAST_SPREAD = 0.001
"""Of white matter, as a share of its median: a scan without noise has none."""

MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Hyperintensities:
    """A translation in which what the scan shows brighter than white matter is kept.

    Attributes:
        image: (X, Y, Z) in 0..1, 0 outside the brain.
        ml: volume of what had been translated to white matter or fluid, and was held.
    """

    image: Array
    ml: float


def held(
    scan: Array, brain: NDArray[np.bool_], voxel_mm: NDArray[np.floating], image: Array
) -> Hyperintensities | None:
    """The translation of a FLAIR with its bright spots held near grey matter.

    Args:
        scan: (X, Y, Z), receive field corrected, in any unit, not clipped above.
        brain: same shape.
        voxel_mm: sides of a voxel.
        image: the translation to T1w, 0..1, same shape.

    Returns:
        None if the scan's contrast is none of FLAIR's: fluid darkest, grey matter about as bright
        as white or brighter.
    """
    inner = ndimage.binary_erosion(brain, np.ones((3, 3, 1)))  # the rim shows no tissue's intensity
    centres = _centres(image[inner])
    if centres is None:
        return None
    fluid, grey, white = centres
    tissue = np.digitize(image, [(fluid + grey) / 2, (grey + white) / 2])
    of = [scan[inner & (tissue == place)] for place in range(3)]
    middle, spread = _middle(of[2])
    upper = [float(np.percentile(values, 75)) for values in of]
    flair = upper[0] < middle - STARTS * spread and upper[1] > middle - GREY_BELOW * spread
    if not flair:
        return None
    # Noise passes one of the two, the white matter beside a lesion the other.
    weight = brain.astype(np.float32)
    for each in (scan, smoothed(scan, brain, SMOOTH_MM / np.asarray(voxel_mm))):
        middle, spread = _middle(each[inner & (tissue == 2)])
        above = (each - middle) / max(spread, LEAST_SPREAD * abs(middle))
        weight = np.minimum(weight, np.clip(above - STARTS, 0, 1))
    low, high = grey - BAND * (grey - fluid), grey + BAND * (white - grey)
    result = image + weight * (np.clip(image, low, high) - image)
    moved = float(weight[tissue != 1].sum())
    return Hyperintensities(result.astype(np.float32), moved * float(np.prod(voxel_mm)) / 1000)


def _middle(values: NDArray[np.floating]) -> tuple[float, float]:
    """Median and a standard deviation that a few bright voxels do not widen."""
    middle = float(np.median(values))
    return middle, MAD_TO_SD * float(np.median(np.abs(values - middle)))


def _centres(values: Array) -> tuple[float, float, float] | None:
    """Of fluid, grey and white matter in a T1w; None if it has no three intensities."""
    counts, edges = np.histogram(values, BINS, (0, 1))
    shown = counts > 0
    if shown.sum() < 3:
        return None
    # Bins, not voxels: so few go to one thread, and bits do not depend on the number of threads.
    bins = ((edges[1:] + edges[:-1]) / 2)[shown, None]
    found = KMeans(3, n_init=4, random_state=0).fit(bins, sample_weight=counts[shown])
    fluid, grey, white = sorted(map(float, found.cluster_centers_[:, 0]))
    return fluid, grey, white
