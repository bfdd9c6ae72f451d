"""How alike two images are: the map of structural similarity that scores and tuning average."""

import numpy as np
from numpy.typing import NDArray

from lmidiff.common.errors import StudyError

SSIM_SIGMA = 1.5
SSIM_WINDOW = 11
"""Side of the Gaussian window in pixels, which is 3.5 sigma to either side, rounded."""
DATA_RANGE = 1.0


def ssim_map(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Structural similarity at every pixel, slice by slice.

    Args:
        a, b: (X, Y) or (X, Y, Z), intensities 0..1, at least 11 px along X and Y. Slices of a
            volume are taken along its last axis.

    Returns:
        float64 map of the same shape, values in [-1, 1].

    Raises:
        StudyError: shapes differ or a slice is smaller than the window.
    """
    from skimage.metrics import structural_similarity

    a, b = same_shape(a, b)
    if a.ndim not in (2, 3) or min(a.shape[:2]) < SSIM_WINDOW:
        raise StudyError(f"SSIM: needs slices of {SSIM_WINDOW} px or more, got shape {a.shape}")
    if a.ndim == 3:
        return np.stack([ssim_map(a[..., z], b[..., z]) for z in range(a.shape[2])], axis=2)
    return structural_similarity(
        a,
        b,
        gaussian_weights=True,
        sigma=SSIM_SIGMA,
        use_sample_covariance=False,
        data_range=DATA_RANGE,
        full=True,
    )[1]


def same_shape(a, b) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two images in float64; raises StudyError if their shapes differ."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        raise StudyError(f"images of shape {a.shape} and {b.shape} differ")
    return a, b
