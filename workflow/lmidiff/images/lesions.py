"""Lesions of white matter, painted into target images: what healthy people's T1w does not teach.

A network that has only seen healthy people makes healthy tissue of a lesion. So a share of its
training images is given patches that are darker in the target, as lesions are on T1w, and have a
signal of their own in the source, which nothing else in the image tells.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

WHITE = 0.8
"""White matter is as bright as this share of an image's ``LEVEL`` quantile."""
LEVEL = 0.9
SPACING = (2, 10)
"""Pixels between the control points of the field whose peaks are the lesions, all images of a
batch alike."""
MOST = 0.15
"""Share of an image that the peaks take at most; the square of a uniform draw scales it."""
EDGE = 0.25
"""Standard deviations of the field over which a lesion gives way to what is around it."""
DEPTH = (0.1, 0.5)
"""How much darker than the white matter it lies in a lesion is, as a share of it."""


def paint_lesions(
    images: Tensor, generator: torch.Generator, share: float
) -> tuple[Tensor, Tensor | None]:
    """Give a share of the images lesions.

    Args:
        images: (N, 1, H, W) T1w-like, white matter brightest, in 0..1; exactly 0 outside the brain.
        generator: on the CPU; nothing is drawn where ``share`` is 0.
        share: of the images.

    Returns:
        The images, and how far each pixel is lesion, (N, 1, H, W) in 0..1; None where ``share`` is
        0.
    """
    if share == 0:
        return images, None
    count, height, width = len(images), *images.shape[-2:]
    chosen = torch.rand(count, 1, 1, 1, generator=generator) < share
    spacing = int(torch.randint(*SPACING, (), generator=generator))
    points = (count, 1, height // spacing + 2, width // spacing + 2)
    field = torch.randn(points, generator=generator)
    field = F.interpolate(field, (height, width), mode="bicubic", align_corners=True)
    peaks = MOST * torch.rand(count, 1, generator=generator).square()
    rows = field.flatten(1)
    ranks = ((1 - peaks) * (rows.shape[1] - 1)).long()
    levels = rows.sort(1).values.gather(1, ranks).view(count, 1, 1, 1)
    spread = rows.std(1).view(count, 1, 1, 1)
    lesions = ((field - levels) / (EDGE * spread)).clamp(0, 1) * chosen
    lesions = lesions.to(images) * white_matter(images)
    low, high = DEPTH
    depth = low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator)
    return images * (1 - depth.to(images) * lesions), lesions


def white_matter(images: Tensor) -> Tensor:
    """How far each pixel, with those around it, is as bright as white matter, in 0..1.

    Args:
        images: (N, 1, H, W), exactly 0 outside the brain.
    """
    brain = images > 0
    ordered = images.flatten(1).sort(1).values
    inside = brain.flatten(1).sum(1, keepdim=True)
    places = ordered.shape[1] - 1 - ((1 - LEVEL) * inside).long()
    level = ordered.gather(1, places.clamp(0, ordered.shape[1] - 1)).view(-1, 1, 1, 1)
    around = F.avg_pool2d(images, 3, 1, 1)
    bright = torch.minimum(images, around) / level.clamp(min=1e-6)
    return ((bright - WHITE) / (1 - WHITE) * 2).clamp(0, 1) * brain
