"""A small 3-D U-Net that finds the brain in a whole head, whatever the contrast.

The idea is SynthStrip's (Hoopes et al., NeuroImage 2022;260:119474): a network that has only seen
heads of random contrast cannot rely on any. This one is far smaller, works on voxels of 4 mm and
says for each how much of it is brain; where the brain ends, a second network of the same make says
(:mod:`lmidiff.data.brain_surface`). How they were trained: ``extras/brain_mask``.
"""

from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

SIDE = 64
"""Voxels a side of the network's cube."""

VOXEL_MM = 4.0

WEIGHTS = Path(__file__).with_name("brain_network.safetensors")

_CHANNELS = (12, 16, 24, 32)
_TOP_PERCENTILE = 99.5
_NEAR_ZERO = 0.05


class BrainNetwork(nn.Module):
    """(N, C, X, Y, Z) images, sides multiples of 16, to logits of the share of brain: (N, 1, ...).

    Args:
        channels: of each resolution, from half of the image's downwards.
        images: C, how many it sees of a head; the first has intensities of 0..1.
    """

    def __init__(self, channels: tuple[int, ...] = _CHANNELS, images: int = 1) -> None:
        super().__init__()
        self.top = _block(8 * images, channels[0])
        pairs = list(pairwise(channels))
        self.down = nn.ModuleList(
            nn.Sequential(_block(a, b, stride=2), _block(b, b)) for a, b in pairs
        )
        self.up = nn.ModuleList(_block(a + b, a) for a, b in pairs[::-1])
        self.out = nn.Conv3d(channels[0], 8, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits; blocks of 2 x 2 x 2 voxels travel as channels, which makes it fast."""
        seen = [self.top(fold(image))]
        for down in self.down:
            seen.append(down(seen[-1]))
        answer = seen.pop()
        for up in self.up:
            answer = up(torch.cat([_double(answer), seen.pop()], 1))
        return unfold(self.out(answer))


def brain_share(data: np.ndarray, voxel_mm: np.ndarray) -> np.ndarray:
    """How likely each voxel is brain.

    The image is averaged to voxels of 4 mm, scaled by its 99.5th percentile, put into a cube of
    256 mm (centred where it fits; else its upper part, so that a long neck falls out) and seen by
    the network twice, the second time mirrored left to right; the logits are averaged.

    Args:
        data: (X, Y, Z) float32, at least 0, axes closest to right, anterior, superior.
        voxel_mm: (3,) edges of a voxel.

    Returns:
        (X, Y, Z) float32 logits, linear between the network's voxels; brain is above 0.
    """
    cube, start = to_cube(data, voxel_mm)
    logits = cube_logits(np.stack([cube, cube[::-1]]))
    answer = (logits[0] + logits[1, ::-1]) / 2
    # The mean of an even number of voxels lies half a voxel before the one it was read from.
    index = [
        (np.arange(n) + (0.5 if averaged(edge, VOXEL_MM) % 2 == 0 else 0)) * edge / VOXEL_MM - first
        for n, edge, first in zip(data.shape, voxel_mm, start, strict=True)
    ]
    return upsample(answer, index)


def cube_logits(cubes: np.ndarray) -> np.ndarray:
    """What the network answers to cubes of :func:`to_cube`: (N, 64, 64, 64) float32 logits."""
    with torch.no_grad():
        return _network()(torch.from_numpy(cubes)[:, None])[:, 0].numpy()


def scale_intensities(image: np.ndarray) -> np.ndarray:
    """Divide by the 99.5th percentile of what is not background; clip to 0..1; float32."""
    top = float(np.percentile(image, _TOP_PERCENTILE))
    inside = image[image > _NEAR_ZERO * top]
    top = float(np.percentile(inside, _TOP_PERCENTILE)) if inside.size else 1.0
    return np.clip(image / max(top, np.finfo(np.float32).tiny), 0, 1).astype(np.float32)


@lru_cache(maxsize=1)
def _network() -> BrainNetwork:
    return read_network(BrainNetwork(), WEIGHTS)


def read_network(network: BrainNetwork, weights: Path) -> BrainNetwork:
    """A network with the weights of a safetensors file, ready to be asked."""
    network.load_state_dict({name: value.float() for name, value in load_file(weights).items()})
    return network.eval().requires_grad_(False)


def to_cube(data: np.ndarray, voxel_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image in the network's cube, and the cube's first voxel in steps of 4 mm."""
    ratio = VOXEL_MM / np.asarray(voxel_mm, dtype=float)
    # A box filter of the network's voxel; thick slices are already wider.
    blurred = data
    for axis in range(3):
        width = averaged(voxel_mm[axis], VOXEL_MM)
        if width > 1:
            blurred = ndimage.uniform_filter1d(blurred, width, axis=axis, mode="nearest")
    counts = [int(np.floor((n - 1) / r)) + 1 for n, r in zip(data.shape, ratio, strict=True)]
    axes = [np.arange(c) * r for c, r in zip(counts, ratio, strict=True)]
    coarse = upsample(blurred, axes)
    start = [(count - SIDE) // 2 for count in counts]
    if max(counts) > SIDE:
        rows = [np.flatnonzero(_profile(coarse, axis)) for axis in range(3)]
        for axis, count in enumerate(counts):
            if count > SIDE and rows[axis].size:
                low, high = rows[axis][[0, -1]]
                top = high + 5 - SIDE
                start[axis] = int(top if axis == 2 else (low + high - SIDE) // 2)
    cube = np.zeros((SIDE,) * 3, dtype=np.float32)
    into, out_of = [], []
    for first, count in zip(start, counts, strict=True):
        low, high = max(first, 0), min(first + SIDE, count)
        into.append(slice(low - first, high - first))
        out_of.append(slice(low, high))
    cube[tuple(into)] = coarse[tuple(out_of)]
    return scale_intensities(cube), np.array(start)


def averaged(edge: float, wanted_mm: float) -> int:
    """How many voxels of an image, of this edge in mm, are averaged to one of ``wanted_mm``."""
    return max(round(wanted_mm / float(edge)), 1)


def _profile(image: np.ndarray, axis: int) -> np.ndarray:
    """Planes of which more than 2 % is clearly not background."""
    bright = image > 0.15 * np.percentile(image, 99)
    return bright.mean(axis=tuple(other for other in range(3) if other != axis)) > 0.02


def upsample(values: np.ndarray, axes: list[np.ndarray]) -> np.ndarray:
    """Linear interpolation at the points of a grid, one axis after the other; edges continue."""
    for axis, at in enumerate(axes):
        at = np.clip(at, 0, values.shape[axis] - 1)
        low = np.minimum(at.astype(int), max(values.shape[axis] - 2, 0))
        shape = [1, 1, 1]
        shape[axis] = -1
        share = (at - low).astype(np.float32).reshape(shape)
        high = np.minimum(low + 1, values.shape[axis] - 1)
        values = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return values.astype(np.float32)


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1),
        nn.GroupNorm(4, outputs),
        nn.LeakyReLU(0.1),
    )


def fold(image: Tensor) -> Tensor:
    """(N, C, 2X, 2Y, 2Z) to (N, 8 C, X, Y, Z)."""
    n, c, x, y, z = image.shape
    parts = image.reshape(n, c, x // 2, 2, y // 2, 2, z // 2, 2)
    return parts.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(n, 8 * c, x // 2, y // 2, z // 2)


def unfold(maps: Tensor) -> Tensor:
    """The inverse of :func:`fold`, for one image."""
    n, _, x, y, z = maps.shape
    parts = maps.reshape(n, 2, 2, 2, x, y, z).permute(0, 4, 1, 5, 2, 6, 3)
    return parts.reshape(n, 1, 2 * x, 2 * y, 2 * z)


def _double(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="nearest")
