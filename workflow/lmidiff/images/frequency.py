"""Frequency-domain views of an image: what frequency-guided methods are told about the source."""

import torch
import torch.nn.functional as F
from torch import Tensor

LIMIT = 4.0  # root mean squares; more is rare and says nothing more


def high_pass(image: Tensor, cutoffs: tuple[float, ...], signed: bool) -> Tensor:
    """What Gaussian low-passes leave of an image, in units of its root mean square.

    The low-pass is normalised by the brain's share of its window, so that the brain's outline,
    which preprocessing cut, does not outshine the edges of the anatomy.

    Args:
        image: (N, 1, H, W) in 0..1, exactly 0 outside the brain.
        cutoffs: standard deviations of the low-passes in pixels, a channel each.
        signed: keep the sign, which a reversed contrast reverses; else the magnitude.

    Returns:
        (N, len(cutoffs), H, W) in -1..1, 0 outside the brain and where the image is constant.
    """
    brain = (image > 0).to(image)
    pixels = brain.sum((1, 2, 3), keepdim=True).clamp(min=1)
    maps = []
    for cutoff in cutoffs:
        low = _gaussian(image, cutoff) / _gaussian(brain, cutoff).clamp(min=1e-6)
        high = (image - low) * brain
        size = (high.square().sum((1, 2, 3), keepdim=True) / pixels).sqrt()
        # Rounding in a constant image must not be blown up to structure.
        high = torch.where(size > 1e-5, high / size.clamp(min=1e-5), torch.zeros_like(high))
        high = (high / LIMIT).clamp(-1, 1)
        maps.append(high if signed else high.abs())
    return torch.cat(maps, 1)


def low_pass(image: Tensor, factor: int) -> Tensor:
    """Means over blocks of ``factor`` x ``factor`` pixels: phi_N of ILVR, an exact projection.

    Args:
        image: (N, C, H, W); the last blocks of a side that is no multiple are smaller.
    """
    height, width = image.shape[-2:]
    extra = (-width % factor, -height % factor)
    ones = F.pad(torch.ones_like(image[:1, :1]), (0, extra[0], 0, extra[1]))
    padded = F.pad(image, (0, extra[0], 0, extra[1]))
    means = F.avg_pool2d(padded, factor) / F.avg_pool2d(ones, factor)
    blocks = means.repeat_interleave(factor, -2).repeat_interleave(factor, -1)
    return blocks[..., :height, :width]


def _gaussian(image: Tensor, deviation: float) -> Tensor:
    radius = max(int(3 * deviation + 0.5), 1)
    at = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    weights = torch.exp(-(at**2) / (2 * deviation**2))
    weights = weights / weights.sum()
    rows = F.conv2d(image, weights.view(1, 1, -1, 1), padding=(radius, 0))
    return F.conv2d(rows, weights.view(1, 1, 1, -1), padding=(0, radius))
