"""Grown middles: the ventricles of old age in the images of people who are younger.

A network fills in ventricles larger than any of its training. So in a share of its training images
what lies about a point near the middle of the brain is grown, and what is around it pressed
together, before source and target are made of them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lmidiff.images.rim import LEAST

OFF = 0.08
"""How far off the brain's middle the point lies at most, along an axis, as a share of the width."""
REACH = (0.04, 0.1)
"""Standard deviation of the Gaussian within which it grows, as a share of the width."""
GROWTH = 0.75
"""At the point lengths are multiplied by up to 1 / (1 - this); below 1, so that nothing folds."""


def grow_middle(images: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """Grow what is about a point of a share of the images.

    Args:
        images: (N, 1, H, W) in 0..1; exactly 0 outside the brain.
        generator: on the CPU; nothing is drawn where ``share`` is 0.
        share: of the images.

    Returns:
        (N, 1, H, W), above 0 where ``images`` are.
    """
    if share == 0:
        return images
    count, height, width = len(images), *images.shape[-2:]

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator).to(images)

    chosen = (uniform(1, 1) < share).to(images)
    growth = GROWTH * uniform(1, 1) * chosen
    reach = REACH[0] + (REACH[1] - REACH[0]) * uniform(1, 1)
    brain = (images[:, 0] > 0).to(images)
    places = torch.stack(
        torch.meshgrid(
            torch.arange(height, device=images.device) + 0.5,
            torch.arange(width, device=images.device) + 0.5,
            indexing="ij",
        ),
        -1,
    ).to(images)
    middle = (brain[..., None] * places).sum((1, 2)) / brain.sum((1, 2)).clamp(min=1)[:, None]
    middle = middle + width * OFF * (2 * uniform(2) - 1)
    away = places - middle[:, None, None]
    pull = growth * torch.exp(-away.square().sum(-1) / (2 * (width * reach).square()))
    sampled = places - pull[..., None] * away
    size = torch.tensor([height, width], device=images.device, dtype=images.dtype)
    grid = (2 * sampled / size - 1).flip(-1)
    grown = F.grid_sample(images, grid, align_corners=False)
    return torch.where(images > 0, grown.clamp(LEAST, 1), 0)
