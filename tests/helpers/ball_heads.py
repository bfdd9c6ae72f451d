"""Whole-head label maps of balls within balls, whose every border is known."""

from collections.abc import Collection
from pathlib import Path

import nibabel as nib
import numpy as np

RADII = {"scalp": 86, "bone": 78, "csf": 71, "grey": 62, "white": 52}
"""Outer radius of each in mm, from the outermost in."""

MIDDLE = np.array([0.0, 7.0, 100.0])
_LABELS = (511, 515, 24, 3, 2)
_VENTRICLE = 4


def ball_head(
    without: Collection[str] = (), size: float = 1.0, ventricle: float = 0.0
) -> nib.Nifti1Image:
    """Balls about ``MIDDLE`` on voxels of 2 mm.

    Args:
        without: keys of ``RADII`` that this head lacks.
        size: of all radii.
        ventricle: radius in mm of one in the left half.
    """
    index = (np.arange(96) - 47.5) * 2
    x, y, z = np.meshgrid(index, index, index, indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    labels = np.zeros(radius.shape, np.int16)
    for (name, outer), label in zip(RADII.items(), _LABELS, strict=True):
        if name not in without:
            labels[radius < size * outer] = label
    labels[(x + 20) ** 2 + y**2 + (z - 10) ** 2 < ventricle**2] = _VENTRICLE
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = MIDDLE - 95
    return nib.Nifti1Image(labels, affine)


def write_ball_heads(folder: Path, count: int) -> None:
    """So many heads of several sizes, as ``head_01.nii.gz`` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        size, ventricle = 0.92 + 0.02 * number, 10.0 + 2 * number
        head = ball_head(size=size, ventricle=ventricle)
        nib.save(head, folder / f"head_{number:02d}.nii.gz")
