"""The rim of the brain mask, whose voxels are brain in part.

A mask keeps a voxel of which half is brain, so the outermost ring of a slice, a tenth of the brain
at 3 mm, shows coverage times tissue: its intensity names another tissue than the one that is
there. No function of intensity holds for the rim and the inside at once. What holds in every
contrast is that a rim voxel shows the tissue beside it, dimmed: its *dimming* is its intensity
over the mean of the inner voxels around it. Functions of intensity are fitted and applied inside,
and carried to the rim by its dimming.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST = 1e-3
"""Intensities below it, of a range of 1, are no ground to divide by."""

DIMMING = (0.05, 2.0)
"""Limits of a rim voxel's dimming: fluid beside white matter has the least in T1w, most in T2w."""


def inside_of(brain: Tensor) -> Tensor:
    """Brain voxels all of whose eight neighbours in the slice are brain.

    Args:
        brain: (N, 1, H, W) bool; what lies beyond the image is not brain.

    Returns:
        (N, 1, H, W) bool. A slice without any such voxel, a speck, is all inside: it has no
        tissue beside which its rim could be dim.
    """
    padded = F.pad((~brain).float(), (1, 1, 1, 1), value=1.0)
    inside = F.max_pool2d(padded, 3, stride=1) < 0.5
    speck = ~inside.flatten(1).any(1).view(-1, 1, 1, 1)
    return torch.where(speck, brain, inside)


def beside(images: Tensor, inside: Tensor, wanted: Tensor) -> Tensor:
    """The mean of the inner voxels nearest to a voxel: of the least square around it with any.

    Args:
        images: (N, 1, H, W).
        inside: bool, same shape; every slice that has a wanted voxel has one.
        wanted: bool, same shape, where the mean is asked for.

    Returns:
        (N, 1, H, W); 0 where it was not asked for.
    """
    weight = inside.to(images)
    total, nearest, missing = images * weight, torch.zeros_like(images), wanted.clone()
    side = 3
    while bool(missing.any()):
        # A wide square is slow to pool, and few slices need one.
        rows = missing.flatten(1).any(1)
        share = F.avg_pool2d(weight[rows], side, 1, side // 2)
        mean = F.avg_pool2d(total[rows], side, 1, side // 2) / share.clamp(min=1e-12)
        found = missing[rows] & (share > 0)
        nearest[rows] = torch.where(found, mean, nearest[rows])
        missing[rows] = missing[rows] & ~found
        side = min(2 * side - 1, 2 * max(images.shape[-2:]) + 1)
    return nearest


def dimming(images: Tensor, brain: Tensor) -> Tensor:
    """Intensity of a rim voxel over that of the inner voxels beside it; 1 inside.

    Args:
        images: (N, 1, H, W) in 0..1.
        brain: bool, same shape.

    Returns:
        (N, 1, H, W), within ``DIMMING``.
    """
    inside = inside_of(brain)
    rim = brain & ~inside
    ratio = images / beside(images, inside, rim).clamp(min=LEAST)
    return torch.where(rim, ratio.clamp(*DIMMING), torch.ones_like(images))


def through_the_inside(
    function: Callable[[Tensor], Tensor],
    images: Tensor,
    brain: Tensor,
    dim: Tensor | float | None = None,
) -> Tensor:
    """``images`` with their inside replaced by ``function``, and the rim dimmed as it was.

    Args:
        function: given the mask of the inside, the new images; only its inside is used.
        images: (N, 1, H, W) in 0..1.
        brain: bool, same shape.
        dim: the dimming that the rim gets, if it is not that of ``images``.

    Returns:
        (N, 1, H, W); ``images`` outside the brain, and within 0..1 on its rim.
    """
    inside = inside_of(brain)
    rim = brain & ~inside
    changed = torch.where(inside, function(inside), images)
    dim = dimming(images, brain) if dim is None else dim
    return torch.where(rim, (beside(changed, inside, rim) * dim).clamp(0, 1), changed)
