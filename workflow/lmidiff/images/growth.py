"""Grown ventricles: those of old age in the images of people who are younger.

A network fills in ventricles larger than any of its training. So in a share of its training images
what lies about dark places deep in the brain is grown, and what is around it pressed together,
before source and target are made of them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lmidiff.images.rim import LEAST

POINTS = 3
"""Places an image that are grown; they may meet."""
DARK = 0.6
"""Below this share of an image's mean intensity a pixel is dark."""
DEEP = 0.25
"""All of a window that wide, as a share of the image, lies in the brain."""
REACH = (0.04, 0.1)
"""Standard deviation of the Gaussian within which a place grows, as a share of the width."""
GROWTH = 0.3
"""At a point lengths are multiplied by up to 1 / (1 - this); of all points it is below 1 together,
so that nothing folds. The root of a uniform draw scales it."""


def grow_ventricles(images: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """Grow dark places deep in the brain of a share of the images.

    Args:
        images: (N, 1, H, W) T1w-like, fluid darkest, in 0..1; exactly 0 outside the brain.
        generator: on the CPU; nothing is drawn where ``share`` is 0.
        share: of the images; those without such a place stay as they are.

    Returns:
        (N, 1, H, W), above 0 where ``images`` are.
    """
    if share == 0:
        return images
    count, height, width = len(images), *images.shape[-2:]

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator)

    weights = dark_and_deep(images).flatten(1).cpu()
    chosen = (uniform(1) < share) & (weights.sum(1, keepdim=True) > 0)
    # Where there is no such place something has to be drawn all the same, and is not used.
    drawn = torch.multinomial(weights + 1e-9, POINTS, replacement=True, generator=generator)
    growth = (GROWTH * uniform(POINTS).sqrt() * chosen).to(images)
    reach = (width * (REACH[0] + (REACH[1] - REACH[0]) * uniform(POINTS))).to(images)
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width)).to(images)
    away = places - places[drawn.to(images.device)][:, :, None]
    near = torch.exp(-away.square().sum(-1) / (2 * reach.square()[..., None]))
    sampled = places - ((growth[..., None] * near)[..., None] * away).sum(1)
    size = torch.tensor([height, width]).to(images)
    grid = ((2 * sampled + 1) / size - 1).flip(-1).view(count, height, width, 2)
    grown = F.grid_sample(images, grid, align_corners=False).clamp(LEAST, 1)
    return torch.where(chosen.view(-1, 1, 1, 1).to(images.device) & (images > 0), grown, images)


def dark_and_deep(images: Tensor) -> Tensor:
    """How far each pixel is dark and all around it brain, in 0..1.

    Args:
        images: (N, 1, H, W), exactly 0 outside the brain.
    """
    brain = (images > 0).to(images)
    mean = images.sum((2, 3), keepdim=True) / brain.sum((2, 3), keepdim=True).clamp(min=1)
    side = 2 * (round(DEEP * images.shape[-1]) // 2) + 1
    around = F.avg_pool2d(brain, side, 1, side // 2)
    dark = 1 - images / (DARK * mean).clamp(min=1e-6)
    return dark.clamp(0, 1) * (around > 1 - 1e-4)
