"""How much fine detail a volume has: its power at high spatial frequencies, within slices."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lmidiff.common.errors import StudyError

BEYOND = 1 / 3
"""Cycles per voxel; a grid carries half a cycle a voxel along each axis, at most."""

RIM = 3
"""Voxels from the border of the brain that are left out: the border is detail of the mask."""


def fine_power(volume: NDArray[np.floating], mask: NDArray[np.bool_]) -> float:
    """Power beyond a third of the sampling frequency, in axial slices, off the rim of the brain.

    Each slice, outside the brain at the mean of the brain, keeps what lies beyond ``BEYOND`` in any
    direction; the mean of its square is the power. White noise of variance v has (1 - pi / 9) v.

    Args:
        volume: (X, Y, Z), intensities 0..1.
        mask: the same shape.

    Returns:
        In squared intensities; ``nan`` where no voxel lies ``RIM`` voxels inside the brain.

    Raises:
        StudyError: the shapes differ.
    """
    if volume.shape != mask.shape:
        raise StudyError(f"fine detail: volume {volume.shape}, mask {mask.shape}")
    around, across = (np.fft.fftfreq(n) for n in volume.shape[:2])
    high = np.hypot(around[:, None], across[None, :]) > BEYOND
    total, count = 0.0, 0
    for z in np.flatnonzero(mask.any(axis=(0, 1))):
        brain = mask[:, :, z]
        inside = ndimage.binary_erosion(brain, iterations=RIM)
        if not inside.any():
            continue
        image = np.where(brain, volume[:, :, z], volume[:, :, z][brain].mean())
        fine = np.fft.ifft2(np.fft.fft2(image.astype(np.float64)) * high).real
        total += float(np.square(fine[inside]).sum())
        count += int(inside.sum())
    return total / count if count else float("nan")
