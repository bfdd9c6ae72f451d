"""Where the brain ends, by a second look at 2 mm.

:mod:`lmidiff.data.brain_network` says where the brain is, by voxels of 4 mm. A network of the same
make, which has seen real heads with their labels and drawn ones, all in random contrasts, is shown
the surroundings of that brain and the first answer. How it was trained: ``extras/brain_mask``.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from lmidiff.data.brain_network import (
    BrainNetwork,
    averaged,
    read_network,
    scale_intensities,
    upsample,
)

VOXEL_MM = 2.0

BOX = (96, 112, 96)
"""Voxels that the network was trained on; a larger brain gets a larger box."""

MARGIN_MM = 16.0
"""Least room between the first answer's brain and the box."""

SURE = 8.0
"""Logits of the first answer are shown divided by this, within -1..1."""

WEIGHTS = Path(__file__).with_name("brain_surface.safetensors")

CHANNELS = (16, 24, 32, 32)
_MULTIPLE = 16


def brain_surface(data: np.ndarray, voxel_mm: np.ndarray, share: np.ndarray) -> np.ndarray:
    """How likely each voxel is brain, with a surface right to about a millimetre.

    The network is asked twice, the second time with the box mirrored left to right; the logits are
    averaged.

    Args:
        data: (X, Y, Z) float32, at least 0, axes closest to right, anterior, superior.
        voxel_mm: (3,) edges of a voxel.
        share: (X, Y, Z) float32 logits of :func:`lmidiff.data.brain_network.brain_share`; above 0
            somewhere.

    Returns:
        (X, Y, Z) float32 logits, linear between voxels of 2 mm; brain is above 0. Nothing beyond
        the box is.
    """
    edges = np.asarray(voxel_mm, dtype=float)
    start, box = _surroundings(share > 0, edges)
    shown = torch.from_numpy(
        np.stack([_image(data, edges, start, box), _first(share, edges, start, box)])
    )
    with torch.no_grad():
        logits = _network()(torch.stack([shown, shown.flip(1)]))[:, 0]
    answer = ((logits[0] + logits[1].flip(0)) / 2).numpy()
    index = [
        np.arange(n) * edge / VOXEL_MM - first
        for n, edge, first in zip(data.shape, edges, start, strict=True)
    ]
    within = [
        np.flatnonzero((at >= 0) & (at <= side - 1)) for at, side in zip(index, box, strict=True)
    ]
    surface = np.full(data.shape, -SURE, dtype=np.float32)
    surface[np.ix_(*within)] = upsample(
        answer, [at[some] for at, some in zip(index, within, strict=True)]
    )
    return surface


def surface_network() -> BrainNetwork:
    """The network, untrained: it sees the image and the first answer."""
    return BrainNetwork(CHANNELS, images=2)


@lru_cache(maxsize=1)
def _network() -> BrainNetwork:
    return read_network(surface_network(), WEIGHTS)


def _surroundings(found: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """The box's first voxel and its sides, in steps of 2 mm from the image's first voxel."""
    rows = [
        np.flatnonzero(found.any(axis=tuple(k for k in range(3) if k != axis))) for axis in range(3)
    ]
    ends = np.array([[row[0], row[-1]] for row in rows]) * edges[:, None] / VOXEL_MM
    wanted = ends[:, 1] - ends[:, 0] + 2 * MARGIN_MM / VOXEL_MM
    box = np.maximum(BOX, _MULTIPLE * np.ceil(wanted / _MULTIPLE)).astype(int)
    return np.round(ends.mean(axis=1) - (box - 1) / 2).astype(int), tuple(box.tolist())


def _image(
    data: np.ndarray, edges: np.ndarray, start: np.ndarray, box: tuple[int, ...]
) -> np.ndarray:
    """The image in the box, 0 where there is none; smaller voxels are averaged to 2 mm."""
    offsets = []
    for axis, edge in enumerate(edges):
        width = averaged(edge, VOXEL_MM)
        if width > 1:
            data = ndimage.uniform_filter1d(data, width, axis=axis, mode="nearest")
        # The mean of an even number of voxels lies half a voxel before the one it is stored in.
        offsets.append(0.5 if width % 2 == 0 else 0.0)
    return scale_intensities(_into_box(data, edges, start, box, offsets, 0.0))


def _first(
    share: np.ndarray, edges: np.ndarray, start: np.ndarray, box: tuple[int, ...]
) -> np.ndarray:
    """The first answer in the box, sure that there is no brain where there is no image."""
    return np.clip(_into_box(share, edges, start, box, (0.0,) * 3, -SURE) / SURE, -1, 1)


def _into_box(
    values: np.ndarray,
    edges: np.ndarray,
    start: np.ndarray,
    box: tuple[int, ...],
    offsets: Sequence[float],
    beyond: float,
) -> np.ndarray:
    """Values at the points of the box, ``beyond`` where the image has none.

    ``offsets`` are added to the places, in voxels of the image.
    """
    axes = [
        (np.arange(side) + first) * VOXEL_MM / edge
        for side, first, edge in zip(box, start, edges, strict=True)
    ]
    within = [
        np.flatnonzero((at > -0.5) & (at < n - 0.5))
        for at, n in zip(axes, values.shape, strict=True)
    ]
    out = np.full(box, beyond, dtype=np.float32)
    points = [at[some] + offset for at, some, offset in zip(axes, within, offsets, strict=True)]
    out[np.ix_(*within)] = upsample(values, points)
    return out
