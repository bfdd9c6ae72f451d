"""MR images of an anatomy: tissue signal, texture, bias field and noise, in scanner units."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from lmidiff.common.errors import StudyError
from lmidiff.common.seeds import generator_of
from lmidiff.data.anatomy import Anatomy
from lmidiff.data.fields import smooth_field
from lmidiff.data.nifti import write_nifti
from lmidiff.data.sequences import TISSUE_NAMES, TISSUES, Tissue, sequence_of

Axes = tuple[np.ndarray, ...]

WHITE_MATTER_UNITS = 700.0
"""Scanner units that nominal white matter has in every modality, before the random gain."""

_RANGES = {
    "tissue_spread": (0.0, 0.2),
    "texture": (0.0, 0.3),
    "texture_size": (2.0, 40.0),
    "own_texture": (0.0, 0.3),
    "bias": (0.0, 0.5),
    "bias_size": (40.0, 80.0),
    "gain_spread": (0.0, 0.5),
    "snr": (5.0, 1000.0),
}


@dataclass(frozen=True)
class SimulationSettings:
    """How a simulated scan departs from an ideal one.

    Attributes:
        tissue_spread: standard deviation, 0..0.2, of the logarithm of each tissue's T1, T2, T2*
            and PD between subjects (PD a third of it).
        texture: standard deviation, 0..0.3, of the logarithm of T1, T2 and T2* within a tissue
            (PD a third of it). One field a tissue and subject: where there is more water T1w
            darkens while PDw and T2w brighten, as in life.
        texture_size: lattice spacing of the texture in mm, 2..40.
        own_texture: standard deviation, 0..0.3, of the logarithm of a multiplicative texture
            that each modality has to itself.
        bias: standard deviation, 0..0.5, of the logarithm of the receive field, one a modality.
        bias_size: lattice spacing of the receive field in mm, 40..80.
        gain_spread: standard deviation, 0..0.5, of the logarithm of an image's overall gain.
        snr: mean brain signal over the noise's standard deviation in one channel, 5..1000.

    Raises:
        StudyError: a value is outside its range.
    """

    tissue_spread: float = 0.03
    texture: float = 0.03
    texture_size: float = 7.0
    own_texture: float = 0.01
    bias: float = 0.08
    bias_size: float = 70.0
    gain_spread: float = 0.15
    snr: float = 50.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value, (low, high) = getattr(self, entry.name), _RANGES[entry.name]
            if not low <= value <= high:
                raise StudyError(f"{entry.name}: {value} is outside {low}..{high}")


@dataclass(frozen=True)
class SimulatedSubject:
    """One person's images.

    Attributes:
        images: modality name to float32 (X, Y, Z), scanner units >= 0, 0 outside ``mask``.
        labels: uint8 (X, Y, Z), the dominant tissue: 1 CSF, 2 GM, 3 WM, 0 outside ``mask``.
        mask: bool (X, Y, Z), voxels of which at least half is brain.
        affine: (4, 4) voxel index to mm, RAS.
    """

    images: dict[str, np.ndarray]
    labels: np.ndarray
    mask: np.ndarray
    affine: np.ndarray


def simulate_subject(
    anatomy: Anatomy,
    modalities: Iterable[str],
    *seed_parts: object,
    settings: SimulationSettings | None = None,
) -> SimulatedSubject:
    """Scan an anatomy.

    image = Rice(g b(r) |sum_k f_k(r) S(T1_k(r), T2_k(r), T2*_k(r), PD_k(r)) e^u_k(r)|, sigma),
    with f the tissue fractions, S the modality's signal equation at the subject's textured
    tissue parameters, u the modality's own texture, b its receive field and g its gain.

    The tissue parameters depend on ``seed_parts`` alone and everything else also on the
    modality's name, so adding a modality changes no other image.

    Args:
        anatomy: tissue fractions and affine.
        modalities: names in :data:`lmidiff.data.sequences.SEQUENCES`.
        *seed_parts: name the draw, for example the study's seed and the subject.
        settings: departures from an ideal scan; the defaults if None.

    Raises:
        StudyError: a modality is unknown, or the anatomy has no brain on the grid.
    """
    settings = settings or SimulationSettings()
    total = anatomy.fractions.sum(axis=0)
    mask = total >= 0.5
    if not mask.any():
        raise StudyError(f"{anatomy.name}: no brain on the study grid")
    labels = np.where(mask, 1 + anatomy.fractions.argmax(axis=0), 0).astype(np.uint8)
    axes = tuple(
        anatomy.affine[i, 3] + anatomy.affine[i, i] * np.arange(n)
        for i, n in enumerate(total.shape)
    )
    tissues = _textured_tissues(axes, settings, *seed_parts)
    images = {
        name: _scan(anatomy.fractions, mask, axes, tissues, name, settings, *seed_parts)
        for name in modalities
    }
    return SimulatedSubject(images, labels, mask, anatomy.affine)


def write_subject(subject: SimulatedSubject, folder: str | Path, subject_id: str) -> list[Path]:
    """Write a subject's images, labels and mask; the same subject gives the same bytes.

    Files: ``<id>_<modality>.nii.gz`` (float32), ``<id>_dseg.nii.gz`` and
    ``<id>_desc-brain_mask.nii.gz`` (uint8), where ``<id>`` is ``subject_id``, for example
    ``sub-01``.

    Returns:
        The paths written.

    Raises:
        StudyError: the folder cannot be written.
    """
    arrays = {**subject.images, "dseg": subject.labels, "desc-brain_mask": subject.mask}
    paths = []
    for suffix, array in arrays.items():
        paths.append(Path(folder) / f"{subject_id}_{suffix}.nii.gz")
        write_nifti(paths[-1], array, subject.affine)
    return paths


def add_rician_noise(
    magnitude: np.ndarray, sigma: float, generator: np.random.Generator
) -> np.ndarray:
    """sqrt((s + n1)^2 + n2^2) with n1, n2 normal of standard deviation ``sigma``; float32."""
    real = magnitude + sigma * generator.standard_normal(magnitude.shape, dtype=np.float32)
    imaginary = sigma * generator.standard_normal(magnitude.shape, dtype=np.float32)
    return np.hypot(real, imaginary).astype(np.float32)


def _textured_tissues(
    axes: Axes, settings: SimulationSettings, *seed_parts: object
) -> list[Tissue]:
    """The subject's tissues, CSF, GM, WM, with parameters (X, Y, Z) that vary in space."""
    tissues = []
    for name in TISSUE_NAMES:
        rng = generator_of(*seed_parts, "tissue", name)
        t1, t2, t2s, pd = np.exp(settings.tissue_spread * rng.standard_normal(4) * [1, 1, 1, 1 / 3])
        water = settings.texture * smooth_field(rng, axes, settings.texture_size)
        base, longer = TISSUES[name], np.exp(water)
        tissues.append(
            Tissue(
                t1=base.t1 * t1 * longer,
                t2=base.t2 * t2 * longer,
                t2s=base.t2s * t2s * longer,
                pd=base.pd * pd * np.exp(water / 3),
            )
        )
    return tissues


def _scan(
    fractions: np.ndarray,
    mask: np.ndarray,
    axes: Axes,
    tissues: list[Tissue],
    modality: str,
    settings: SimulationSettings,
    *seed_parts: object,
) -> np.ndarray:
    """One modality, float32 (X, Y, Z) in scanner units."""
    sequence = sequence_of(modality)
    rng = generator_of(*seed_parts, "scan", modality)
    signal = np.zeros(mask.shape)
    for fraction, tissue in zip(fractions, tissues, strict=True):
        own = settings.own_texture * smooth_field(rng, axes, settings.texture_size)
        signal += fraction * sequence.signal(tissue) * np.exp(own)
    receive = np.exp(settings.bias * smooth_field(rng, axes, settings.bias_size))
    gain = np.exp(settings.gain_spread * rng.standard_normal())
    unit = WHITE_MATTER_UNITS / float(sequence.signal(TISSUES["WM"]))
    ideal = np.abs(signal) * receive * gain * unit
    sigma = float(ideal[mask].mean()) / settings.snr
    return add_rician_noise(ideal.astype(np.float32), sigma, rng) * mask
