"""The LMI estimator of the method's authors, and the histograms of both binned estimators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

GREY_LEVELS = 255.0
# The authors' guard, inside every logarithm and every division.
REFERENCE_EPS = 1e-10

Blocks = Callable[[], Iterator[tuple[slice, Tensor, Tensor]]]


@torch.no_grad()
def reference(
    y: Tensor,
    x: Tensor,
    patch_size: int,
    bandwidth: float,
    bins: int,
    normalized: bool,
    search: bool,
) -> Tensor:
    """The authors' LMI of (N, H, W) images, with every quirk of their code.

    The sample's zero-padded patches are tiled into an image p times larger, and its "shifted
    patches" are the p x p windows, of stride p, of that image, zero-padded once more: all but the
    centre one mix pixels of neighbouring patches. Marginals are averaged over the patch but joint
    histograms are summed, which tells where a normalising sum is near ``REFERENCE_EPS``.
    """
    count, height, width = y.shape
    radius = patch_size // 2
    # Through int32, as the authors' `(v * 255).int()`: truncation towards zero.
    y, x = (F.pad((v * GREY_LEVELS).int().to(v.dtype), (radius,) * 4) for v in (y, x))
    flat_y, flat_x = (kernel(v, bandwidth, bins).flatten(0, 2) for v in (y, x))

    def normalize(weights: Tensor, dims: tuple[int, ...]) -> Tensor:
        return weights / (weights.sum(dims, keepdim=True) + REFERENCE_EPS)

    def guarded_entropy(p: Tensor, dims: tuple[int, ...]) -> Tensor:
        return -(p * (p + REFERENCE_EPS).log2()).sum(dims)

    offsets = offset_range(patch_size, search)
    rows = _tiled_windows(height, patch_size, y.device)
    columns = _tiled_windows(width, patch_size, y.device)
    lmi = y.new_empty(count * height * width)
    for block, at_y, at_x in pixel_blocks(y, x, rows, columns, offsets):
        a, b = flat_y[at_y], flat_x[at_x]
        bits_y = guarded_entropy(normalize(a.mean(1), (1,)), (1,))[:, None]
        bits_x = guarded_entropy(normalize(b.mean(1), (2,)), (2,))
        joint = joint_histograms(a, b)
        information = bits_y + bits_x - guarded_entropy(normalize(joint, (1, 3)), (1, 3))
        if normalized:
            information = 2 * information / (bits_y + bits_x + REFERENCE_EPS)
        lmi[block] = information.amax(1)
    return lmi.view(count, height, width)


def _tiled_windows(size: int, patch_size: int, device: torch.device) -> Tensor:
    """Padded positions seen by the authors' windows along one axis: (size, offset, pixel).

    Position t of the axis of tiled patches holds pixel t % p of the patch at t // p. Outside that
    axis it is zero, as is position 0 of the padded image.
    """
    starts = torch.arange(patch_size, device=device)
    tiled = torch.arange(size, device=device)[:, None, None] * patch_size
    tiled = tiled + starts[:, None] + starts - patch_size // 2
    inside = (tiled >= 0) & (tiled < size * patch_size)
    return torch.where(inside, tiled // patch_size + tiled % patch_size, 0)


def shifted_windows(size: int, patch_size: int, device: torch.device) -> Tensor:
    """Padded positions of the patches at every offset along one axis: (size, offset, pixel)."""
    starts = torch.arange(patch_size, device=device)
    return torch.arange(size, device=device)[:, None, None] + starts[:, None] + starts


def kernel(grey: Tensor, bandwidth: float, bins: int) -> Tensor:
    """Gaussian weights of (N, H, W) grey levels in each bin: (N, H, W, bins)."""
    centres = torch.linspace(0, GREY_LEVELS, bins, dtype=grey.dtype, device=grey.device)
    return torch.exp(-((grey[..., None] - centres) ** 2) / (2 * bandwidth**2))


def joint_histograms(a: Tensor, b: Tensor) -> Tensor:
    """Joint histograms (pixels, bins, offsets, bins) from the kernels of the patches' pixels."""
    return torch.bmm(a.transpose(1, 2), b.flatten(2)).unflatten(2, b.shape[2:])


class JointEntropy(torch.autograd.Function):
    """Entropies, in bits, of the joint histograms of all pixels and offsets: (pixels, offsets).

    A joint histogram takes p^2 bins^2 numbers per pixel: both passes stream over blocks of pixels.
    """

    @staticmethod
    def forward(
        ctx: Any, kernel_y: Tensor, kernel_x: Tensor, blocks: Blocks, shape: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(kernel_y, kernel_x)
        ctx.blocks = blocks
        # Filled in place: results kept between blocks would fragment the memory they reuse.
        entropies = kernel_y.new_empty(shape)
        for block, at_y, at_x in blocks():
            entropies[block] = entropy(joint_histograms(kernel_y[at_y], kernel_x[at_x]), (1, 3))
        return entropies

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        kernel_y, kernel_x = ctx.saved_tensors
        gradient_y, gradient_x = torch.zeros_like(kernel_y), torch.zeros_like(kernel_x)
        for block, at_y, at_x in ctx.blocks():
            a, b = kernel_y[at_y], kernel_x[at_x]
            joint = joint_histograms(a, b)
            # H = log2 S - L / S with S = sum w, L = sum w log2 w: dH/dw = (L / S - log2 w) / S.
            logarithm = joint.log2()
            total = joint.sum((1, 3), keepdim=True)
            mean = (joint * logarithm).sum((1, 3), keepdim=True) / total
            incoming = gradient[block, None, :, None] / total
            step = (incoming * (mean - logarithm)).flatten(2)
            step_y = torch.bmm(b.flatten(2), step.transpose(1, 2))
            gradient_y.index_add_(0, at_y.flatten(), step_y.flatten(0, 1))
            step_x = torch.bmm(a, step).view_as(b)
            gradient_x.index_add_(0, at_x.flatten(), step_x.flatten(0, 2))
        return gradient_y, gradient_x, None, None


def entropy(weights: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Entropy, in bits, of positive weights that need not sum to 1."""
    total = weights.sum(dims)
    return total.log2() - (weights * weights.log2()).sum(dims) / total


def offset_range(patch_size: int, search: bool) -> range:
    """Offsets along one axis, counted from the corner of the offset window."""
    return range(patch_size) if search else range(patch_size // 2, patch_size // 2 + 1)


def pixel_blocks(
    y: Tensor, x: Tensor, rows: Tensor, columns: Tensor, offsets: range
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Walk over the pixels of a batch in blocks, so that memory does not grow with the image.

    Args:
        y, x: padded images, (N, H + p - 1, W + p - 1) and (N, any, any).
        rows, columns: (H or W, p offsets, p pixels), positions in the padded sample.
        offsets: the offsets to keep, along both axes.

    Yields:
        The block, as a slice of the batch's pixels, and positions in the flattened images: of the
        source's patches, (pixels, p * p), and of the sample's, (pixels, p * p, offsets).
    """
    height, width, patch_size = rows.shape[0], columns.shape[0], rows.shape[-1]
    rows = rows[:, offsets.start : offsets.stop]
    columns = columns[:, offsets.start : offsets.stop]
    # Small blocks stay in a CPU's cache; a GPU launches kernels per block.
    size = 4096 if y.is_cuda else 64
    starts = torch.arange(patch_size, device=y.device)
    corners = (starts[:, None] * y.shape[-1] + starts).flatten()
    total = y.shape[0] * height * width
    for start in range(0, total, size):
        block = slice(start, min(start + size, total))
        pixels = torch.arange(block.start, block.stop, device=y.device)
        column, row = pixels % width, pixels // width % height
        image = pixels // (width * height)
        corner = (image * y.shape[-2] + row) * y.shape[-1] + column
        # (pixels, row and column in the patch, row and column of the offset)
        row_x = rows[row].transpose(1, 2)[:, :, None, :, None]
        column_x = columns[column].transpose(1, 2)[:, None, :, None, :]
        at_x = (image[:, None, None, None, None] * x.shape[-2] + row_x) * x.shape[-1] + column_x
        yield block, corner[:, None] + corners, at_x.flatten(3).flatten(1, 2)
