"""The Parzen LMI estimator: Shannon entropies of Gaussian-smoothed histograms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lmidiff.lmi.reference import (
    GREY_LEVELS,
    NMI_EPS,
    joint_histograms,
    kernel,
    offset_range,
)

# Added to the Parzen kernel so that no joint bin underflows to 0, where x log x has no gradient.
KERNEL_FLOOR = 1e-15
# Pixels at a time. Small blocks stay in a CPU's cache, dense ones having all bins of every pixel;
# a GPU launches kernels per block.
BLOCK_CPU, BLOCK_CPU_DENSE, BLOCK_CUDA = 128, 64, 4096

Blocks = Callable[..., Iterator[tuple[Tensor, Tensor, Tensor]]]


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

    windows_y, windows_x = (_windows(v.detach(), patch_size, bandwidth, bins) for v in (y, x))
    widest = F.max_pool2d(windows_x.width.to(y.dtype), len(offsets), stride=1)
    widest = widest[:, offsets.start :, offsets.start :][:, :height, :width]
    # Pixels with windows of like sizes are worked on together.
    cost = windows_y.width[:, :height, :width] * (bins + 1) + widest.long()
    order = cost.flatten().argsort(stable=True)
    bits_yx = JointEntropy.apply(
        kernel_y.flatten(0, 2),
        kernel_x.flatten(0, 2),
        (windows_y, windows_x),
        partial(_blocks, (y.shape[1:], x.shape[1:]), patch_size, offsets, order),
        (count * height * width, len(offsets) ** 2),
    )
    bits_y = bits_y[..., None]
    information = bits_y + bits_x - bits_yx.view(count, height, width, -1)
    if normalized:
        information = 2 * information / (bits_y + bits_x + NMI_EPS)
    return information.amax(-1)


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
    lost = torch.finfo(grey.dtype).eps / 10
    # A bin is at most half a spacing from a value, so a patch's largest weight is at least this.
    least = math.exp(-((spacing / 2 / bandwidth) ** 2) / 2)
    reach = math.inf
    if lost * least > KERNEL_FLOOR:
        reach = bandwidth * math.sqrt(-2 * math.log(lost * least))
    # Not-a-number stays in the weights; here it must not become a position.
    low, high = (F.max_pool2d(sign * grey, patch_size, stride=1).nan_to_num() for sign in (-1, 1))
    start = ((-low - reach) / spacing).ceil().clamp(0, bins - 1)
    stop = ((high + reach) / spacing).floor().clamp(0, bins - 1)
    padding = (0, patch_size - 1, 0, patch_size - 1)
    return Windows(*(F.pad(v, padding).long() for v in (start, stop - start + 1)))


def _blocks(
    shapes: tuple[torch.Size, torch.Size],
    patch_size: int,
    offsets: range,
    order: Tensor,
    block: int,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Walk over the pixels of a batch in blocks, so that memory does not grow with the image.

    Args:
        shapes: height and width of the padded source and of the padded sample.
        offsets: the offsets to keep, along both axes.
        order: numbers of the batch's pixels, in the order to take them.
        block: pixels at a time.

    Yields:
        The numbers of the block's pixels, and positions in the flattened padded images: of the
        source's patches, (pixels, p * p), and of the sample's, (pixels, p * p, offsets).
    """
    (lines_y, pitch_y), (lines_x, pitch_x) = shapes
    height, width = (n - patch_size + 1 for n in shapes[0])
    steps = torch.arange(patch_size, device=order.device)
    shifts = torch.arange(offsets.start, offsets.stop, device=order.device)
    patch_y, patch_x = ((steps[:, None] * p + steps).flatten() for p in (pitch_y, pitch_x))
    patch_x = patch_x[:, None] + (shifts[:, None] * pitch_x + shifts).flatten()
    for pixels in order.split(block):
        column, row, image = pixels % width, pixels // width % height, pixels // (width * height)
        corner_y = (image * lines_y + row) * pitch_y + column
        corner_x = (image * lines_x + row) * pitch_x + column
        yield pixels, corner_y[:, None] + patch_y, corner_x[:, None, None] + patch_x


class JointEntropy(torch.autograd.Function):
    """Entropies, in bits, of the joint histograms of all pixels and offsets: (pixels, offsets).

    A joint histogram takes p^2 bins^2 numbers per pixel: both passes stream over blocks of pixels.
    The forward pass leaves out the bins that are out of a patch's reach.
    """

    @staticmethod
    def forward(
        ctx: Any,
        kernel_y: Tensor,
        kernel_x: Tensor,
        windows: tuple[Windows, Windows],
        blocks: Blocks,
        shape: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(kernel_y, kernel_x)
        ctx.blocks = blocks
        # Filled in place: results kept between blocks would fragment the memory they reuse.
        entropies = kernel_y.new_empty(shape)
        for pixels, at_y, at_x in blocks(BLOCK_CUDA if kernel_y.is_cuda else BLOCK_CPU):
            a = _in_window(kernel_y, at_y, windows[0])
            b = _in_window(kernel_x, at_x, windows[1])
            entropies[pixels] = _joint_entropy(joint_histograms(a, b))
        return entropies

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        kernel_y, kernel_x = ctx.saved_tensors
        gradient_y, gradient_x = torch.zeros_like(kernel_y), torch.zeros_like(kernel_x)
        for pixels, at_y, at_x in ctx.blocks(BLOCK_CUDA if kernel_y.is_cuda else BLOCK_CPU_DENSE):
            a, b = kernel_y[at_y], kernel_x[at_x]
            joint = joint_histograms(a, b)
            # H = log2 S - L / S with S = sum w, L = sum w log2 w: dH/dw = (L / S - log2 w) / S.
            logarithm = _log2(joint)
            total = joint.sum((1, 3), keepdim=True)
            mean = (joint * logarithm).sum((1, 3), keepdim=True) / total
            incoming = gradient[pixels, None, :, None] / total
            step = (incoming * (mean - logarithm)).flatten(2)
            step_y = torch.bmm(b.flatten(2), step.transpose(1, 2))
            gradient_y.index_add_(0, at_y.flatten(), step_y.flatten(0, 1))
            step_x = torch.bmm(a, step).view_as(b)
            gradient_x.index_add_(0, at_x.flatten(), step_x.flatten(0, 2))
        return gradient_y, gradient_x, None, None, None


def entropy(weights: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Entropy, in bits, of positive weights that need not sum to 1."""
    total = weights.sum(dims)
    return total.log2() - (weights * weights.log2()).sum(dims) / total


def _joint_entropy(joint: Tensor) -> Tensor:
    """Entropy, in bits, of (pixels, bins, offsets, bins); the sums run over whole lines first."""
    logarithm = _log2(joint)
    total = joint.sum(1).sum(-1)
    return total.log2() - logarithm.mul_(joint).sum(1).sum(-1) / total


def _in_window(table: Tensor, at: Tensor, windows: Windows) -> Tensor:
    """Kernels (pixels, p * p, ..., n) of positions (pixels, p * p, ...), n the widest window's."""
    bins = table.shape[-1]
    size = int(windows.width.flatten()[at[:, 0]].max())
    start = windows.start.flatten()[at[:, :1]].clamp(max=bins - size)
    rows = table.flatten().unfold(0, size, 1).index_select(0, (at * bins + start).flatten())
    return rows.unflatten(0, at.shape)


def _log2(values: Tensor) -> Tensor:
    """Logarithm to base 2 of values that need no gradient."""
    if values.is_cuda:
        return values.log2()
    # NumPy's is vectorised, five times as fast as PyTorch's on a CPU.
    return torch.from_numpy(np.log2(values.numpy()))


def _pad_replicate(image: Tensor, width: int) -> Tensor:
    """Pad (N, H, W) by its edge values on all four sides."""
    return F.pad(image[:, None], (width,) * 4, mode="replicate")[:, 0]
