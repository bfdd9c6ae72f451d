"""Training of the first mask network: heads of random contrast, made anew for every step.

Heads are turned, stretched and bent; each tissue gets a random brightness; then come a receive
field, partial volumes, noise, a random exponent, a cut field of view, and sometimes a stripped
skull. No step shows the contrast of a real sequence but by chance.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from brain_mask.fitting import BrainTraining, Example, fit
from brain_mask.heads import read_head
from lmidiff.common.seeds import seed_of
from lmidiff.data.brain_network import SIDE, VOXEL_MM, BrainNetwork, scale_intensities
from lmidiff.data.labelmaps import TISSUE_MIXES

FINE = 128
"""Voxels a side of the label maps: 2 mm."""


def train_brain_network(
    maps: Sequence[str | Path],
    output: Path,
    settings: BrainTraining | None = None,
    *,
    stop_after_s: float | None = None,
) -> bool:
    """Train the network that says where the brain is; see :func:`brain_mask.fitting.fit`.

    Args:
        maps: whole-head label maps.
        output: the safetensors file.
        settings: the defaults if None.
        stop_after_s: leave a checkpoint and stop after this many seconds.

    Returns:
        Whether training is complete.
    """
    settings = settings or BrainTraining()
    heads = [_coarse(path) for path in maps]
    torch.manual_seed(settings.seed)

    def examples(first: int) -> Iterator[Example]:
        for step in range(first, settings.steps):
            yield random_head(heads, seed_of(settings.seed, "head", step))

    record = {"heads": [Path(path).name for path in maps]}
    credit = {"saw": "label maps of SynthSeg (Billot et al. 2023, Apache-2.0) in random contrasts"}
    network = BrainNetwork()
    return fit(network, examples, output, settings, record, credit, stop_after_s=stop_after_s)


def random_head(heads: Sequence[tuple[Tensor, Tensor]], seed: int) -> tuple[Tensor, Tensor]:
    """One head of random pose, shape and contrast.

    Args:
        heads: labels at 2 mm and share of brain at 4 mm of each person, see :func:`_coarse`.
        seed: names the draw.

    Returns:
        (1, 1, 64, 64, 64) image of 0..1 and share of brain.
    """
    draw = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=draw)

    def chance(share: float) -> bool:
        return float(uniform(0, 1, 1)) < share

    labels, brain = heads[int(torch.randint(len(heads), (1,), generator=draw))]
    shown = labels * (functional.interpolate(brain, FINE) > 0.5) if chance(0.15) else labels
    # Averaged to the network's voxels before the head is turned: a fraction of the work.
    drawn = functional.adaptive_avg_pool3d(contrast_of(draw, uniform, chance)[shown.long()], SIDE)
    both = torch.cat([drawn, brain], 1)
    both = functional.grid_sample(both, _points(uniform), mode="bilinear", align_corners=True)
    image, target = both[:, :1], both[:, 1:]
    if chance(0.7):
        texture = torch.randn(image.shape, generator=draw) * float(uniform(0, 0.06, 1))
        image = image * (1 + texture)
    field = uniform(-1, 1, 1, 1, 4, 4, 4) * float(uniform(0, 0.7, 1))
    image = image * _smooth(field, SIDE).exp()
    if chance(0.4):  # thick slices along one axis
        axis = int(torch.randint(3, (1,), generator=draw))
        kernel = [1, 1, 1]
        kernel[axis] = 3
        padding = [k // 2 for k in kernel]
        image = functional.avg_pool3d(image, kernel, 1, padding, count_include_pad=False)
    noise = torch.randn((2, *image.shape), generator=draw) * float(uniform(0, 0.05, 1))
    image = ((image + noise[0]) ** 2 + noise[1] ** 2).sqrt()
    image, target = _cut(image, target, uniform, chance)
    return _scaled(image, float(uniform(0.7, 1.5, 1))), target


def _points(uniform) -> Tensor:
    """Where in a head's cube the points of the drawn head lie: (1, 64, 64, 64, 3), -1..1."""
    angles = uniform(-1, 1, 3) * torch.deg2rad(torch.tensor([20.0, 18.0, 18.0]))
    turn = turn_of(angles)
    scale = float(uniform(0.9, 1.18, 1)) * uniform(0.94, 1.06, 3)
    if float(uniform(0, 1, 1)) < 0.5:
        scale[0] *= -1  # left to right
    shift = uniform(-0.2, 0.2, 3)
    line = torch.linspace(-1, 1, SIDE)
    grid = torch.stack(torch.meshgrid(line, line, line, indexing="ij")[::-1], -1)
    # Of the whole head, and of folds and of the skull's thickness.
    for knots, most in ((5, 0.05), (11, 0.02)):
        bend = _smooth(uniform(-1, 1, 1, 3, knots, knots, knots), SIDE)
        grid = grid + most * bend[0].permute(1, 2, 3, 0)
    # Coordinates of grid_sample run z, y, x; the turn about any axis is random, so order is free.
    return ((grid + shift) @ (turn * scale[[2, 1, 0]][:, None]))[None]


def turn_of(angles: Tensor) -> Tensor:
    """(3, 3) of a turn about each axis after the other, by (3,) radians."""
    turn = torch.eye(3)
    for axis, angle in enumerate(angles):
        plane = [(axis + 1) % 3, (axis + 2) % 3]
        cos, sin = float(torch.cos(angle)), float(torch.sin(angle))
        one = torch.eye(3)
        one[plane[0], plane[0]] = one[plane[1], plane[1]] = cos
        one[plane[0], plane[1]], one[plane[1], plane[0]] = -sin, sin
        turn = one @ turn
    return turn


def contrast_of(draw: torch.Generator, uniform, chance) -> Tensor:
    """(600,) brightness by label: one a tissue, with a little spread among its labels."""
    table = torch.zeros(600)
    tissues = uniform(0.05, 1, 3)
    for group, mix in TISSUE_MIXES.items():
        value = float(tissues @ torch.tensor(mix))
        table[list(group)] = value * (1 + 0.06 * torch.randn(len(group), generator=draw))
    table[500:600] = uniform(0, 1.2, 100)
    if chance(0.8):
        table[515] = float(uniform(0, 0.25, 1))  # bone is dark in nearly every sequence
    if chance(0.3):
        table[0] = float(uniform(0, 0.15, 1))
    return table.clamp(0)


def _cut(image: Tensor, target: Tensor, uniform, chance) -> tuple[Tensor, Tensor]:
    """A field of view that ends at the neck or the crown, or that is a slab or a single slice."""
    seen = torch.ones(SIDE)
    rows = torch.nonzero(target[0, 0].amax((0, 1)) > 0.5)[:, 0]
    if len(rows) == 0:
        return image, target
    if chance(0.6):
        bottom = int(rows[0]) - round(float(uniform(-16, 80, 1)) / VOXEL_MM)
        seen[: max(bottom, 0)] = 0
    if chance(0.3):
        top = int(rows[-1]) + round(float(uniform(-8, 32, 1)) / VOXEL_MM)
        seen[top + 1 :] = 0
    if chance(0.12):
        thick = 1 + int(float(uniform(0, 1, 1)) ** 2 * 56 / VOXEL_MM)
        first = int(rows[0]) + int(float(uniform(0, 1, 1)) * max(len(rows) - thick, 1))
        seen[:first] = 0
        seen[first + thick :] = 0
    return image * seen, target * seen


def _scaled(image: Tensor, exponent: float) -> Tensor:
    """As the network is shown real images, after a random exponent."""
    return torch.from_numpy(scale_intensities(image.numpy())) ** exponent


def _smooth(control: Tensor, side: int) -> Tensor:
    return functional.interpolate(control, (side,) * 3, mode="trilinear", align_corners=True)


def _coarse(path: str | Path) -> tuple[Tensor, Tensor]:
    """Labels at 2 mm, (1, 1, 128, 128, 128), and share of brain at 4 mm, (1, 1, 64, 64, 64)."""
    head = read_head(path, every=2)
    if head.labels.shape != (FINE,) * 3:
        raise ValueError(f"{path}: training takes label maps of 256 x 256 x 256 voxels of 1 mm")
    labels = torch.from_numpy(head.labels.astype(np.int32))
    brain = torch.from_numpy(head.brain.astype(np.float32))
    return labels[None, None], functional.adaptive_avg_pool3d(brain[None, None], SIDE)
