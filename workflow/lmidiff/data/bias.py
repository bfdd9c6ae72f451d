"""Correction of the receive field: N4 (Tustison et al., IEEE TMI 2010;29:1310-1320)."""

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from lmidiff.data.orientation import from_itk, to_itk
from lmidiff.data.volumes import Volume

FIT_MM = 4.0
"""The field is fitted on voxels of at least this size: it is smooth, and that takes a second."""

ITERATIONS = (50, 50, 50)
"""Most iterations of each fitting level; the finest lattice has points about 60 mm apart."""


THIN = 8
"""Fewer voxels along an axis hold no spline; they are continued to this many."""


def correct_bias(volume: Volume, brain: np.ndarray) -> tuple[Volume, np.ndarray]:
    """Divide a volume by its receive field.

    The field is fitted within the brain, where it matters and where tissues are few. Outside, a
    spline may run wild, so the field keeps within the range it has in the brain.

    Args:
        volume: not corrected.
        brain: (X, Y, Z) bool, not empty.

    Returns:
        The corrected volume, and the field, (X, Y, Z) float32 with geometric mean 1 in the brain.
    """
    if min(brain.shape) < THIN:
        return _thin(volume, brain)
    shrink = [max(1, int(np.ceil(FIT_MM / float(edge)))) for edge in volume.voxel_mm]
    shrink = [min(s, max(1, n // 8)) for s, n in zip(shrink, brain.shape, strict=True)]
    # A field is fitted to logarithms, so zeros are left out.
    mask = to_itk(brain & (volume.data > 0), volume.affine, volume.name)
    image = to_itk(volume.data, volume.affine, volume.name)
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations(list(ITERATIONS))
    n4.SetConvergenceThreshold(1e-4)
    n4.SetNumberOfThreads(1)
    n4.Execute(sitk.Shrink(image, shrink), sitk.Shrink(mask, shrink))
    log_field = from_itk(n4.GetLogBiasFieldAsImage(image)).astype(np.float32)
    inside = log_field[brain]
    np.clip(log_field, inside.min(), inside.max(), out=log_field)
    field = np.exp(log_field - inside.mean())
    return Volume(volume.data / field, volume.affine, volume.name), field


def _thin(volume: Volume, brain: np.ndarray) -> tuple[Volume, np.ndarray]:
    """:func:`correct_bias` of a slab or a single slice, continued beyond its faces."""
    more = [max(0, THIN - n) for n in brain.shape]
    margins = [(m // 2, m - m // 2) for m in more]
    thick = Volume(np.pad(volume.data, margins, mode="edge"), volume.affine, volume.name)
    _, field = correct_bias(thick, np.pad(brain, margins, mode="edge"))
    field = field[tuple(slice(a, a + n) for (a, _), n in zip(margins, brain.shape, strict=True))]
    return Volume(volume.data / field, volume.affine, volume.name), field


def variation(data: np.ndarray, tissue: np.ndarray) -> float:
    """Coefficient of variation, standard deviation over mean, of a tissue's smoothed intensities.

    Smoothed over 3 voxels, because noise is no fault of the receive field.
    """
    smoothed = ndimage.uniform_filter(data, 3)[tissue]
    return float(smoothed.std() / smoothed.mean())
