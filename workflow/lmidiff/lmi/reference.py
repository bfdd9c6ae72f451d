"""The LMI estimator of the method's authors, and what it shares with the others."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

GREY_LEVELS = 255.0
# The authors' guard, inside every logarithm and every division.
REFERENCE_EPS = 1e-10
# Guards the denominator of the normalised form: patches without information give 0, not 0 / 0.
NMI_EPS = 1e-8
# Pixels at a time: small blocks stay in a CPU's cache; a GPU launches kernels per block.
# The authors' code takes an image at once, which changes time and memory, not the result.
BLOCK_CPU, BLOCK_CUDA = 64, 4096


@torch.no_grad()
def estimate(
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
    for pixels, at_y, at_x in pixel_blocks(y, x, rows, columns, offsets):
        a, b = flat_y[at_y], flat_x[at_x]
        bits_y = guarded_entropy(normalize(a.mean(1), (1,)), (1,))[:, None]
        bits_x = guarded_entropy(normalize(b.mean(1), (2,)), (2,))
        joint = joint_histograms(a, b)
        information = bits_y + bits_x - guarded_entropy(normalize(joint, (1, 3)), (1, 3))
        if normalized:
            information = 2 * information / (bits_y + bits_x + REFERENCE_EPS)
        lmi[pixels] = information.amax(1)
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


def kernel(grey: Tensor, bandwidth: float, bins: int) -> Tensor:
    """Gaussian weights of (N, H, W) grey levels in each bin: (N, H, W, bins)."""
    centres = torch.linspace(0, GREY_LEVELS, bins, dtype=grey.dtype, device=grey.device)
    return torch.exp(-((grey[..., None] - centres) ** 2) / (2 * bandwidth**2))


def joint_histograms(a: Tensor, b: Tensor) -> Tensor:
    """Joint histograms (pixels, bins, offsets, bins) from the kernels of the patches' pixels."""
    return torch.bmm(a.transpose(1, 2), b.flatten(2)).unflatten(2, b.shape[2:])


def offset_range(patch_size: int, search: bool) -> range:
    """Offsets along one axis, counted from the corner of the offset window."""
    return range(patch_size) if search else range(patch_size // 2, patch_size // 2 + 1)


def pixel_blocks(
    y: Tensor, x: Tensor, rows: Tensor, columns: Tensor, offsets: range
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Walk over the pixels of a batch in blocks, so that memory does not grow with the image.

    Args:
        y, x: padded images, (N, H + p - 1, W + p - 1) and (N, any, any).
        rows, columns: (H or W, p offsets, p pixels), positions in the padded sample.
        offsets: the offsets to keep, along both axes.

    Yields:
        The numbers of the block's pixels, and positions in the flattened images: of the source's
        patches, (pixels, p * p), and of the sample's, (pixels, p * p, offsets).
    """
    height, width, patch_size = rows.shape[0], columns.shape[0], rows.shape[-1]
    rows = rows[:, offsets.start : offsets.stop]
    columns = columns[:, offsets.start : offsets.stop]
    size = BLOCK_CUDA if y.is_cuda else BLOCK_CPU
    starts = torch.arange(patch_size, device=y.device)
    corners = (starts[:, None] * y.shape[-1] + starts).flatten()
    for pixels in torch.arange(y.shape[0] * height * width, device=y.device).split(size):
        column, row = pixels % width, pixels // width % height
        image = pixels // (width * height)
        corner = (image * y.shape[-2] + row) * y.shape[-1] + column
        # (pixels, row and column in the patch, row and column of the offset)
        row_x = rows[row].transpose(1, 2)[:, :, None, :, None]
        column_x = columns[column].transpose(1, 2)[:, None, :, None, :]
        at_x = (image[:, None, None, None, None] * x.shape[-2] + row_x) * x.shape[-1] + column_x
        yield pixels, corner[:, None] + corners, at_x.flatten(3).flatten(1, 2)
