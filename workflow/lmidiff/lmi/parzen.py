"""The Parzen LMI estimator: Shannon entropies of Gaussian-smoothed histograms."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lmidiff.lmi.elementwise import elementwise
from lmidiff.lmi.joint import JointSums, Patches
from lmidiff.lmi.reference import GREY_LEVELS, NMI_EPS, offset_range

# Added to the Parzen kernel so that no joint bin underflows to 0, where x log x has no gradient.
KERNEL_FLOOR = 1e-15


def estimate(
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
    log2 S - sum(w log2 w) / S. The joint S is the patch's sum over n of (sum_k a_k)(sum_l a_l),
    which spares a pass over the joint histogram.
    """
    tracked = torch.is_grad_enabled() and (y.requires_grad or x.requires_grad)
    # As in renyi2: without PyTorch's records for gradients; the result leaves that mode.
    with torch.inference_mode(not tracked):
        information = _information(y, x, patch_size, bandwidth, bins, normalized, search)
    return information.amax(-1)


def _information(
    y: Tensor,
    x: Tensor,
    patch_size: int,
    bandwidth: float,
    bins: int,
    normalized: bool,
    search: bool,
) -> Tensor:
    """Mutual information at every offset: (N, H, W, offsets)."""
    count, height, width = y.shape
    radius = patch_size // 2
    y = _pad_replicate(y.clamp(0, 1) * GREY_LEVELS, radius)
    x = _pad_replicate(x.clamp(0, 1) * GREY_LEVELS, 2 * radius)
    kernel_y, kernel_x = (_kernel(v, bandwidth, bins) for v in (y, x))

    # Marginal entropies, once per pixel; an offset only shifts the sample's.
    bits_y, bits_x = (_entropy(_over_patch(torch.add, k, patch_size)) for k in (kernel_y, kernel_x))
    bits_x = bits_x.unfold(1, height, 1).unfold(2, width, 1).permute(0, 3, 4, 1, 2)
    offsets = offset_range(patch_size, search)
    bits_x = bits_x[..., offsets.start : offsets.stop, offsets.start : offsets.stop].flatten(3)

    windows_y, windows_x = (_windows(v.detach(), patch_size, bandwidth, bins) for v in (y, x))
    width_y = windows_y.width[:, :height, :width].flatten()
    width_x = _over_patch(torch.maximum, windows_x.width, len(offsets))
    width_x = width_x[:, offsets.start :, offsets.start :][:, :height, :width].flatten()
    # Pixels with windows of like sizes are worked on together.
    order = (width_y * (bins + 1) + width_x).argsort(stable=True)
    shape = height, width
    patches_y = Patches.of(order, shape, patch_size, range(1), windows_y.start, width_y)
    patches_x = Patches.of(order, shape, patch_size, offsets, windows_x.start, width_x)
    logarithms = JointSums.apply(kernel_y, kernel_x, order, patches_y, patches_x)
    totals = _joint_totals(kernel_y.sum(-1), kernel_x.sum(-1), patch_size, offsets)
    bits_yx = elementwise("log2", totals, out=torch.empty_like(totals)) - logarithms / totals
    bits_y = bits_y[..., None]
    information = bits_y + bits_x - bits_yx.view(count, height, width, -1)
    if normalized:
        information = 2 * information / (bits_y + bits_x + NMI_EPS)
    return information


def _kernel(grey: Tensor, bandwidth: float, bins: int) -> Tensor:
    """Gaussian weights of (N, H, W) grey levels in each bin, never 0: (N, H, W, bins)."""
    centres = torch.linspace(0, GREY_LEVELS, bins, dtype=grey.dtype, device=grey.device)
    distance = grey[..., None] - centres
    zero, scale = grey.new_zeros(()), -1 / (2 * bandwidth**2)
    out = None if distance.requires_grad else distance
    exponent = torch.addcmul(zero, distance, distance, value=scale, out=out)
    return elementwise("exp", exponent) + KERNEL_FLOOR


class Windows(NamedTuple):
    """The bins that a patch reaches, by the padded pixel at the patch's top left corner.

    Attributes:
        start, width: first bin and number of bins, int64, of the shape of the padded image; both
            are 0 where no patch begins.
    """

    start: Tensor
    width: Tensor


def _windows(grey: Tensor, patch_size: int, bandwidth: float, bins: int) -> Windows:
    """The bins to which the patches of padded (N, H, W) grey levels add more than rounding does.

    In double precision, and where the kernel falls between the bins, that is all of them.
    """
    spacing = GREY_LEVELS / (bins - 1)
    lost = torch.finfo(grey.dtype).eps
    # A bin is at most half a spacing from a value, so a patch's largest weight is at least this.
    least = math.exp(-((spacing / 2 / bandwidth) ** 2) / 2)
    reach = math.inf
    if lost * least > KERNEL_FLOOR:
        reach = bandwidth * math.sqrt(-2 * math.log(lost * least))
    # Not-a-number stays in the weights; here it must not become a position.
    low, high = (
        _over_patch(torch.maximum, sign * grey, patch_size).nan_to_num() for sign in (-1, 1)
    )
    start = ((-low - reach) / spacing).ceil().clamp(0, bins - 1)
    stop = ((high + reach) / spacing).floor().clamp(0, bins - 1)
    padding = (0, patch_size - 1, 0, patch_size - 1)
    return Windows(*(F.pad(v, padding).long() for v in (start, stop - start + 1)))


def _joint_totals(sums_y: Tensor, sums_x: Tensor, patch_size: int, offsets: range) -> Tensor:
    """Sums of the joint histograms, (pixels, offsets), from those of the kernels, (N, H, W)."""
    height, width = sums_y.shape[1:]
    shifted = sums_x.unfold(1, height, 1).unfold(2, width, 1)
    shifted = shifted[:, offsets.start : offsets.stop, offsets.start : offsets.stop].flatten(1, 2)
    products = sums_y[:, None] * shifted
    totals = _over_patch(torch.add, products, patch_size, dims=(2, 3))
    return totals.flatten(2).transpose(1, 2).flatten(0, 1)


def _entropy(weights: Tensor) -> Tensor:
    """Entropy, in bits, over the last axis of positive weights that need not sum to 1."""
    total = weights.sum(-1)
    logarithm = elementwise("log2", weights, out=torch.empty_like(weights))
    return total.log2() - (weights * logarithm).sum(-1) / total


def _over_patch(
    combine: Callable[[Tensor, Tensor], Tensor],
    values: Tensor,
    size: int,
    dims: tuple[int, int] = (1, 2),
) -> Tensor:
    """Combine the values of every size x size window, along two axes."""
    for dim in dims:
        length = values.shape[dim] - size + 1
        values = reduce(combine, (values.narrow(dim, i, length) for i in range(size)))
    return values


def _pad_replicate(image: Tensor, width: int) -> Tensor:
    """Pad (N, H, W) by its edge values on all four sides."""
    return F.pad(image[:, None], (width,) * 4, mode="replicate")[:, 0]
