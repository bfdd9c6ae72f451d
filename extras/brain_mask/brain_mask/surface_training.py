"""Training of the second mask network: where the brain ends, by heads of random contrast at 2 mm.

Most are scans of real heads, T1w with labels: their intensities go through a random curve, and
in half of them the brain gets a random brightness by tissue, mixed with the scan's own. The others
are drawn from label maps. Then come what scanners do (:func:`worn`), and what the first network
answers to it, which the second one is shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from brain_mask.fitting import BrainTraining, Example, fit
from brain_mask.heads import read_head
from brain_mask.training import contrast_of, turn_of
from lmidiff.common.seeds import seed_of
from lmidiff.data.brain_network import cube_logits, scale_intensities
from lmidiff.data.brain_surface import BOX, SURE, VOXEL_MM, surface_network
from lmidiff.data.dlmuse import freesurfer_of
from lmidiff.data.volumes import read_volume

SIDE = 128
"""Voxels a side of a whole head: 256 mm."""

SETTINGS = BrainTraining(steps=4000, rounds=2, optimizer="muon", ema=0.995, seed=7)

CREDIT = {
    "saw": "T1w of people of IXI (brain-development.org, CC BY-SA 3.0) with automatic labels "
    "(DLMUSE; licence of SBIA, University of Pennsylvania: lmidiff/shipped/T1w/"
    "LICENSE-labels-SBIA.md) and label maps of SynthSeg (Billot et al. 2023, Apache-2.0), all in "
    "random contrasts",
    "licence": "CC BY-SA 3.0, after IXI; brain masks after labels under the licence of SBIA",
}

REAL_SHARE = 0.7
"""How many of the heads drawn are real scans."""

KNOTS, CURVE_TOP = 6, 1.5
"""Of the random curve of intensities, and where its last lies; 1 is the brain's brightest."""


@dataclass(frozen=True)
class ScannedHead:
    """A real head: image, share of brain and labels, (1, 1, 128, 128, 128) each at 2 mm."""

    image: Tensor
    brain: Tensor
    labels: Tensor


@dataclass(frozen=True)
class DrawnHead:
    """A label map, (256, 256, 256) at 1 mm, and its share of brain, (1, 1, 128, 128, 128)."""

    labels: Tensor
    brain: Tensor


class Draw:
    """A stream of random numbers."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def number(self, low: float, high: float) -> float:
        return float(self.uniform(low, high, 1))

    def chance(self, share: float) -> bool:
        return self.number(0, 1) < share

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def one_of(self, things: Sequence):
        return things[int(torch.randint(len(things), (1,), generator=self.generator))]


class Heads(IterableDataset):
    """What the network is shown from a step on; each head twice, once with another in between.

    Drawing a head takes nearly as long as a step of the training, and is done in a process beside
    it.
    """

    def __init__(
        self,
        maps: Sequence[str],
        scans: Sequence[tuple[str, str]],
        steps: range,
        seed: int,
    ) -> None:
        self.maps, self.scans, self.steps, self.seed = maps, scans, steps, seed

    def __iter__(self) -> Iterator[Example]:
        torch.set_num_threads(1)
        drawn, scanned = list(map(read_map, self.maps)), [read_scan(*pair) for pair in self.scans]
        held: dict[int, Example] = {}
        for step in self.steps:
            head = head_of(step)
            if head not in held:
                seed = seed_of(self.seed, "surface", head)
                held[head] = surface_example(drawn, scanned, seed)
            held = {number: example for number, example in held.items() if number >= head - 1}
            yield held[head]


def head_of(step: int) -> int:
    """Which head a step is shown: 0, 0, 1, 0, 2, 1, 3, 2, ..."""
    return step // 2 if step % 2 == 0 else max(step // 2 - 1, 0)


def train_brain_surface(
    maps: Sequence[str],
    scans: Sequence[tuple[str, str]],
    output: Path,
    settings: BrainTraining = SETTINGS,
    *,
    stop_after_s: float | None = None,
) -> bool:
    """Train the network that says where the brain ends; see :func:`brain_mask.fitting.fit`.

    Args:
        maps: whole-head label maps of 256 x 256 x 256 voxels of 1 mm.
        scans: T1w of 2 mm with skull, and their DLMUSE labels.
        output: the safetensors file.
        settings: of the training.
        stop_after_s: leave a checkpoint and stop after this many seconds.

    Returns:
        Whether training is complete.
    """
    torch.manual_seed(1)
    network = surface_network().to(memory_format=torch.channels_last_3d)

    def examples(first: int) -> DataLoader:
        heads = Heads(maps, scans, range(first, settings.steps), settings.seed)
        return DataLoader(heads, batch_size=None, num_workers=1, prefetch_factor=4)

    record = {"heads": [Path(path).name for path in maps]}
    record |= {"scans": [Path(scan).name for scan, _ in scans]}
    return fit(network, examples, output, settings, record, CREDIT, stop_after_s=stop_after_s)


def read_scan(scan: str, labels: str) -> ScannedHead:
    """A real head; 1 is the 99th percentile of its brain."""
    data, marked = read_volume(scan).data, read_volume(labels, flat=True).data
    image = np.clip(data / np.percentile(data[marked > 0], 99), 0, 2).astype(np.float32)
    numbers = freesurfer_of(np.rint(marked).astype(int)).astype(np.int32)
    brain = (marked > 0).astype(np.float32)
    return ScannedHead(*(_centred(values) for values in (image, brain, numbers)))


def read_map(path: str) -> DrawnHead:
    """A label map."""
    head = read_head(path)
    if head.labels.shape != (2 * SIDE,) * 3:
        raise ValueError(f"{path}: training takes label maps of 256 x 256 x 256 voxels of 1 mm")
    brain = torch.from_numpy(head.brain.astype(np.float32))[None, None]
    return DrawnHead(torch.from_numpy(head.labels), functional.avg_pool3d(brain, 2))


def surface_example(
    drawn: Sequence[DrawnHead], scanned: Sequence[ScannedHead], seed: int
) -> Example:
    """What the network sees of a random head, (1, 2, 96, 112, 96), and its share of brain."""
    draw = Draw(seed)
    if draw.chance(REAL_SHARE):
        image, brain = _of_scan(draw.one_of(scanned), draw)
    else:
        image, brain = _of_map(draw.one_of(drawn), draw)
    both = torch.cat([image, brain], 1)
    both = functional.grid_sample(both, _points(draw), mode="bilinear", align_corners=True)
    image, brain = worn(both[:, :1], both[:, 1:], draw)
    return _shown(image, brain, exponent=draw.number(0.7, 1.5))


def worn(image: Tensor, brain: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    """A head as a scanner shows it: texture, receive field, thick slices, blur, noise, an end."""
    if draw.chance(0.6):
        image = image * (1 + draw.normal(*image.shape) * draw.number(0, 0.08))
    field = draw.uniform(-1, 1, 1, 1, 4, 4, 4) * draw.number(0, 0.7)
    image = image * _wide(field).exp()
    if draw.chance(0.5):
        axis = draw.one_of(range(3))
        axis = 2 if draw.chance(0.6) else axis
        image = _mean(image, [3 if each == axis else 1 for each in range(3)])
    if draw.chance(0.3):
        image = _mean(image, [3, 3, 3])
    noise = draw.number(0, 0.06)
    one, other = draw.normal(*image.shape), draw.normal(*image.shape)
    image = ((image + noise * one) ** 2 + (noise * other) ** 2).sqrt()
    seen = _seen(brain, draw)
    return image * seen, brain * seen


def _of_scan(head: ScannedHead, draw: Draw) -> tuple[Tensor, Tensor]:
    image = head.image if draw.chance(0.15) else _recoloured(head.image, draw)
    if draw.number(0, 1) < 0.55:
        table = contrast_of(draw.generator, draw.uniform, draw.chance)
        table[0] = 0
        share = draw.number(0.3, 1)
        tissue = table[head.labels.long()]
        if draw.chance(0.5):
            tissue = functional.avg_pool3d(functional.pad(tissue, (1,) * 6, mode="replicate"), 3, 1)
        mixed = share * tissue + (1 - share) * image
        image = torch.where(head.labels > 0, mixed, image)
    return (image * (head.brain > 0.5) if draw.chance(0.15) else image), head.brain


def _of_map(head: DrawnHead, draw: Draw) -> tuple[Tensor, Tensor]:
    table = contrast_of(draw.generator, draw.uniform, draw.chance)
    image = functional.avg_pool3d(table[head.labels.long()][None, None], 2)
    return (image * (head.brain > 0.5) if draw.chance(0.15) else image), head.brain


def _recoloured(image: Tensor, draw: Draw) -> Tensor:
    """The intensities through a random curve, near a rising one for a third; dark stays dark."""
    heights = draw.uniform(0.05, 1, KNOTS)
    heights[0] = draw.number(0, 0.1)
    if draw.chance(0.35):
        heights = torch.linspace(0, 1, KNOTS) ** draw.number(0.4, 2.2)
        heights = heights + 0.1 * draw.normal(KNOTS)
        heights[0] = heights[0].clamp(0, 0.1)
        heights = heights.clamp(0)
    at = (image / CURVE_TOP).clamp(0, 0.9999) * (KNOTS - 1)
    low = at.long()
    share = at - low
    return heights[low] * (1 - share) + heights[(low + 1).clamp(max=KNOTS - 1)] * share


def _points(draw: Draw) -> Tensor:
    """Where in a head's cube the points of the drawn head lie: (1, 128, 128, 128, 3), -1..1."""
    angles = draw.uniform(-1, 1, 3) * torch.deg2rad(torch.tensor([20.0, 18.0, 18.0]))
    turn = turn_of(angles * draw.number(0.2, 1))
    scale = draw.number(0.9, 1.15) * draw.uniform(0.95, 1.05, 3)
    if draw.chance(0.5):
        scale[0] *= -1  # left to right
    shift = draw.uniform(-0.12, 0.12, 3)
    line = torch.linspace(-1, 1, SIDE)
    grid = torch.stack(torch.meshgrid(line, line, line, indexing="ij")[::-1], -1)
    bend = torch.zeros(1, 3, 32, 32, 32)
    for knots, most in ((5, 0.05), (9, 0.02)):
        bend = bend + most * _stretched(draw.uniform(-1, 1, 1, 3, knots, knots, knots), 32)
    grid = grid + _stretched(bend, SIDE)[0].permute(1, 2, 3, 0)
    return ((grid + shift) @ (turn * scale[[2, 1, 0]][:, None]))[None]


def _seen(brain: Tensor, draw: Draw) -> Tensor:
    """(128,) along the body: 0 beyond the field of view, which may be a slab."""
    seen = torch.ones(SIDE)
    rows = torch.nonzero(brain[0, 0].amax((0, 1)) > 0.5)[:, 0]
    if not len(rows):
        return seen
    low, high = int(rows[0]), int(rows[-1])
    if draw.chance(0.5):
        seen[: max(low - round(draw.number(-16, 80) / VOXEL_MM), 0)] = 0
    if draw.chance(0.25):
        seen[high + round(draw.number(-8, 32) / VOXEL_MM) + 1 :] = 0
    if draw.chance(0.08):
        thick = 1 + int(draw.number(0, 1) ** 2 * 28 + 5)
        first = low + int(draw.number(0, 1) * max(len(rows) - thick, 1))
        seen[:first] = 0
        seen[first + thick :] = 0
    return seen


def _shown(image: Tensor, brain: Tensor, exponent: float) -> Example:
    """What the network sees: the surroundings of what the first one found, and its answer."""
    coarse = scale_intensities(functional.avg_pool3d(image, 2)[0, 0].numpy()) ** exponent
    logits = torch.from_numpy(cube_logits(coarse[None]))[:, None]
    rows = torch.nonzero(logits[0, 0] > 0).float()
    middle = rows.amin(0) + rows.amax(0) + 0.5 if len(rows) else torch.full((3,), SIDE / 2)
    corners = [
        min(max(round(float(at) - side / 2), 0), SIDE - side)
        for at, side in zip(middle, BOX, strict=True)
    ]
    box = (..., *(slice(at, at + side) for at, side in zip(corners, BOX, strict=True)))
    near = torch.from_numpy(scale_intensities(image[box][0, 0].numpy()))[None, None] ** exponent
    first = functional.interpolate(logits, (SIDE,) * 3, mode="trilinear", align_corners=False)
    return torch.cat([near, (first[box] / SURE).clamp(-1, 1)], 1), brain[box]


def _centred(values: np.ndarray) -> Tensor:
    """An image in the middle of a cube of 128 voxels a side, cut where it is larger."""
    cube = np.zeros((SIDE,) * 3, values.dtype)
    taken = [slice(max((n - SIDE) // 2, 0), max((n - SIDE) // 2, 0) + SIDE) for n in values.shape]
    placed = [slice(max((SIDE - n) // 2, 0), max((SIDE - n) // 2, 0) + n) for n in values.shape]
    cube[tuple(placed)] = values[tuple(taken)]
    return torch.from_numpy(cube)[None, None]


def _mean(image: Tensor, kernel: list[int]) -> Tensor:
    padding = [width // 2 for width in kernel]
    return functional.avg_pool3d(image, kernel, 1, padding, count_include_pad=False)


def _wide(control: Tensor) -> Tensor:
    return _stretched(_stretched(control, 32), SIDE)


def _stretched(control: Tensor, side: int) -> Tensor:
    return functional.interpolate(control, (side,) * 3, mode="trilinear", align_corners=True)
