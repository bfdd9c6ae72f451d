"""Low frequencies of an image, which ILVR takes from the source."""

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
