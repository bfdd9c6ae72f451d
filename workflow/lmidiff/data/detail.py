"""A translation at the scan's own resolution.

A network translates slices of its own pixels, 2 or 3 mm, and gives what is true of places: which
tissue lies where, and how bright it is there. The scan knows the detail. Both are joined as one
would sharpen a map by a photograph: the scan's intensities pass through the function of intensity
that the translation is nearest to, fitted on the network's pixels, and where the translation says
otherwise over some millimetres it is followed.

    T = f(y) + G * (L - B f(y))

with y the scan, L the translation on the scan's voxels, f(y) = E[L | y], B the blur of L beyond
that of the scan and G a Gaussian over the brain.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from lmidiff.images.rim import inside_of

Array = NDArray[np.float32]

PLACE_MM = 1.0
"""Standard deviation of G: over what distance the translation is followed."""

NETWORK_BLUR = 0.8
"""Standard deviation of a translation's point spread, in pixels of the network: it smooths more
than its pixels alone do, and detail that it lacks for that is no disagreement with the scan."""

SCAN_BLUR = 0.68
"""That of a scan, in voxels: 1.6 of them at half of its height."""

BINS = 256
WIDTHS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Standard deviations of the kernels, in bins."""

DOUBT_MM = 2.0
"""Standard deviation of the Gaussian over which doubt is a mean: it tells places, not voxels."""

PRIOR_SHARE = 0.005


def function_of(source: torch.Tensor, image: torch.Tensor) -> tuple[Array, Array]:
    """E[image | source intensity] inside the brain, as smooth as its pixels are few.

    A kernel regression in ``BINS`` bins, from the widest of ``WIDTHS`` to the narrowest: what a
    wider kernel says counts as much as ``PRIOR_SHARE`` of the pixels. Of an intensity that few
    pixels have, a table would know no more than their noise, and print it wherever the scan has it.

    Args:
        source: slices (Z, 1, S, S) in 0..1, 0 outside the brain.
        image: their translation, same shape.

    Returns:
        Rising source intensities and the mean image at each.
    """
    inside = inside_of(source > 0)
    values, answers = (each[inside].double().numpy() for each in (source, image))
    places = np.minimum((values * BINS).astype(int), BINS - 1)
    counts = np.bincount(places, minlength=BINS).astype(float)
    sums = np.bincount(places, weights=answers, minlength=BINS)
    function = np.full(BINS, answers.mean())
    for width in reversed(WIDTHS):
        pixels, total = (
            ndimage.gaussian_filter1d(each, width, mode="constant") * width * np.sqrt(2 * np.pi)
            for each in (counts, sums)
        )
        prior = PRIOR_SHARE * len(values)
        function = (total + prior * function) / (pixels + prior)
    centres = (np.arange(BINS) + 0.5) / BINS
    return centres.astype(np.float32), function.astype(np.float32)


def at_own_resolution(
    scan: Array,
    brain: NDArray[np.bool_],
    voxel_mm: NDArray[np.floating],
    translated: Array,
    table: tuple[Array, Array],
    pixel_mm: float,
) -> Array:
    """The translation with the detail of the scan.

    Args:
        scan: (X, Y, Z) in 0..1, 0 outside the brain, at its own resolution.
        brain: same shape.
        voxel_mm: sides of a voxel.
        translated: the translation brought to the scan's voxels, same shape; 0 above and below the
            slices of the network, where the scan's function is all there is.
        table: see :func:`function_of`.
        pixel_mm: side of the network's pixels.

    Returns:
        (X, Y, Z) in 0..1, 0 outside the brain.
    """
    known = brain & (translated > 0)
    # The mask's rim shows no tissue's intensity (lmidiff.images.rim); where the network saw the
    # slice, it knows of it.
    shown = ndimage.binary_erosion(brain, np.ones((3, 3, 1))) | ~known
    detail = np.where(shown, np.interp(scan, *table), translated).astype(np.float32)
    blurred = smoothed(detail, brain, blur(voxel_mm, pixel_mm) / voxel_mm)
    rest = smoothed(np.where(known, translated - blurred, 0), known, PLACE_MM / voxel_mm)
    return np.where(brain, np.clip(detail + rest, 0, 1), 0).astype(np.float32)


def doubt_of(
    error: Array,
    image: Array,
    translated: Array,
    brain: NDArray[np.bool_],
    voxel_mm: NDArray[np.floating],
) -> Array:
    """How far off a joined translation may be: the network's own error, and what detail changed.

    Where the scan's detail and the network disagree, one of them is wrong.

    Args:
        error: of the network, on the scan's voxels, (X, Y, Z).
        image: what :func:`at_own_resolution` gave.
        translated: what it was given.
        brain: same shape.
        voxel_mm: sides of a voxel.

    Returns:
        (X, Y, Z), a mean over ``DOUBT_MM``, 0 outside the brain.
    """
    doubt = smoothed(error + np.abs(image - translated), brain, DOUBT_MM / voxel_mm)
    return np.where(brain, doubt, 0).astype(np.float32)


def blur(voxel_mm: NDArray[np.floating], pixel_mm: float) -> NDArray[np.floating]:
    """Standard deviation of B along each axis in mm; 0 where the scan is as smooth as L."""
    rest = (NETWORK_BLUR * pixel_mm) ** 2 - (SCAN_BLUR * np.asarray(voxel_mm)) ** 2
    return np.sqrt(np.maximum(rest, 0))


def smoothed(
    values: Array, where: NDArray[np.bool_], deviation: NDArray[np.floating]
) -> NDArray[np.floating]:
    """A Gaussian over the voxels ``where``; the others do not count.

    Args:
        values: (X, Y, Z).
        where: same shape.
        deviation: in voxels, along each axis.
    """
    weight = ndimage.gaussian_filter(where.astype(np.float32), deviation, mode="constant")
    total = ndimage.gaussian_filter(
        np.where(where, values, 0).astype(np.float32), deviation, mode="constant"
    )
    return total / np.maximum(weight, 1e-3)
