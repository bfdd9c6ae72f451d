"""Contrast randomisation: the same anatomy as an unknown scanner might show it."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ContrastSettings:
    """How far a random contrast may go.

    Attributes:
        knots: control points of the random intensity map over 0..1.
        monotone: share of maps that keep or reverse the order of intensities.
        noise: largest standard deviation of the added noise, in units of the range 0..1; the
            square of a uniform draw scales it, so most images are cleaner.
        ceiling: smallest brightest value; the largest is 1.
        floor: largest darkest value, as a share of the brightest. Near 1 it allows the flat
            contrasts of proton density, whose tissues differ by a tenth of their signal.
    """

    knots: int = 6
    monotone: float = 0.5
    noise: float = 0.04
    ceiling: float = 0.7
    floor: float = 0.85

    def __post_init__(self) -> None:
        if self.knots < 2:
            raise ValueError(f"knots must be at least 2, got {self.knots}")


def randomise_contrast(
    images: Tensor, generator: torch.Generator, settings: ContrastSettings
) -> Tensor:
    """Pass each image through its own random smooth intensity map, then add noise.

    The map is a cosine-interpolated curve through random knots: rising, falling or neither.
    Voxels that are exactly 0 (air) stay 0, because air gives no signal in any contrast.

    Args:
        images: (N, 1, H, W) in 0..1.
        generator: on the CPU; the draw does not depend on the device of ``images``.
        settings: see :class:`ContrastSettings`.

    Returns:
        (N, 1, H, W) in 0..1.
    """
    count, knots = images.shape[0], settings.knots
    values = torch.rand(count, knots, generator=generator)
    order = torch.rand(count, 1, generator=generator)
    rising, falling = values.sort(1).values, values.sort(1, descending=True).values
    values = torch.where(order < settings.monotone / 2, rising, values)
    values = torch.where(order > 1 - settings.monotone / 2, falling, values)
    low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
    ceiling = settings.ceiling + (1 - settings.ceiling) * torch.rand(count, 1, generator=generator)
    floor = settings.floor * ceiling * torch.rand(count, 1, generator=generator)
    values = floor + (ceiling - floor) * (values - low) / (high - low).clamp(min=1e-6)
    spread = settings.noise * torch.rand(count, 1, 1, 1, generator=generator).square()
    noise = (spread * torch.randn(images.shape, generator=generator)).to(images)

    position = images.flatten(1).clamp(0, 1) * (knots - 1)
    left = position.floor().clamp(max=knots - 2).long()
    weight = 0.5 - 0.5 * torch.cos(torch.pi * (position - left))
    values = values.to(images)
    mapped = values.gather(1, left) * (1 - weight) + values.gather(1, left + 1) * weight
    mapped = (mapped.view_as(images) + noise).clamp(0, 1)
    return mapped * (images > 0)
