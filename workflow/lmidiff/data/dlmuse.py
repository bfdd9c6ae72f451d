"""The label table of DLMUSE, an automatic segmentation of T1w, as tissues.

Its numbers are those of MUSE (Doshi et al., NeuroImage 2016;127:186-195).
"""

import numpy as np
from numpy.typing import NDArray

CSF = (1, 4, 11, 46, *range(49, 53))
"""Subarachnoid space and ventricles."""
STEM = (35,)
WHITE = (40, 41, *range(81, 96))
GREY = (
    *(23, *range(30, 33), *range(36, 40), *range(47, 49), *range(55, 63), 69, 71, 72, 73, 75, 76),
    *(*range(100, 110), *range(112, 126), 128, 129, *range(132, 158), *range(160, 188)),
    *range(190, 208),
)

_TISSUE = np.zeros(256, dtype=np.uint8)
for _tissue, _labels in ((1, CSF), (2, GREY), (3, (*WHITE, *STEM))):
    _TISSUE[list(_labels)] = _tissue


def is_dlmuse(labels: NDArray) -> bool:
    """Whether a label map is DLMUSE's: it has brain stem and white matter, and no other number.

    Args:
        labels: whole numbers, any shape.
    """
    present = set(np.unique(labels).tolist())
    known = {0, *CSF, *GREY, *WHITE, *STEM}
    return present <= known and set(STEM) <= present and bool(present & {40, 41, 81, 82})


def tissues_of(labels: NDArray) -> NDArray[np.uint8]:
    """1 CSF, 2 GM, 3 WM (with the brain stem), 0 outside the brain; the shape of ``labels``.

    Args:
        labels: DLMUSE's numbers, see :func:`is_dlmuse`.
    """
    return _TISSUE[labels.astype(np.uint8)]
