"""Local-wise mutual information (LMI) maps between two images, by three estimators.

At every pixel i, and for p x p patches,

    LMI(y, x)[i] = max over q of MI(patch of y at i, patch of x at i + q),

where q runs over the p x p offsets. The normalised map uses 2 MI / (H(y) + H(x)).

``reference``
    The public code of the method's authors, reproduced step for step, with its integer cast
    (no gradient), its zero padding, and windows that mix neighbouring patches.
``parzen``
    The definition above with Shannon entropies (bits) of Gaussian-smoothed histograms.
``renyi2``
    The definition above with Renyi-2 (collision) entropies (bits), in closed form without bins.
    Cheap enough for a training loop.
"""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from lmidiff.lmi_reference import (
    GREY_LEVELS,
    JointEntropy,
    entropy,
    kernel,
    offset_range,
    pixel_blocks,
    reference,
    shifted_windows,
)

__all__ = ["ESTIMATORS", "local_mutual_information"]

ESTIMATORS = ("reference", "parzen", "renyi2")

# Guards the denominator of the normalised form: patches without information give 0, not 0 / 0.
NMI_EPS = 1e-8
# Added to the Parzen kernel so that no joint bin underflows to 0, where x log x has no gradient.
KERNEL_FLOOR = 1e-15


def local_mutual_information(
    source: Tensor,
    sample: Tensor,
    *,
    estimator: str = "renyi2",
    patch_size: int = 3,
    bandwidth: float = 8.0,
    bins: int = 27,
    normalized: bool = True,
    search: bool = True,
) -> Tensor:
    """Map of the local mutual information between ``source`` and ``sample``.

    Args:
        source: y, (N, 1, H, W), any H, W >= 1, nominally in 0..1. Its patches stay in place.
        sample: x, the same shape as ``source``. Its patches are shifted.
        estimator: one of ``ESTIMATORS``. ``parzen`` and ``renyi2`` are differentiable in both
            images; ``reference`` is not. Outside 0..1, ``parzen`` clamps, ``renyi2`` needs no
            range, and ``reference`` loses the value: where that empties the joint histogram but
            not both marginal ones, its NMI is 2.
        patch_size: p, the odd side of the patches and of the offset window, in pixels.
        bandwidth: s, the standard deviation of the Gaussian kernel, in grey levels of 0..255.
        bins: number of histogram bins over 0..255, ends included. Unused by ``renyi2``.
        normalized: 2 MI / (H(y) + H(x)) rather than MI in bits.
        search: maximise over the p x p offsets rather than keep the centre one.

    Returns:
        (N, 1, H, W), of the images' promoted dtype; half precision is computed in float32.
        Normalised, ``parzen`` and ``renyi2`` are at most 1, up to rounding. They may fall slightly
        below 0: collision entropies are not subadditive, and Parzen kernels cut off at 0 and 255
        leave marginal histograms that are not the joint one's own.

    Raises:
        ValueError: shapes that differ or are not (N, 1, H, W), an unknown estimator, a patch size
            that is even or less than 3, a bandwidth that is not positive, fewer than 2 bins.
    """
    if source.shape != sample.shape or source.ndim != 4 or source.shape[1] != 1:
        raise ValueError(
            "source and sample must both be (N, 1, H, W), "
            f"got {tuple(source.shape)} and {tuple(sample.shape)}"
        )
    if min(source.shape) < 1:
        raise ValueError(f"source and sample must not be empty, got {tuple(source.shape)}")
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}, got {estimator!r}")
    if patch_size < 3 or patch_size % 2 == 0:
        raise ValueError(f"patch_size must be odd and at least 3, got {patch_size}")
    if not bandwidth > 0:
        raise ValueError(f"bandwidth must be positive, got {bandwidth}")
    if bins < 2:
        raise ValueError(f"bins must be at least 2, got {bins}")

    dtype = torch.promote_types(source.dtype, sample.dtype)
    working = torch.promote_types(dtype, torch.float32)
    y, x = source[:, 0].to(working), sample[:, 0].to(working)
    # Entropies differ by less than half precision resolves: autocast must stay out.
    with torch.autocast(y.device.type, enabled=False):
        if estimator == "renyi2":
            lmi = _renyi2(y, x, patch_size, bandwidth, normalized, search)
        elif estimator == "parzen":
            lmi = _parzen(y, x, patch_size, bandwidth, bins, normalized, search)
        else:
            lmi = reference(y, x, patch_size, bandwidth, bins, normalized, search)
    return lmi[:, None].to(dtype)


def _pad_replicate(image: Tensor, width: int) -> Tensor:
    """Pad (N, H, W) by its edge values on all four sides."""
    return F.pad(image[:, None], (width,) * 4, mode="replicate")[:, 0]


# --- renyi2 ---------------------------------------------------------------------------------

# Dissimilarities 1 - k of pixel pairs, keyed by the pair's |displacement| (rows, columns). The
# maps of one key are its diagonals; each value lies at the corner of the pair's bounding box.
PairMaps = dict[tuple[int, int], list[Tensor]]


def _renyi2(
    y: Tensor, x: Tensor, patch_size: int, bandwidth: float, normalized: bool, search: bool
) -> Tensor:
    """Renyi-2 LMI of (N, H, W) images.

    With k_ab = exp(-(v_a - v_b)^2 / (4 s^2)), n = p^2 and H2 = -log2 V, V = mean over a, b of k_ab.
    Written by 1 - k, which stays accurate in flat patches: A = mean of (1 - k), V = 1 - A, and with
    C = mean of (1 - k^y)(1 - k^x) the joint V_yx = 1 - A_y - A_x + C, so that

        MI2 = H2(y) + H2(x) - H2(y, x) = log2(1 + (C - A_y A_x) / (V_y V_x)).
    """
    height, width = y.shape[-2:]
    radius = patch_size // 2
    pairs_y = _pair_maps(_pad_replicate(y, radius), patch_size, bandwidth)
    pairs_x = _pair_maps(_pad_replicate(x, 2 * radius), patch_size, bandwidth)
    mean_y = _patch_mean({key: sum(maps) for key, maps in pairs_y.items()}, patch_size)
    mean_x = _patch_mean({key: sum(maps) for key, maps in pairs_x.items()}, patch_size)
    inverse_y, inverse_x = 1 / (1 - mean_y), 1 / (1 - mean_x)
    nats_y, nats_x = -torch.log1p(-mean_y), -torch.log1p(-mean_x)

    best = None
    # One offset at a time: the working set stays in cache, and memory independent of p.
    for row in offset_range(patch_size, search):
        for column in offset_range(patch_size, search):
            joint = {}
            for key, maps_y in pairs_y.items():
                product = None
                for a, b in zip(maps_y, pairs_x[key], strict=True):
                    b = b[:, row : row + a.shape[-2], column : column + a.shape[-1]]
                    product = a * b if product is None else torch.addcmul(product, a, b)
                joint[key] = product
            at = (..., slice(row, row + height), slice(column, column + width))
            covariance = _patch_mean(joint, patch_size) - mean_y * mean_x[at]
            nats = torch.log1p(covariance * inverse_y * inverse_x[at])
            if normalized:
                nats = nats / (nats_y + nats_x[at] + NMI_EPS)
            best = nats if best is None else torch.maximum(best, nats)
    return best * (2.0 if normalized else 1 / math.log(2))


def _pair_maps(image: Tensor, patch_size: int, bandwidth: float) -> PairMaps:
    """1 - exp(-(v_a - v_b)^2 / (4 s^2)) for every displacement inside a patch, once per image.

    A pair's Gram entry depends on its displacement only, so a 3 x 3 patch needs 12 maps, not 36.
    """
    height, width = image.shape[-2:]
    scale = -((GREY_LEVELS / (2 * bandwidth)) ** 2)
    pairs: PairMaps = {}
    for row in range(patch_size):
        for column in range(patch_size):
            if row == column == 0:
                continue
            top, bottom = image[:, : height - row], image[:, row:]
            differences = [top[..., : width - column] - bottom[..., column:]]
            if row and column:
                differences.append(top[..., column:] - bottom[..., : width - column])
            pairs[row, column] = [-torch.expm1(d.square() * scale) for d in differences]
    return pairs


def _patch_mean(maps: dict[tuple[int, int], Tensor], patch_size: int) -> Tensor:
    """Mean over all n^2 ordered pairs of each patch, from one summed map per |displacement|.

    A pair displaced by (r, c) fits into a patch at (p - r) x (p - c) places.
    """
    columns = []
    for column in range(patch_size):
        rows = [maps[row, column] for row in range(patch_size) if row or column]
        columns.append(_nested_sum(rows, -2, patch_size, skipped=0 if column else 1))
    return _nested_sum(columns, -1, patch_size) * (2 / patch_size**4)


def _nested_sum(maps: list[Tensor], dim: int, patch_size: int, skipped: int = 0) -> Tensor:
    """Sum of running sums along ``dim``, of length p - d for the map of displacement d.

    The shift j takes part in the sums of all d < p - j: accumulating the maps first leaves one
    addition per shift. ``maps`` begins at displacement ``skipped``.
    """
    length = maps[0].shape[dim] + skipped - patch_size + 1
    accumulated = maps[0]
    total = accumulated.narrow(dim, patch_size - 1 - skipped, length)
    for distance, following in enumerate(maps[1:], start=skipped + 1):
        accumulated = accumulated.narrow(dim, 0, following.shape[dim]) + following
        total = total + accumulated.narrow(dim, patch_size - 1 - distance, length)
    return total


# --- parzen -------------------------------------------------------------------------------


def _parzen(
    y: Tensor,
    x: Tensor,
    patch_size: int,
    bandwidth: float,
    bins: int,
    normalized: bool,
    search: bool,
) -> Tensor:
    """Shannon LMI of (N, H, W) images from Parzen histograms.

    With a_k(v) = exp(-(v - c_k)^2 / (2 s^2)): P_y(k) ~ sum_n a_k(y_n) and
    P_yx(k, l) ~ sum_n a_k(y_n) a_l(x_n). For unnormalised weights w of sum S, the entropy is
    log2 S - sum(w log2 w) / S, which spares a pass over the joint histogram.
    """
    count, height, width = y.shape
    radius = patch_size // 2
    y = _pad_replicate(y.clamp(0, 1) * GREY_LEVELS, radius)
    x = _pad_replicate(x.clamp(0, 1) * GREY_LEVELS, 2 * radius)
    kernel_y = kernel(y, bandwidth, bins) + KERNEL_FLOOR
    kernel_x = kernel(x, bandwidth, bins) + KERNEL_FLOOR

    # Marginal entropies, once per pixel; an offset only shifts the sample's.
    bits_y, bits_x = (
        entropy(F.avg_pool2d(k.permute(0, 3, 1, 2), patch_size, stride=1), (1,))
        for k in (kernel_y, kernel_x)
    )
    bits_x = bits_x.unfold(1, height, 1).unfold(2, width, 1).permute(0, 3, 4, 1, 2)
    offsets = offset_range(patch_size, search)
    bits_x = bits_x[..., offsets.start : offsets.stop, offsets.start : offsets.stop].flatten(3)

    rows, columns = (shifted_windows(n, patch_size, y.device) for n in (height, width))
    blocks = partial(pixel_blocks, y, x, rows, columns, offsets)
    bits_yx = JointEntropy.apply(
        kernel_y.flatten(0, 2),
        kernel_x.flatten(0, 2),
        blocks,
        (count * height * width, len(offsets) ** 2),
    )
    bits_y = bits_y[..., None]
    information = bits_y + bits_x - bits_yx.view(count, height, width, -1)
    if normalized:
        information = 2 * information / (bits_y + bits_x + NMI_EPS)
    return information.amax(-1)
