"""Training of the mask network: heads of random contrast, made anew for every step.

Heads are turned, stretched and bent; each tissue gets a random brightness; then come a receive
field, partial volumes, noise, a random exponent, a cut field of view, and sometimes a stripped
skull. No step shows the contrast of a real sequence but by chance.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from brain_mask.heads import read_head
from lmidiff.common.files import atomic, write_json
from lmidiff.common.progress import Progress
from lmidiff.common.seeds import seed_of
from lmidiff.data.brain_network import SIDE, VOXEL_MM, BrainNetwork, scale_intensities
from lmidiff.data.labelmaps import TISSUE_MIXES

logger = logging.getLogger("lmidiff")

FINE = 128
"""Voxels a side of the label maps: 2 mm."""


@dataclass(frozen=True)
class BrainTraining:
    """How the network is trained.

    Attributes:
        steps: of Adam, one head each.
        learning_rate: at its height; rises over ``warmup`` steps and falls along a cosine to 0.
        warmup: steps.
        ema: decay of the averaged weights.
        seed: of weights and heads.
        checkpoint_s: seconds between checkpoints.
    """

    steps: int = 4500
    learning_rate: float = 3e-3
    warmup: int = 50
    ema: float = 0.99
    seed: int = 1
    checkpoint_s: float = 20.0


def train_brain_network(
    maps: Sequence[str | Path],
    output: Path,
    settings: BrainTraining | None = None,
    *,
    stop_after_s: float | None = None,
) -> bool:
    """Train, or go on training, and write the weights in half precision when done.

    Args:
        maps: whole-head label maps.
        output: the safetensors file; its checkpoint lies beside it until the end.
        settings: the defaults if None.
        stop_after_s: leave a checkpoint and stop after this many seconds.

    Returns:
        Whether training is complete.
    """
    settings = settings or BrainTraining()
    heads = [_coarse(path) for path in maps]
    torch.manual_seed(settings.seed)
    network = BrainNetwork()
    average = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate, betas=(0.9, 0.98))
    state, first, losses = output.with_suffix(".state"), 0, []
    if state.is_file():
        saved = torch.load(state, weights_only=True)
        network.load_state_dict(saved["network"])
        optimiser.load_state_dict(saved["optimiser"])
        average, first, losses = saved["average"], saved["step"], saved["losses"]
    began = last_save = time.monotonic()
    progress = Progress("train the mask network", settings.steps, start=first)
    for step in range(first, settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * _rate(step, settings)
        image, target = random_head(heads, seed_of(settings.seed, "head", step))
        loss = _loss(network(image), target)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            for name, value in network.state_dict().items():
                average[name].lerp_(value, 1 - min(settings.ema, (step + 1) / (step + 10)))
        losses.append(float(loss.detach()))
        progress.step(f"loss {np.mean(losses[-50:]):.4f}")
        now = time.monotonic()
        stop = stop_after_s is not None and now - began > stop_after_s
        if stop or now - last_save > settings.checkpoint_s:
            last_save = now
            saved = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
            with atomic(state) as temporary:
                torch.save(
                    {**saved, "average": average, "step": step + 1, "losses": losses}, temporary
                )
        if stop:
            return False
    with atomic(output) as temporary:
        save_file({name: value.half().contiguous() for name, value in average.items()}, temporary)
    record = {"training": asdict(settings), "heads": [Path(path).name for path in maps]}
    write_json(
        output.with_suffix(".json"), {**record, "last_losses": float(np.mean(losses[-100:]))}
    )
    state.unlink(missing_ok=True)
    return True


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
    drawn = functional.adaptive_avg_pool3d(_contrast(draw, uniform, chance)[shown.long()], SIDE)
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
    turn = torch.eye(3)
    for axis, angle in enumerate(angles):
        plane = [(axis + 1) % 3, (axis + 2) % 3]
        cos, sin = float(torch.cos(angle)), float(torch.sin(angle))
        one = torch.eye(3)
        one[plane[0], plane[0]] = one[plane[1], plane[1]] = cos
        one[plane[0], plane[1]], one[plane[1], plane[0]] = -sin, sin
        turn = one @ turn
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


def _contrast(draw: torch.Generator, uniform, chance) -> Tensor:
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


def _loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy and one minus the soft Dice."""
    entropy = functional.binary_cross_entropy_with_logits(logits, target)
    share = logits.sigmoid()
    overlap = 2 * (share * target).sum() / (share.sum() + target.sum() + 1)
    return 5 * entropy + 1 - overlap


def _rate(step: int, settings: BrainTraining) -> float:
    warm = min((step + 1) / settings.warmup, 1.0)
    return float(warm * 0.5 * (1 + np.cos(np.pi * step / settings.steps)))


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
