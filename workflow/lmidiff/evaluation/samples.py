"""How far drawn images are from real ones: a kernel distance that needs no downloaded network.

The kernel maximum mean discrepancy (MMD, Gretton et al., JMLR 2012) between the features of two
sets of slices, by its unbiased estimator (equation 3), which is 0 in expectation for two sets of
one distribution and may be negative. Two features count the same: intensities averaged down to a
coarse grid, and histograms of gradient directions weighted by magnitude, cell by cell. The first
sees shape and contrast, the second whether there are sharp edges where there should be.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmidiff.common.errors import StudyError
from lmidiff.common.seeds import generator_of

GRID, CELLS, DIRECTIONS = 16, 4, 8
SPLITS = 50
COLUMNS = ["images", "quantity", "mean", "low", "high", "count"]
REAL, TRAINING = "real, other people", "training slices"


def features(images: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coarse intensities and gradient histograms of slices.

    Args:
        images: (N, H, W), intensities 0..1, H and W at least 16.

    Returns:
        (N, 16 * 16) means over the cells of a grid, and (N, 4 * 4 * 8) sums of gradient
        magnitudes by cell and direction over all of 360 degrees.
    """
    images = np.asarray(images, np.float64)
    if images.ndim != 3 or min(images.shape[1:]) < GRID:
        raise StudyError(f"features need slices of {GRID} px or more, got shape {images.shape}")
    down, across = np.gradient(images, axis=(1, 2))
    turn = np.mod(np.arctan2(down, across) / (2 * np.pi), 1)
    direction = np.minimum((turn * DIRECTIONS).astype(int), DIRECTIONS - 1)
    strength = np.hypot(down, across)
    oriented = [np.where(direction == each, strength, 0) for each in range(DIRECTIONS)]
    histograms = [_cells(each, CELLS) for each in oriented]
    return _cells(images, GRID), np.concatenate(histograms, axis=1)


def _cells(images: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """Means over a grid of cells, (N, cells * cells); sides need not divide evenly."""
    edges = [np.linspace(0, side, cells + 1).round().astype(int) for side in images.shape[1:]]
    sums = np.add.reduceat(np.add.reduceat(images, edges[0][:-1], 1), edges[1][:-1], 2)
    area = np.outer(*(np.diff(each) for each in edges))
    return (sums / area).reshape(len(images), -1)


class Kernel:
    """A Gaussian kernel on both features, whose widths are the medians over real slices.

    Args:
        images: (N, H, W), at least two real slices that differ.
    """

    def __init__(self, images: NDArray[np.floating]) -> None:
        self.widths = []
        for each in features(images):
            squared = _squared_distances(each, each)[np.triu_indices(len(each), 1)]
            self.widths.append(float(np.median(squared)) if squared.size else 0.0)
        if min(self.widths) <= 0:
            raise StudyError("sample distance: needs at least two real slices that differ")

    def __call__(self, a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
        """k(a_i, b_j) = exp(-(d1 / m1 + d2 / m2) / 2), d squared distances, m their medians."""
        pairs = zip(features(a), features(b), self.widths, strict=True)
        return np.exp(-sum(_squared_distances(x, y) / m for x, y, m in pairs) / 2)


def mmd2(within_a: NDArray, within_b: NDArray, between: NDArray) -> float:
    """The unbiased squared MMD from kernel matrices (N, N), (M, M) and (N, M); N, M at least 2."""
    n, m = between.shape
    a = (within_a.sum() - np.trace(within_a)) / (n * (n - 1))
    b = (within_b.sum() - np.trace(within_b)) / (m * (m - 1))
    return float(a + b - 2 * between.mean())


def sample_distances(
    drawn: Mapping[str, NDArray[np.floating]],
    training: NDArray[np.floating],
    held_out: Mapping[str, NDArray[np.floating]],
    seed: int,
) -> pd.DataFrame:
    """Distances of drawn images, and of real ones as the reference, to held-out people's slices.

    The held-out people are split into halves at random SPLITS times. Every set is compared with
    the first half: the drawn images of each model, the training slices (what a model that had
    memorised them would get), and the second half, which is the floor. A single held-out person
    is not split, and leaves no floor.

    Args:
        drawn: (N, H, W) images by model.
        training: (M, H, W) slices of the training subjects.
        held_out: slices by subject.
        seed: of the splits.

    Returns:
        ``images, quantity, mean, low, high, count``: over the splits the mean and the 2.5th and
        97.5th percentile of ``mmd2``; and as ``nearest_training`` the same, over the images, of
        the root mean square difference to the nearest training slice. Values near 0 there, and
        not for real images of other people, would mean that training slices were memorised.

    Raises:
        StudyError: the held-out slices do not differ, or are too small for the features.
    """
    people = list(held_out)
    real = np.concatenate([held_out[person] for person in people])
    owner = np.repeat(np.arange(len(people)), [len(held_out[person]) for person in people])
    kernel = Kernel(real)
    sets = {**drawn, TRAINING: training}
    within_real = kernel(real, real)
    within = {name: kernel(images, images) for name, images in sets.items()}
    between = {name: kernel(images, real) for name, images in sets.items()}
    found: dict[str, list[float]] = {name: [] for name in (*sets, REAL)}
    for split in range(SPLITS):
        order = generator_of(seed, "halves", split).permutation(len(people))
        first = np.isin(owner, order[: max(len(people) // 2, 1)])
        half = within_real[np.ix_(first, first)]
        for name in sets:
            found[name].append(mmd2(within[name], half, between[name][:, first]))
        if not first.all():
            rest = within_real[np.ix_(~first, ~first)], within_real[np.ix_(~first, first)]
            found[REAL].append(mmd2(rest[0], half, rest[1]))
    counts = {name: len(images) for name, images in sets.items()} | {REAL: len(real)}
    rows = [_row(name, "mmd2", values, counts[name]) for name, values in found.items()]
    for name, images in {**drawn, REAL: real}.items():
        away = np.sqrt(nearest(images, training)[1])
        rows.append(_row(name, "nearest_training", away, counts[name]))
    return pd.DataFrame(rows, columns=COLUMNS)


def nearest(
    images: NDArray[np.floating], among: NDArray[np.floating]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Index of the nearest of ``among`` (M, H, W) to each image, and its mean squared difference.

    Each of ``among`` counts with its mirror image, left to right, as training shows both.
    """
    flat = np.asarray(images, np.float64).reshape(len(images), -1)
    mirrored = np.asarray(among, np.float64)[:, ::-1]
    squared = np.minimum(
        *(_squared_distances(flat, x.reshape(len(x), -1)) for x in (np.asarray(among), mirrored))
    )
    best = squared.argmin(1)
    return best, squared[np.arange(len(flat)), best] / flat.shape[1]


def _row(name: str, quantity: str, values: Sequence[float], count: int) -> tuple:
    if len(values) == 0:
        return name, quantity, np.nan, np.nan, np.nan, count
    low, high = np.percentile(values, (2.5, 97.5))
    return name, quantity, float(np.mean(values)), float(low), float(high), count


def _squared_distances(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.maximum(squared, 0)
