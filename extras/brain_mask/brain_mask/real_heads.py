"""Real heads in training: a T1w scan whose brain is labelled, seen in contrasts it never had.

Outside the brain nobody knows the tissues, so a curve of the scan's own intensities makes the
contrast; inside, either the same curve, or a brightness for each tissue.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lmidiff.common.errors import StudyError
from lmidiff.data.brain_network import SIDE, scale_intensities
from lmidiff.data.dlmuse import tissues_of
from lmidiff.data.volumes import read_volume, require_same_grid

FINE = 128
"""Voxels a side: 2 mm."""

_LEVELS = 256
_KNOTS = (0.0, 0.04, 0.12, 0.22, 0.35, 0.5, 0.65, 0.8, 1.0)
_BONE = 3
"""Knots up to this one are air, bone and what else is dark on T1w."""


@dataclass(frozen=True)
class RealHead:
    """A scan and what is in it.

    Attributes:
        image: (128, 128, 128) uint8, the scan's intensities of 0..255, axes closest to RAS.
        tissues: (128, 128, 128) uint8, 1 CSF, 2 GM, 3 WM, 0 outside the brain.
        brain: (1, 1, 64, 64, 64) share of brain.
    """

    image: Tensor
    tissues: Tensor
    brain: Tensor


def read_real_head(scan: str | Path, labels: str | Path) -> RealHead:
    """Read a whole head of 2 mm voxels and its labels of the brain (DLMUSE numbers).

    Raises:
        StudyError: a file cannot be read, they lie on two grids, or voxels are not 2 mm.
    """
    head, marked = read_volume(scan), read_volume(labels, flat=True)
    require_same_grid(head, marked)
    if not np.allclose(head.voxel_mm, 2.0, atol=0.05) or max(head.data.shape) > FINE:
        raise StudyError(f"{scan}: training takes heads of 2 mm voxels, at most {FINE} a side")
    scaled = np.rint(255 * scale_intensities(head.data)).astype(np.uint8)
    image, tissues, brain = (
        torch.from_numpy(_in_cube(part))
        for part in (scaled, tissues_of(marked.data).astype(np.uint8), marked.data > 0)
    )
    share = functional.adaptive_avg_pool3d(brain[None, None].float(), SIDE)
    return RealHead(image, tissues, share)


def in_another_contrast(
    head: RealHead,
    uniform: Callable[..., Tensor],
    chance: Callable[[float], bool],
) -> tuple[Tensor, Tensor]:
    """A head in a random contrast at 4 mm, and its share of brain: (1, 1, 64, 64, 64) each."""
    heights = uniform(0, 1.2, len(_KNOTS))
    heights[0] = float(uniform(0, 0.1, 1))
    if chance(0.8):
        heights[: _BONE + 1] = heights[0] + uniform(0, 0.15, _BONE + 1)
    levels = np.linspace(0, 1, _LEVELS)
    curve = torch.from_numpy(np.interp(levels, _KNOTS, heights.numpy())).float()
    drawn = curve[head.image.long()]
    if chance(0.6):
        table = torch.cat([torch.zeros(1), uniform(0.05, 1, 3)])
        grain = 1 + 0.3 * float(uniform(-1, 1, 1)) * (head.image.float() / 255 - 0.5)
        drawn = torch.where(head.tissues > 0, table[head.tissues.long()] * grain, drawn)
    if chance(0.15):
        fine = functional.interpolate(head.brain, FINE)[0, 0]
        drawn = drawn * (fine > 0.5)
    return functional.adaptive_avg_pool3d(drawn[None, None].clamp(0), SIDE), head.brain


def _in_cube(data: np.ndarray) -> np.ndarray:
    """``data`` in the middle of a cube of ``FINE`` voxels a side."""
    room = [FINE - n for n in data.shape]
    return np.pad(data, [(r // 2, r - r // 2) for r in room])


def read_real_heads(scans: Sequence[str | Path], labels: Sequence[str | Path]) -> list[RealHead]:
    """Read several, see :func:`read_real_head`."""
    return [read_real_head(*pair) for pair in zip(scans, labels, strict=True)]
