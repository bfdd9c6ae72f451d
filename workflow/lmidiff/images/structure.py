"""Losses between two images that do not care how either names its intensities.

``edges`` compares the directions of gradients without their sign, after the normalised gradient
fields of Haber and Modersitzki (2006): with n = grad u / sqrt(|grad u|^2 + e^2) their measure
sums <n_y, n_x>^2 over the pixels. That is the inner product of the fields of outer products
n n^T, and the loss here is one minus the cosine between those fields, so that edges of x where y
has none count too. LMI is :func:`lmidiff.guidance.lmi_maps`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

TINY = 1e-12
KNEE = 0.05
"""The intensity that counts as half a signal."""


def edge_features(
    images: Tensor, noise_level: float = 0.5, scales: tuple[int, ...] = (1,)
) -> Tensor:
    """Outer products of normalised gradients, as unit vectors of D numbers, 3 H' W' for each scale.

    Args:
        images: (N, 1, H, W), any range and gain above 0.
        noise_level: e as a share of the mean gradient of an image where it has any; smaller
            edges count less.
        scales: factors by which images are averaged down first; each counts the same.

    Returns:
        (N, D) with unit norm; the inner product of two rows is in 0..1.
    """
    parts = []
    for scale in scales:
        x = F.avg_pool2d(images, scale) if scale > 1 else images
        x = F.pad(x, (1, 1, 1, 1))
        # Central differences keep both directions at the same place.
        down = (x[:, 0, 2:, 1:-1] - x[:, 0, :-2, 1:-1]).flatten(1)
        across = (x[:, 0, 1:-1, 2:] - x[:, 0, 1:-1, :-2]).flatten(1)
        power = down.square() + across.square()
        present = (power > TINY).sum(1, keepdim=True).clamp(min=1)
        size = (power + TINY).sqrt().sum(1, keepdim=True) / present
        power = power + (noise_level * size.detach()).square() + TINY
        outer = torch.cat([down * down, across * across, 2**0.5 * down * across], 1)
        parts.append(F.normalize(outer / power.repeat(1, 3), dim=1, eps=TINY))
    return torch.cat(parts, 1) / len(scales) ** 0.5


def silhouette_error(images: Tensor, brain: Tensor) -> Tensor:
    """Share of pixels where an image has signal outside ``brain`` or none inside, softly.

    Args:
        images: (N, 1, H, W), about 0..1.
        brain: (N, 1, H, W), 0 or 1: where the other image has any signal.

    Returns:
        (N,), in 0..1.
    """
    positive = images.clamp(min=0)
    return (positive / (positive + KNEE) - brain).square().mean((1, 2, 3))
