"""Whole heads: what lies outside the brain in a label map, and what a scanner makes of it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lmidiff.common.errors import StudyError
from lmidiff.common.regions import BRAIN, HEAD
from lmidiff.data.labelmaps import read_labels
from lmidiff.data.sequences import Tissue

HEAD_TISSUES: dict[tuple[int, ...], Tissue] = {
    (511,): Tissue(t1=350.0, t2=45.0, t2s=20.0, pd=0.80),  # skin, with the fat below it
    (507,): Tissue(t1=550.0, t2=50.0, t2s=25.0, pd=0.80),  # muscle and fat
    (515,): Tissue(t1=300.0, t2=10.0, t2s=1.0, pd=0.15),  # cortical bone
    (516,): Tissue(t1=320.0, t2=70.0, t2s=15.0, pd=0.85),  # marrow
    (514,): Tissue(t1=1300.0, t2=150.0, t2s=40.0, pd=0.40),  # venous sinuses, partly flow void
    (512,): Tissue(t1=600.0, t2=75.0, t2s=60.0, pd=0.78),  # spinal cord
    (506,): Tissue(t1=3000.0, t2=500.0, t2s=100.0, pd=1.00),  # vitreous body
    (509,): Tissue(t1=1100.0, t2=80.0, t2s=30.0, pd=0.70),  # mucosa of the nose
}
"""Meaning found by looking at where a label lies; numbers typical of 1.5 T."""

OTHER_TISSUE = Tissue(t1=900.0, t2=50.0, t2s=30.0, pd=0.75)
"""The rest of the labels 500..599: as muscle."""

AROUND: tuple[Tissue, ...] = (*HEAD_TISSUES.values(), OTHER_TISSUE)
"""The tissues of the head around the brain, in the order of their shares."""

_FIRST = 500


def head_shares(path: str | Path) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """Where a label map shows what of the head, one float32 (X, Y, Z) of 0 and 1 after the other.

    Args:
        path: NIfTI whole-head label map in any orientation; see :mod:`lmidiff.data.labelmaps`.

    Returns:
        The affine, (4, 4) voxel index to mm, axes nearest to RAS; and an iterator over all that has
        a label of the brain, subarachnoid CSF included, then each of :data:`AROUND`.

    Raises:
        StudyError: as :func:`lmidiff.data.labelmaps.read_labels`, or there is no head.
    """
    labels, affine = read_labels(path)
    if not (labels >= _FIRST).any():
        raise StudyError(
            f"{path}: has no head around the brain (labels {_FIRST}..599), and data.field is "
            f"{HEAD}; give whole-head label maps, or set data.field: {BRAIN}"
        )
    return affine, _shares(labels)


def _shares(labels: np.ndarray) -> Iterator[np.ndarray]:
    kinds = np.full(2 * _FIRST, len(AROUND), np.uint8)
    kinds[0], kinds[1:_FIRST] = len(AROUND) + 1, 0
    for number, group in enumerate(HEAD_TISSUES, start=1):
        kinds[list(group)] = number
    shown = kinds[labels]
    for number in range(len(AROUND) + 1):
        yield (shown == number).astype(np.float32)
