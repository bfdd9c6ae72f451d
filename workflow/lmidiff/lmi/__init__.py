"""Local-wise mutual information (LMI) maps between two images, by three estimators.

At every pixel i, and for p x p patches,

    LMI(y, x)[i] = max over q of MI(patch of y at i, patch of x at i + q),

where q runs over the p x p offsets. The normalised map uses 2 MI / (H(y) + H(x)).

``reference``
    The public code of the method's authors, reproduced step for step, with its integer cast
    (no gradient), its zero padding, and windows that mix neighbouring patches.
``parzen``
    The definition above with Shannon entropies (bits) of Gaussian-smoothed histograms.
``renyi2``
    The definition above with Renyi-2 (collision) entropies (bits), in closed form without bins.
    Cheap enough for a training loop.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lmidiff.lmi import parzen, reference, renyi2
from lmidiff.options import ESTIMATORS

__all__ = ["ESTIMATORS", "local_mutual_information"]


def local_mutual_information(
    source: Tensor,
    sample: Tensor,
    *,
    estimator: str = "renyi2",
    patch_size: int = 3,
    bandwidth: float = 8.0,
    bins: int = 27,
    normalized: bool = True,
    search: bool = True,
) -> Tensor:
    """Map of the local mutual information between ``source`` and ``sample``.

    Args:
        source: y, (N, 1, H, W), any H, W >= 1, nominally in 0..1. Its patches stay in place.
        sample: x, the same shape as ``source``. Its patches are shifted.
        estimator: one of ``ESTIMATORS``. ``parzen`` and ``renyi2`` are differentiable in both
            images; ``reference`` is not. Outside 0..1, ``parzen`` clamps, ``renyi2`` needs no
            range, and ``reference`` loses the value: where that empties the joint histogram but
            not both marginal ones, its NMI is 2.
        patch_size: p, the odd side of the patches and of the offset window, in pixels.
        bandwidth: s, the standard deviation of the Gaussian kernel, in grey levels of 0..255.
        bins: number of histogram bins over 0..255, ends included. Unused by ``renyi2``.
        normalized: 2 MI / (H(y) + H(x)) rather than MI in bits.
        search: maximise over the p x p offsets rather than keep the centre one.

    Returns:
        (N, 1, H, W), of the images' promoted dtype; half precision is computed in float32.
        Normalised, ``parzen`` and ``renyi2`` are at most 1, up to rounding. They may fall slightly
        below 0: collision entropies are not subadditive, and Parzen kernels cut off at 0 and 255
        leave marginal histograms that are not the joint one's own.

    Raises:
        ValueError: shapes that differ or are not (N, 1, H, W), an unknown estimator, a patch size
            that is even or less than 3, a bandwidth that is not positive, fewer than 2 bins.
    """
    if source.shape != sample.shape or source.ndim != 4 or source.shape[1] != 1:
        raise ValueError(
            "source and sample must both be (N, 1, H, W), "
            f"got {tuple(source.shape)} and {tuple(sample.shape)}"
        )
    if min(source.shape) < 1:
        raise ValueError(f"source and sample must not be empty, got {tuple(source.shape)}")
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}, got {estimator!r}")
    if patch_size < 3 or patch_size % 2 == 0:
        raise ValueError(f"patch_size must be odd and at least 3, got {patch_size}")
    if not bandwidth > 0:
        raise ValueError(f"bandwidth must be positive, got {bandwidth}")
    if bins < 2:
        raise ValueError(f"bins must be at least 2, got {bins}")

    dtype = torch.promote_types(source.dtype, sample.dtype)
    working = torch.promote_types(dtype, torch.float32)
    y = source[:, 0].to(working)
    x = y if sample is source else sample[:, 0].to(working)
    # Entropies differ by less than half precision resolves: autocast must stay out.
    with torch.autocast(y.device.type, enabled=False):
        if estimator == "renyi2":
            lmi = renyi2.estimate(y, x, patch_size, bandwidth, normalized, search)
        elif estimator == "parzen":
            lmi = parzen.estimate(y, x, patch_size, bandwidth, bins, normalized, search)
        else:
            lmi = reference.estimate(y, x, patch_size, bandwidth, bins, normalized, search)
    return lmi[:, None].to(dtype)
