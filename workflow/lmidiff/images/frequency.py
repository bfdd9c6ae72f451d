"""Low frequencies of an image: blocks, which ILVR takes from the source, and Gaussian blur."""

import torch
import torch.nn.functional as F
from torch import Tensor


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


def gaussian_blur(image: Tensor, sigmas: Tensor) -> Tensor:
    """Each image convolved with a Gaussian of its own, borders mirrored.

    Args:
        image: (N, 1, H, W), sides longer than three of the largest ``sigmas``.
        sigmas: (N,) standard deviations in pixels; 0 leaves an image as it is.
    """
    radius = max(1, int(torch.ceil(3 * sigmas.max()).item()))
    away = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernels = torch.exp(-0.5 * (away / sigmas.clamp(min=1e-3)[:, None]) ** 2)
    kernels = kernels / kernels.sum(1, keepdim=True)
    blurred = image.transpose(0, 1)  # one channel an image, each with its own kernel
    for shape, pad in (
        ((-1, 1, 1, 2 * radius + 1), (radius, radius, 0, 0)),
        ((-1, 1, 2 * radius + 1, 1), (0, 0, radius, radius)),
    ):
        padded = F.pad(blurred, pad, mode="reflect")
        blurred = F.conv2d(padded, kernels.view(shape), groups=len(image))
    return blurred.transpose(0, 1)
