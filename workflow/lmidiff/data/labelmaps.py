"""Label maps of real brains: which tissue each label is made of, and where the brain ends."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from lmidiff.common.errors import StudyError
from lmidiff.data.dlmuse import freesurfer_of, is_dlmuse
from lmidiff.data.sequences import STRUCTURES

TISSUE_MIXES: dict[tuple[int, ...], tuple[float, float, float]] = {
    # labels: (CSF, GM, WM)
    (4, 43, 5, 44, 14, 15, 24, 72): (1.0, 0.0, 0.0),  # ventricles, subarachnoid CSF
    (136, 137, 163, 164): (0.6, 0.4, 0.0),  # choroid plexus
    (30, 62): (0.5, 0.5, 0.0),  # vessels and perivascular spaces
    (3, 42, 8, 47): (0.0, 1.0, 0.0),  # cerebral and cerebellar cortex
    (17, 53, 18, 54, 11, 50, 26, 58): (0.0, 1.0, 0.0),  # hippocampus, amygdala, caudate, accumbens
    (12, 51): (0.0, 0.9, 0.1),  # putamen
    (10, 49): (0.0, 0.6, 0.4),  # thalamus
    (13, 52): (0.0, 0.4, 0.6),  # pallidum
    (28, 60): (0.0, 0.35, 0.65),  # ventral diencephalon
    (16,): (0.0, 0.15, 0.85),  # brain stem
    (25, 57): (0.0, 0.5, 0.5),  # lesion-like spots of white matter
    (2, 41, 7, 46, 85): (0.0, 0.0, 1.0),  # white matter, optic chiasm
}
"""Share of each tissue in each label; 0 and 500..599 (head) are outside the brain."""

STRUCTURE_LABELS: dict[str, tuple[int, ...]] = {
    "thalamus": (10, 49),
    "caudate": (11, 50),
    "putamen": (12, 51),
    "pallidum": (13, 52),
    "cerebellar cortex": (8, 47),
}
"""Labels of the grey structures that have parameters of their own."""

_HEAD = range(500, 600)
_SUBARACHNOID = 24
_RIM = 3.0  # mm of subarachnoid CSF that skull stripping leaves around the brain
_CLOSING = 8.0  # mm: fissures up to twice this wide stay inside


@dataclass(frozen=True)
class TissueVolume:
    """Tissue fractions, then shares of structures (:data:`lmidiff.data.sequences.STRUCTURES`).

    At the label map's own resolution: float32 (3 + K, X, Y, Z), and its affine.
    """

    values: np.ndarray
    affine: np.ndarray


@dataclass(frozen=True)
class LabelledBrain:
    """A brain's labels, cropped to its bounding box.

    Attributes:
        labels: int16 (X, Y, Z), axes nearest to RAS; 0 outside the brain.
        affine: (4, 4) voxel index to mm.
    """

    labels: np.ndarray
    affine: np.ndarray

    def points(self) -> np.ndarray:
        """(N, 3) centres in mm of the voxels of brain tissue and ventricles."""
        inside = (self.labels > 0) & (self.labels != _SUBARACHNOID)
        # Not a matrix product: its bits depend on the number of BLAS threads.
        index = np.argwhere(inside)
        return np.einsum("ij,nj->ni", self.affine[:3, :3], index) + self.affine[:3, 3]

    def tissue_between(self, low: float, high: float) -> TissueVolume:
        """Tissue fractions of the skull-stripped brain between two heights in mm.

        Subarachnoid CSF is kept where it lies within 3 mm of the brain or in a fissure.
        """
        slab, affine = self._slab(low, high)
        zooms = nib.affines.voxel_sizes(affine)
        tissue = (slab > 0) & (slab != _SUBARACHNOID)
        distance = ndimage.distance_transform_edt(~tissue, sampling=zooms)
        grown = np.pad(distance <= _CLOSING, 1)
        inner = ndimage.distance_transform_edt(grown, sampling=zooms)[1:-1, 1:-1, 1:-1]
        envelope = (distance <= _RIM) | (inner > _CLOSING - _RIM)
        values = np.zeros((3 + len(STRUCTURES), *slab.shape), dtype=np.float32)
        for channel, table in enumerate(tissue_shares()):
            values[channel] = table[slab] * envelope
        return TissueVolume(values, affine)

    def _slab(self, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
        """The labels and affine of the voxels near the heights, with room for the closing."""
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.labels.shape])).reshape(3, -1)
        base = nib.affines.apply_affine(self.affine, corners.T * [1, 1, 0])[:, 2]
        step = self.affine[2, 2]
        first = int(np.floor((low - 2 * _CLOSING - base.max()) / step))
        last = int(np.ceil((high + 2 * _CLOSING - base.min()) / step))
        first, last = max(first, 0), min(last + 1, self.labels.shape[2])
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, 2] * first
        return self.labels[:, :, first:last], affine


def read_label_map(path: str | Path) -> LabelledBrain:
    """Read the brain of a label map in the numbers of FreeSurfer or of DLMUSE, in any orientation.

    Labels of DLMUSE become FreeSurfer's numbers of the same structures.

    Raises:
        StudyError: as :func:`read_labels`, or there is no brain.
    """
    labels, affine = read_labels(path)
    labels[labels >= _HEAD.start] = 0
    if not ((labels > 0) & (labels != _SUBARACHNOID)).any():
        raise StudyError(f"{path}: no brain labels")
    return _crop(labels, affine)


def read_labels(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """All of a label map: int16 (X, Y, Z), axes nearest to RAS, and its (4, 4) affine in mm.

    Raises:
        StudyError: the file cannot be read, is not a 3-D map of whole numbers, or has labels that
            no tissue is known for.
    """
    try:
        image = nib.as_closest_canonical(nib.load(path))
        values = np.asarray(image.dataobj)
    except FileNotFoundError as error:
        raise StudyError(f"{path}: no such file") from error
    except Exception as error:  # nibabel, gzip and zlib raise many kinds for a damaged file
        raise StudyError(f"{path}: not a readable NIfTI file ({_first_line(error)})") from error
    if values.ndim != 3:
        raise StudyError(f"{path}: a label map has 3 axes, this has {values.ndim}")
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 32767:
        raise StudyError(f"{path}: not a label map (values outside 0..32767)")
    labels = values.astype(np.int16)
    if values.dtype.kind == "f" and (labels != values).any():
        raise StudyError(f"{path}: not a label map (values are not whole numbers)")
    if is_dlmuse(labels):
        labels = freesurfer_of(labels)
    present = np.flatnonzero(np.bincount(labels.ravel()))
    known = {0, *_HEAD, *(label for group in TISSUE_MIXES for label in group)}
    unknown = [int(label) for label in present if label not in known]
    if unknown:
        shown = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise StudyError(f"{path}: unknown labels {shown}")
    return labels, image.affine


def _crop(labels: np.ndarray, affine: np.ndarray) -> LabelledBrain:
    """Cut to the brain, with room for its rim of CSF."""
    zooms = nib.affines.voxel_sizes(affine)
    tissue = (labels > 0) & (labels != _SUBARACHNOID)
    box = ndimage.find_objects(tissue.astype(np.uint8))[0]
    margin = np.ceil((_RIM + 2) / zooms).astype(int)
    start = [max(s.start - m, 0) for s, m in zip(box, margin, strict=True)]
    stop = [s.stop + m for s, m in zip(box, margin, strict=True)]
    cropped = labels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    shifted = affine.copy()
    shifted[:3, 3] = nib.affines.apply_affine(affine, start)
    return LabelledBrain(np.ascontiguousarray(cropped), shifted)


def tissue_shares() -> np.ndarray:
    """Shares of tissues, then of structures, by FreeSurfer's number: float32 (3 + K, 165)."""
    table = np.zeros(
        (3 + len(STRUCTURES), max(max(group) for group in TISSUE_MIXES) + 1), dtype=np.float32
    )
    for group, mix in TISSUE_MIXES.items():
        table[:3, list(group)] = np.array(mix, dtype=np.float32)[:, None]
    for channel, name in enumerate(STRUCTURES, start=3):
        table[channel, list(STRUCTURE_LABELS[name])] = 1
    return table


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
