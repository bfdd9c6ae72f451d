"""Whole heads, with skull and scalp, from label maps: what a raw scan is simulated from.

The simulator of the cohorts (:mod:`lmidiff.data.simulate`) scans on the study grid, the brain or a
head that lies still. This one scans the head in the scanner's own grid, turned and shifted as
people lie in scanners, and keeps the true brain mask and the true motion. It serves the benchmark
of the brain masks, the training of the mask network, and the tests of the alignment.
"""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from lmidiff.common.errors import StudyError
from lmidiff.common.seeds import generator_of
from lmidiff.data.fields import smooth_field
from lmidiff.data.labelmaps import TISSUE_MIXES
from lmidiff.data.sequences import TISSUE_NAMES, TISSUES, Tissue, sequence_of
from lmidiff.data.simulate import WHITE_MATTER_UNITS, add_rician_noise
from lmidiff.data.whole_head import HEAD_TISSUES, OTHER_TISSUE

_SUBARACHNOID = 24
_RIM_MM, _CLOSING_MM = 3.0, 8.0


@dataclass(frozen=True)
class Head:
    """A person's label map and brain.

    Attributes:
        labels: (X, Y, Z) int16, axes closest to RAS; FreeSurfer numbers, 500..599 head, 0 air.
        brain: (X, Y, Z) bool: tissue, ventricles, and the CSF within 3 mm of them or in fissures,
            as :meth:`lmidiff.data.labelmaps.LabelledBrain.tissue_between` keeps it.
        affine: (4, 4) voxel index to mm.
    """

    labels: np.ndarray
    brain: np.ndarray
    affine: np.ndarray


@dataclass(frozen=True)
class Scan:
    """A scan of a head: the image and the true brain on its grid, and where the grid lies."""

    image: np.ndarray
    brain: np.ndarray
    affine: np.ndarray
    white: np.ndarray


def read_head(path: str | Path, every: int = 1) -> Head:
    """Read a whole-head label map.

    Args:
        path: NIfTI, in any orientation.
        every: take every so many voxels along each axis.

    Raises:
        StudyError: it cannot be read, or shows no head.
    """
    try:
        image = nib.as_closest_canonical(nib.load(path))
        labels = np.asarray(image.dataobj).astype(np.int16)[::every, ::every, ::every]
    except Exception as error:  # nibabel, gzip and zlib raise many kinds for a damaged file
        raise StudyError(f"{path}: not a readable label map ({error})") from error
    if not (labels >= 500).any() or not ((labels > 0) & (labels < 500)).any():
        raise StudyError(f"{path}: has no head around a brain; give a whole-head label map")
    affine = image.affine @ np.diag([every, every, every, 1.0])
    return Head(np.ascontiguousarray(labels), _brain_of(labels, affine), affine)


def rigid(rotation_deg: np.ndarray, shift_mm: np.ndarray, centre_mm: np.ndarray) -> np.ndarray:
    """(4, 4) of a turn about the x, then y, then z axis through ``centre_mm``, then a shift."""
    turn = np.eye(4)
    turn[:3, :3] = nib.eulerangles.euler2mat(*np.deg2rad(rotation_deg)[::-1])
    forth, back = np.eye(4), np.eye(4)
    forth[:3, 3], back[:3, 3] = centre_mm + shift_mm, -np.asarray(centre_mm)
    return forth @ turn @ back


def scan_head(
    head: Head,
    modality: str,
    shape: tuple[int, int, int],
    affine: np.ndarray,
    *seed_parts: object,
    motion: np.ndarray | None = None,
    bias: float = 0.25,
    snr: float = 30.0,
) -> Scan:
    """Scan a head on any grid.

    A voxel averages the signal of the points within it (2 along each of its edges). The receive
    field is exp(bias b) with b of unit variance; noise is Rician.

    Args:
        head: the person.
        modality: a name in :data:`lmidiff.data.sequences.SEQUENCES`.
        shape, affine: the scanner's grid, voxel index to mm.
        *seed_parts: name the draw.
        motion: (4, 4), where a point of the label map's world lies in the scanner's; the identity
            if None.
        bias: standard deviation of the logarithm of the receive field.
        snr: mean brain signal over the noise's standard deviation.
    """
    rng = generator_of(*seed_parts, "head", modality)
    fine_affine = affine @ np.diag([0.5, 0.5, 0.5, 1.0])
    fine_affine[:3, 3] = (affine @ [-0.25, -0.25, -0.25, 1])[:3]
    to_label = np.linalg.inv(head.affine) @ np.linalg.inv(np.eye(4) if motion is None else motion)
    matrix = (to_label @ fine_affine).astype(float)
    fine = tuple(2 * n for n in shape)
    signal = _signal_table(modality, rng)
    image = np.empty(shape, dtype=np.float32)
    brain = np.empty(shape, dtype=np.float32)
    white = np.empty(shape, dtype=np.float32)
    is_white = np.isin(np.arange(600), (2, 41))
    for z in range(
        0, fine[2], 8
    ):  # in slabs, because twice the resolution is eight times the memory
        depth = min(8, fine[2] - z)
        shift = matrix[:3, 3] + matrix[:3, 2] * z
        labels = ndimage.affine_transform(
            head.labels, matrix[:3, :3], shift, (*fine[:2], depth), order=0
        )
        inside = ndimage.affine_transform(
            head.brain.view(np.uint8), matrix[:3, :3], shift, (*fine[:2], depth), order=0
        )
        place = (slice(None), slice(None), slice(z // 2, z // 2 + depth // 2))
        image[place] = _mean_of_eight(signal[labels])
        brain[place] = _mean_of_eight(inside.astype(np.float32))
        white[place] = _mean_of_eight(is_white[labels].astype(np.float32))
    axes = [
        edge * np.arange(n) for n, edge in zip(shape, nib.affines.voxel_sizes(affine), strict=True)
    ]
    inside = brain >= 0.5
    image *= np.exp(bias * smooth_field(rng, axes, 70.0))
    sigma = float(image[inside].mean()) / snr if inside.any() else 1.0
    return Scan(add_rician_noise(image, sigma, rng), inside, affine, white > 0.99)


def _signal_table(modality: str, rng: np.random.Generator) -> np.ndarray:
    """Signal by label number, (600,) float32 in scanner units; tissues vary between people."""
    sequence = sequence_of(modality)
    unit = WHITE_MATTER_UNITS / abs(float(sequence.signal(TISSUES["WM"])))
    pure = [float(sequence.signal(_varied(TISSUES[name], 0.03, rng))) for name in TISSUE_NAMES]
    table = np.zeros(600)
    for group, mix in TISSUE_MIXES.items():
        table[list(group)] = np.dot(mix, pure)
    table[500:] = float(sequence.signal(_varied(OTHER_TISSUE, 0.1, rng)))
    for group, tissue in HEAD_TISSUES.items():
        table[list(group)] = float(sequence.signal(_varied(tissue, 0.1, rng)))
    return (np.abs(table) * unit).astype(np.float32)


def _varied(tissue: Tissue, spread: float, rng: np.random.Generator) -> Tissue:
    t1, t2, t2s, pd = np.exp(spread * rng.standard_normal(4) * [1, 1, 1, 1 / 3])
    return Tissue(tissue.t1 * t1, tissue.t2 * t2, tissue.t2s * t2s, tissue.pd * pd)


def _mean_of_eight(fine: np.ndarray) -> np.ndarray:
    x, y, z = (n // 2 for n in fine.shape)
    return fine.reshape(x, 2, y, 2, z, 2).mean(axis=(1, 3, 5), dtype=np.float32)


def _brain_of(labels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The skull-stripped brain; see :class:`Head`."""
    zooms = nib.affines.voxel_sizes(affine)
    tissue = (labels > 0) & (labels < 500) & (labels != _SUBARACHNOID)
    box = ndimage.find_objects(tissue.astype(np.uint8))[0]
    margin = np.ceil((_CLOSING_MM + 2) / zooms).astype(int)
    room = tuple(slice(max(s.start - m, 0), s.stop + m) for s, m in zip(box, margin, strict=True))
    distance = ndimage.distance_transform_edt(~tissue[room], sampling=zooms)
    grown = np.pad(distance <= _CLOSING_MM, 1)
    inner = ndimage.distance_transform_edt(grown, sampling=zooms)[1:-1, 1:-1, 1:-1]
    envelope = (distance <= _RIM_MM) | (inner > _CLOSING_MM - _RIM_MM)
    brain = np.zeros(labels.shape, bool)
    known = (labels[room] > 0) & (labels[room] < 500)
    brain[room] = envelope & known
    return brain
