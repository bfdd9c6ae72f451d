"""The LMI as it is defined, in plain loops: what the fast estimators are compared with.

For images y and x and a patch side p, the map at a pixel i is the mutual information of the patch
of y around i and a patch of x, at best over the p x p places q of the latter::

    LMI(y, x)[i] = max_q  H(a) + H(b) - H(a, b),   a = patch of y at i,  b = patch of x at i + q

or, normalised, twice that over H(a) + H(b). The estimators differ in how they take entropies, in
bits, from the p * p pairs of values. A pixel takes a millisecond here: read it, do not run it on a
slice.
"""

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray

Entropies = Callable[[NDArray, NDArray, float, int], list[float]]
"""H(a), H(b) and H(a, b) in bits of two patches, given a bandwidth and a number of bins."""


def patch_at(image: NDArray, row: int, column: int, p: int) -> NDArray:
    """The p x p patch (p * p,) of an image (H, W) that goes on for ever by its edge values."""
    height, width = image.shape
    steps = range(-(p // 2), p // 2 + 1)
    return np.array(
        [
            image[min(max(row + i, 0), height - 1), min(max(column + j, 0), width - 1)]
            for i, j in product(steps, steps)
        ]
    )


def parzen_histograms(
    a: NDArray, b: NDArray, bandwidth: float, bins: int
) -> tuple[NDArray, NDArray, NDArray]:
    """Marginal and joint histograms of two patches: a Gaussian kernel around each value.

    Args:
        a, b: values in 0..1; beyond that they are clipped.
        bandwidth: standard deviation of the kernel, grey levels of 0..255.
        bins: centres, evenly over 0..255.
    """
    centres = np.linspace(0, 255, bins)
    kernel_a, kernel_b = (
        np.exp(-((255 * np.clip(v, 0, 1)[:, None] - centres) ** 2) / (2 * bandwidth**2))
        for v in (a, b)
    )
    joint = sum(np.outer(kernel_a[n], kernel_b[n]) for n in range(len(a)))
    one, two, both = (w / w.sum() for w in (kernel_a.sum(0), kernel_b.sum(0), joint))
    return one, two, both


def parzen_entropies(a: NDArray, b: NDArray, bandwidth: float, bins: int) -> list[float]:
    """Shannon entropies of the Parzen histograms (the paper's)."""
    return [
        -sum(p * np.log2(p) for p in histogram.ravel() if p > 0)
        for histogram in parzen_histograms(a, b, bandwidth, bins)
    ]


def renyi2_entropies(a: NDArray, b: NDArray, bandwidth: float, bins: int) -> list[float]:  # noqa: ARG001
    """Collision (Renyi-2) entropies: minus the logarithm of the mean kernel between two values."""
    n = len(a)
    total_a = total_b = total_ab = 0.0
    for i, j in product(range(n), range(n)):
        gram_a = np.exp(-((255 * (a[i] - a[j])) ** 2) / (4 * bandwidth**2))
        gram_b = np.exp(-((255 * (b[i] - b[j])) ** 2) / (4 * bandwidth**2))
        total_a, total_b, total_ab = total_a + gram_a, total_b + gram_b, total_ab + gram_a * gram_b
    return [-np.log2(total / n**2) for total in (total_a, total_b, total_ab)]


def lmi_by_loops(
    y: NDArray,
    x: NDArray,
    entropies: Entropies,
    p: int,
    bandwidth: float,
    bins: int,
    normalized: bool,
    search: bool,
) -> NDArray:
    """The map (H, W) of two images (H, W); arguments as of
    :func:`lmidiff.lmi.local_mutual_information`."""
    lmi = np.empty(y.shape)
    steps = range(-(p // 2), p // 2 + 1) if search else [0]
    for row, column in np.ndindex(*y.shape):
        found = []
        for i, j in product(steps, steps):
            a, b = patch_at(y, row, column, p), patch_at(x, row + i, column + j, p)
            h_a, h_b, h_ab = entropies(a, b, bandwidth, bins)
            information = h_a + h_b - h_ab
            found.append(2 * information / (h_a + h_b) if normalized else information)
        lmi[row, column] = max(found)
    return lmi
