"""MR images of an anatomy: tissue signal, texture, bias field and noise, in scanner units."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy import ndimage

from lmidiff.common.errors import StudyError
from lmidiff.common.seeds import generator_of
from lmidiff.data.anatomy import Anatomy
from lmidiff.data.fields import smooth_field
from lmidiff.data.lesion_balls import Ball, lesion_balls, lesion_share
from lmidiff.data.nifti import write_nifti
from lmidiff.data.sequences import (
    LESION,
    STRUCTURES,
    TISSUE_NAMES,
    TISSUES,
    Sequence,
    Tissue,
    sequence_of,
)
from lmidiff.data.whole_head import AROUND

Axes = tuple[np.ndarray, ...]

WHITE_MATTER_UNITS = 700.0
"""Scanner units that nominal white matter has in every modality, before the random gain."""

_PARAMETERS = ("t1", "t2", "pd")

_RANGES = {
    "tissue_spread": (0.0, 0.2),
    "texture": (0.0, 0.3),
    "texture_size": (2.0, 40.0),
    "own_texture": (0.0, 0.3),
    "bias": (0.0, 0.5),
    "bias_size": (40.0, 80.0),
    "gain_spread": (0.0, 0.5),
    "snr": (5.0, 1000.0),
    "common_texture": (0.0, 1.0),
    "structures": (0.0, 2.0),
    "protocol_spread": (0.0, 0.3),
    "misalignment": (0.0, 3.0),
    "lesions": (0.0, 100.0),
    "slice_thickness": (0.0, 10.0),
    "atrophy": (0.0, 2.0),
}


@dataclass(frozen=True)
class SimulationSettings:
    """How a simulated scan departs from an ideal one.

    Attributes:
        tissue_spread: standard deviation, 0..0.2, of the logarithm of each tissue's T1, T2, T2*
            and PD between subjects (PD a third of it).
        texture: standard deviation, 0..0.3, of the logarithm of T1, T2 and T2* within a tissue
            (PD a third of it). Of one field a tissue and subject, as far as it is common: where
            there is more water T1w darkens while PDw and T2w brighten.
        texture_size: lattice spacing of the texture in mm, 2..40.
        own_texture: standard deviation, 0..0.3, of the logarithm of a multiplicative texture
            that each modality has to itself.
        bias: standard deviation, 0..0.5, of the logarithm of the receive field, one a modality.
        bias_size: lattice spacing of the receive field in mm, 40..80.
        gain_spread: standard deviation, 0..0.5, of the logarithm of an image's overall gain.
        snr: mean brain signal over the noise's standard deviation in one channel, 5..1000.
        common_texture: share, 0..1, of the texture's variance that T1, T2 (with T2*) and PD have in
            common; the rest each has to itself, as myelin, iron and water do.
        structures: how far, 0..2, grey structures depart from cortex, 1 being
            :data:`lmidiff.data.sequences.STRUCTURES`.
        protocol_spread: standard deviation, 0..0.3, of the logarithm of each sequence parameter
            (flip angle: half of it) between subjects.
        misalignment: mm, 0..3, by which each scan is shifted in plane, in a direction of its own.
        lesions: mean number, 0..100, of white-matter lesions of 2 to 6 mm radius a subject.
        slice_thickness: mm, 0..10, over which each scan averages the signal through plane; labels
            and mask stay those of the grid's slices. 0: as thick as these.
        atrophy: mm, 0..2, that CSF widens at most (:func:`lmidiff.data.atrophy.widened`); how far
            it does is drawn for each subject, evenly from 0.

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
    common_texture: float = 1.0
    structures: float = 0.0
    protocol_spread: float = 0.0
    misalignment: float = 0.0
    lesions: float = 0.0
    slice_thickness: float = 0.0
    atrophy: float = 0.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value, (low, high) = getattr(self, entry.name), _RANGES[entry.name]
            if not low <= value <= high:
                raise StudyError(f"{entry.name}: {value} is outside {low}..{high}")

    def of_anatomy(self, *seed_parts: object) -> dict[str, float]:
        """What the anatomy of a subject is made with, keywords of :func:`icbm_anatomy`."""
        drawn = generator_of(*seed_parts, "atrophy").uniform() if self.atrophy else 0.0
        return {"slice_thickness": self.slice_thickness, "atrophy": self.atrophy * drawn}


@dataclass(frozen=True)
class SimulatedSubject:
    """One person's images.

    Attributes:
        images: modality name to float32 (X, Y, Z), scanner units >= 0; 0 outside ``mask``, or of
            the whole head with the noise of the air around it, if the anatomy has one.
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
    with f the tissue fractions, S the modality's signal equation, by the subject's protocol, at the
    subject's textured tissue parameters, u the modality's own texture, b its receive field and g
    its gain. If the anatomy comes in slabs, the sum is their mean, with its sign, as a thick slice
    averages it.

    The tissue parameters depend on ``seed_parts`` alone and everything else also on the
    modality's name, so adding a modality changes no other image.

    Args:
        anatomy: tissue fractions and affine, and the slabs that scans average.
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
    axes = _axes(anatomy)
    lesions = lesion_balls(anatomy.fractions[2], axes, settings.lesions, *seed_parts)
    slabs = [
        (slab, _textured_tissues(slab, lesions, settings, *seed_parts))
        for slab in anatomy.slabs or (anatomy,)
    ]
    images = {name: _scan(slabs, mask, axes, name, settings, *seed_parts) for name in modalities}
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


def _axes(anatomy: Anatomy) -> Axes:
    """Coordinates in mm of the voxels along each axis."""
    start, step = anatomy.affine[:3, 3], np.diag(anatomy.affine)
    shape = anatomy.fractions.shape[1:]
    return tuple(start[i] + step[i] * np.arange(n) for i, n in enumerate(shape))


def _textured_tissues(
    anatomy: Anatomy, lesions: list[Ball], settings: SimulationSettings, *seed_parts: object
) -> list[Tissue]:
    """The subject's tissues, CSF, GM, WM, with parameters (X, Y, Z) that vary in space.

    Then, if the anatomy has a head, those of :data:`lmidiff.data.whole_head.AROUND`.
    """
    axes = _axes(anatomy)
    tissues = []
    for name in TISSUE_NAMES:
        here = _departures(name, anatomy, lesions, settings)
        tissues.append(_textured(name, TISSUES[name], here, axes, settings, *seed_parts))
    around = AROUND if anatomy.head is not None else ()
    for number, base in enumerate(around):
        name = f"head {number}"
        tissues.append(_textured(name, base, [1.0, 1.0, 1.0], axes, settings, *seed_parts))
    return tissues


def _textured(
    name: str,
    base: Tissue,
    here: list[np.ndarray | float],
    axes: Axes,
    settings: SimulationSettings,
    *seed_parts: object,
) -> Tissue:
    """A tissue of the subject: ``base`` with texture; ``here`` are factors on T1, T2 and PD."""
    rng = generator_of(*seed_parts, "tissue", name)
    person = np.exp(settings.tissue_spread * rng.standard_normal(4) * [1, 1, 1, 1 / 3])
    water = settings.texture * smooth_field(rng, axes, settings.texture_size)
    t1, t2, pd = (_own_part(water, axes, settings, name, p, *seed_parts) for p in _PARAMETERS)
    return Tissue(
        t1=base.t1 * person[0] * np.exp(t1) * here[0],
        t2=base.t2 * person[1] * np.exp(t2) * here[1],
        t2s=base.t2s * person[2] * np.exp(t2) * here[1],
        pd=base.pd * person[3] * np.exp(pd / 3) * here[2],
    )


def _own_part(
    water: np.ndarray,
    axes: Axes,
    settings: SimulationSettings,
    tissue: str,
    parameter: str,
    *seed_parts: object,
) -> np.ndarray:
    """A parameter's texture: what all have in common, and what it has to itself."""
    common = settings.common_texture
    if common == 1:
        return water
    rng = generator_of(*seed_parts, "texture", tissue, parameter)
    own = settings.texture * smooth_field(rng, axes, settings.texture_size)
    return np.sqrt(common) * water + np.sqrt(1 - common) * own


def _departures(
    tissue: str, anatomy: Anatomy, lesions: list[Ball], settings: SimulationSettings
) -> list[np.ndarray | float]:
    """Factors on T1, T2 and PD of a tissue: its structures in grey, lesions in white matter."""
    exponents = [0.0, 0.0, 0.0]
    if tissue == "GM" and settings.structures and anatomy.structures is not None:
        grey = np.maximum(anatomy.fractions.sum(axis=0), 1e-6)
        for share, factors in zip(anatomy.structures, STRUCTURES.values(), strict=True):
            part = settings.structures * np.clip(share / grey, 0, 1)
            exponents = [e + part * np.log(f) for e, f in zip(exponents, factors, strict=True)]
    if tissue == "WM" and settings.lesions:
        share = lesion_share(lesions, _axes(anatomy))
        exponents = [share * np.log(factor) for factor in LESION]
    return [np.exp(exponent) for exponent in exponents]


def _signal(
    fraction: np.ndarray,
    tissue: Tissue,
    sequence: Sequence,
    axes: Axes,
    settings: SimulationSettings,
    rng: np.random.Generator,
) -> np.ndarray:
    """What a tissue gives in a scan, with the scan's own texture."""
    own = settings.own_texture * smooth_field(rng, axes, settings.texture_size)
    return fraction * sequence.signal(tissue) * np.exp(own)


def _scan(
    slabs: list[tuple[Anatomy, list[Tissue]]],
    mask: np.ndarray,
    axes: Axes,
    modality: str,
    settings: SimulationSettings,
    *seed_parts: object,
) -> np.ndarray:
    """One modality, float32 (X, Y, Z) in scanner units: the mean of its slabs."""
    sequence = _protocol(modality, settings.protocol_spread, *seed_parts)
    signal = np.zeros(mask.shape)
    for slab, tissues in slabs:
        rng = generator_of(*seed_parts, "scan", modality)  # all slabs lie in the same fields
        at = _axes(slab)
        inner = tissues[: len(TISSUE_NAMES)]
        for fraction, tissue in zip(slab.fractions, inner, strict=True):
            signal += _signal(fraction, tissue, sequence, at, settings, rng)
        if slab.head is not None:
            # Lots of their own, so that the brain is the same with and without its head.
            lots = generator_of(*seed_parts, "scan", modality, "head")
            outer = [tissues[0], *tissues[len(TISSUE_NAMES) :]]
            for fraction, tissue in zip(slab.head, outer, strict=True):
                signal += _signal(fraction, tissue, sequence, at, settings, lots)
    signal /= len(slabs)
    receive = np.exp(settings.bias * smooth_field(rng, axes, settings.bias_size))
    gain = np.exp(settings.gain_spread * rng.standard_normal())
    unit = WHITE_MATTER_UNITS / float(sequence.signal(TISSUES["WM"]))
    ideal = np.abs(signal) * receive * gain * unit
    if settings.misalignment:
        angle = generator_of(*seed_parts, "shift", modality).uniform(0, 2 * np.pi)
        moved = settings.misalignment * np.array([np.cos(angle), np.sin(angle)])
        steps = [moved[i] / (axes[i][1] - axes[i][0]) for i in range(2)]
        ideal = ndimage.shift(ideal, [*steps, 0], order=1, mode="nearest")
    sigma = float(ideal[mask].mean()) / settings.snr
    noisy = add_rician_noise(ideal.astype(np.float32), sigma, rng)
    return noisy * mask if slabs[0][0].head is None else noisy


def _protocol(modality: str, spread: float, *seed_parts: object) -> Sequence:
    """The sequence by which a subject is scanned."""
    sequence = sequence_of(modality)
    if not spread:
        return sequence
    rng = generator_of(*seed_parts, "protocol", modality)
    scale = [0.5 if name == "flip" else 1.0 for name in sequence.parameters]
    return sequence.varied(np.exp(spread * rng.standard_normal(len(scale)) * scale))
