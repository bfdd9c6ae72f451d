"""The label table of DLMUSE, an automatic segmentation of T1w, as tissues and as structures.

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

STRUCTURES: dict[tuple[int, ...], int] = {
    # labels, right and left: FreeSurfer's number of the same structure
    (1, 46): 24,  # fluid outside the folds
    (4,): 14,  # third ventricle
    (11,): 15,  # fourth ventricle
    (49, 50): 5,  # inferior lateral ventricles
    (51, 52): 4,  # lateral ventricles
    (23, 30): 26,  # accumbens
    (31, 32): 18,  # amygdala
    (36, 37): 11,  # caudate
    (47, 48): 17,  # hippocampus
    (55, 56): 13,  # pallidum
    (57, 58): 12,  # putamen
    (59, 60): 10,  # thalamus
    (61, 62): 28,  # ventral diencephalon
    (38, 39, 71, 72, 73): 8,  # cerebellar cortex and vermis
    (40, 41): 7,  # cerebellar white matter
    (35,): 16,  # brain stem
}
"""Structures by name; the other labels are cerebral cortex and cerebral white matter."""
_CORTEX, _WHITE_MATTER = 3, 2

_TISSUE = np.zeros(256, dtype=np.uint8)
for _tissue, _labels in ((1, CSF), (2, GREY), (3, (*WHITE, *STEM))):
    _TISSUE[list(_labels)] = _tissue

_FREESURFER = np.zeros(256, dtype=np.int16)
_FREESURFER[list(GREY)], _FREESURFER[list(WHITE)] = _CORTEX, _WHITE_MATTER
for _labels, _number in STRUCTURES.items():
    _FREESURFER[list(_labels)] = _number


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


def freesurfer_of(labels: NDArray) -> NDArray[np.int16]:
    """FreeSurfer's number of the same structure, that of the left side; the shape of ``labels``.

    Args:
        labels: DLMUSE's numbers, see :func:`is_dlmuse`.
    """
    return _FREESURFER[labels.astype(np.uint8)]
