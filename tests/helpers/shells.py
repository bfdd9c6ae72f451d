"""Stripped brains of three shells, at 6 mm, as files that a study reads."""

from pathlib import Path

import nibabel as nib
import numpy as np

T1W, PDW = (200, 450, 700), (750, 700, 600)
"""Brightness of the outer, the middle and the inner shell: fluid, grey and white matter."""


def shells(contrast: tuple[float, float, float], seed: int = 0) -> np.ndarray:
    """An ellipsoid of three shells with ripples, in an empty field: (32, 32, 26) float32."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in (32, 32, 26)), indexing="ij")
    scaled = [axis / scale for axis, scale in zip(axes, (0.7, 0.85, 0.8), strict=True)]
    radius = np.sqrt(sum(axis**2 for axis in scaled))
    image = np.select([radius < 0.5, radius < 0.8, radius < 1], contrast[::-1], 0)
    ripple = 1 + 0.05 * np.sin(9 * axes[0] + seed) * np.cos(7 * axes[1])
    return (image * ripple).astype(np.float32)


def write_shells(path: Path, array: np.ndarray) -> None:
    """Write an array of :func:`shells` as a NIfTI file of 6 mm voxels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array, np.diag([6.0, 6.0, 6.0, 1.0]))
    image.set_sform(image.affine, code=1)
    nib.save(image, path)
