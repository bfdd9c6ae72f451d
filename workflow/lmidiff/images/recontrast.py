"""A whole volume in one random contrast, for what has to hold of a person and not of a slice."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lmidiff.images.contrast import ContrastSettings, randomise_contrast


def in_another_contrast(
    stack: Tensor, generator: torch.Generator, settings: ContrastSettings
) -> Tensor:
    """The slices of a person in a random contrast, the same for all of them.

    Args:
        stack: (Z, 1, H, W) in 0..1; exactly 0 outside the brain.
        generator: on the CPU.
        settings: how far contrasts go.

    Returns:
        (Z, 1, H, W) in 0..1, above 0 in the brain and 0 outside.
    """
    # As one tall image, a line of air after each slice, or each would get a contrast of its own.
    apart = F.pad(stack, (0, 0, 0, 1))
    tall = randomise_contrast(apart.permute(1, 0, 2, 3).flatten(1, 2)[None], generator, settings)
    return tall.view(apart.shape)[:, :, :-1]
