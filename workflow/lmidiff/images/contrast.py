"""Contrast randomisation: the same anatomy as an unknown scanner might show it."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lmidiff.images.growth import grow_ventricles
from lmidiff.images.lesions import paint_lesions
from lmidiff.images.rim import LEAST, dimming

FIELD_POINTS = 4
"""Control points a side of the smooth field."""

SPREAD = 0.08
"""Width, in units of the range, over which one tissue's signal gives way to the next one's."""


@dataclass(frozen=True)
class ContrastSettings:
    """How far a random contrast may go.

    Attributes:
        knots: control points of the random intensity map over 0..1, or tissues of a mixture.
        mixtures: share of maps that give tissues, told apart by their intensity, a signal each;
            the others are smooth curves.
        monotone: share of maps that keep or reverse the order of intensities.
        noise: largest standard deviation of the added noise, in units of the range 0..1; the
            square of a uniform draw scales it, so most images are cleaner.
        ceiling: smallest brightest value; the largest is 1.
        floor: largest darkest value, as a share of the brightest. Near 1 it allows the flat
            contrasts of proton density, whose tissues differ by a tenth of their signal.
        rim: range of the exponent on the dimming of the mask's rim
            (:func:`lmidiff.images.rim.dimming`): 1 dims it as the target is dimmed, 0 not at all,
            and below 0 it is brighter than what lies inside, as fluid is in T2w.
        field: largest deviation of the logarithm of a smooth receive field.
        texture: largest standard deviation of texture that the target does not show.
        lesions: share of the training images that are given lesions of white matter first
            (:mod:`lmidiff.images.lesions`).
        growth: share of them whose ventricles are grown before that (:mod:`lmidiff.images.growth`).
    """

    knots: int = 6
    mixtures: float = 0.5
    monotone: float = 0.5
    noise: float = 0.04
    ceiling: float = 0.7
    floor: float = 0.85
    rim: tuple[float, float] = (-0.25, 0.5)
    field: float = 0.1
    texture: float = 0.04
    lesions: float = 0.0
    growth: float = 0.0

    def __post_init__(self) -> None:
        if self.knots < 2:
            raise ValueError(f"knots must be at least 2, got {self.knots}")
        if len(self.rim) != 2 or self.rim[0] > self.rim[1]:
            raise ValueError(f"rim must be a least and a largest exponent, got {self.rim}")


def training_pair(
    images: Tensor, generator: torch.Generator, settings: ContrastSettings
) -> tuple[Tensor, Tensor]:
    """What a model of random contrasts learns from: targets, and a source of each.

    Args:
        images: (N, 1, H, W) of the target modality in 0..1; exactly 0 outside the brain.
        generator: on the CPU; the draw does not depend on the device of ``images``.
        settings: see :class:`ContrastSettings`.

    Returns:
        The images, some with larger ventricles and with lesions, and each of them in a random
        contrast of its own (:func:`randomise_contrast`).
    """
    images = grow_ventricles(images, generator, settings.growth)
    images, lesions = paint_lesions(images, generator, settings.lesions)
    return images, randomise_contrast(images, generator, settings, lesions)


def randomise_contrast(
    images: Tensor,
    generator: torch.Generator,
    settings: ContrastSettings,
    lesions: Tensor | None = None,
) -> Tensor:
    """Show each image in a random contrast of its own.

    Its intensities pass through a random map, a cosine-interpolated curve through random knots or
    random signals of a mixture of tissues; rising, falling or neither. Then come a smooth field,
    texture and noise. The map is of tissue, so the rim of the brain, dimmed by what it lacks, is
    mapped as what lies beside it and dimmed anew.

    Args:
        images: (N, 1, H, W) in 0..1; exactly 0 outside the brain.
        generator: on the CPU; the draw does not depend on the device of ``images``.
        settings: see :class:`ContrastSettings`.
        lesions: how far each pixel is lesion, in 0..1, shaped as ``images``; an image's lesions
            have one signal of their own.

    Returns:
        (N, 1, H, W) in 0..1, above 0 in the brain and 0 outside.
    """
    count = images.shape[0]
    dim = dimming(images, images > 0)
    mixed = torch.rand(count, 1, 1, 1, generator=generator) < settings.mixtures
    signals = _signals(count, generator, settings).to(images)
    centres = torch.rand(count, settings.knots, generator=generator).sort(1).values.to(images)
    tissue = (images / dim).clamp(0, 1)
    mixture, curve = _mixture(tissue, centres, signals), _curve(tissue, signals)
    mapped = torch.where(mixed.to(images.device), mixture, curve)
    if lesions is not None:
        signal = torch.rand(count, 1, 1, 1, generator=generator).to(images)
        mapped = mapped + lesions * (signal - mapped)
    return acquire(mapped, dim, generator, settings) * (images > 0)


def acquire(
    tissue: Tensor, dim: Tensor, generator: torch.Generator, settings: ContrastSettings
) -> Tensor:
    """What a scanner makes of tissue: a receive field, texture, a dim rim and noise.

    Args:
        tissue: signals (N, 1, H, W) in 0..1.
        dim: the target's dimming, same shape.
        generator: on the CPU.
        settings: see :class:`ContrastSettings`.

    Returns:
        (N, 1, H, W) in 0..1, above 0.
    """
    count, size = len(tissue), tissue.shape[-2:]

    def uniform(low: float = 0.0, high: float = 1.0) -> Tensor:
        draw = torch.rand(count, 1, 1, 1, generator=generator)
        return (low + (high - low) * draw).to(tissue)

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, 1, *shape, generator=generator).to(tissue)

    coarse = normal(FIELD_POINTS, FIELD_POINTS).clamp(-2, 2) / 2
    field = F.interpolate(coarse, size, mode="bicubic", align_corners=True)
    image = tissue * torch.exp(settings.field * uniform() * field)
    # A box of three pixels, its standard deviation brought back to one.
    texture = 3 * F.avg_pool2d(normal(*size), 3, 1, 1)
    image = image + settings.texture * uniform().square() * texture
    image = image * dim ** uniform(*settings.rim)
    image = image + settings.noise * uniform().square() * normal(*size)
    return image.clamp(LEAST, 1)


def _signals(count: int, generator: torch.Generator, settings: ContrastSettings) -> Tensor:
    """Values of the maps at their knots, (count, knots), in 0..1."""
    values = torch.rand(count, settings.knots, generator=generator)
    order = torch.rand(count, 1, generator=generator)
    rising, falling = values.sort(1).values, values.sort(1, descending=True).values
    values = torch.where(order < settings.monotone / 2, rising, values)
    values = torch.where(order > 1 - settings.monotone / 2, falling, values)
    low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
    ceiling = settings.ceiling + (1 - settings.ceiling) * torch.rand(count, 1, generator=generator)
    floor = settings.floor * ceiling * torch.rand(count, 1, generator=generator)
    return floor + (ceiling - floor) * (values - low) / (high - low).clamp(min=1e-6)


def _curve(images: Tensor, signals: Tensor) -> Tensor:
    """A cosine between evenly spaced knots, level at each."""
    knots = signals.shape[1]
    position = images.flatten(1) * (knots - 1)
    left = position.floor().clamp(max=knots - 2).long()
    weight = 0.5 - 0.5 * torch.cos(torch.pi * (position - left))
    mapped = signals.gather(1, left) * (1 - weight) + signals.gather(1, left + 1) * weight
    return mapped.view_as(images)


def _mixture(images: Tensor, centres: Tensor, signals: Tensor) -> Tensor:
    """Signals of tissues weighted by how near an intensity is to the centre of each."""
    distance = images.flatten(1)[..., None] - centres[:, None]
    shares = torch.softmax(-(distance**2) / (2 * SPREAD**2), -1)
    return (shares * signals[:, None]).sum(-1).view_as(images)
