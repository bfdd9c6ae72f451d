"""From the raw scans of one person to corrected scans on one grid, with the brain found.

Each scan by itself: axes closest to RAS (nothing resampled), brain mask, N4. Then every scan is
laid over the *reference*, which is the study's first source. A translation is made from a source
and is looked at over it, so the source is the image that must not be resampled before it reaches
the study grid. Further sources and the target are interpolated once (cubic B-spline) onto the
reference's grid; their rigid transforms are written, so that a translation of any of them can be
taken back into its own space.

The brain of the person is what every scan shows as brain, so that what one contrast takes for brain
(orbits in FLAIR, marrow in T1w) is left out. Labels and a mask belong to the scan on whose grid
they lie.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from lmidiff.common.errors import StudyError
from lmidiff.common.files import write_text
from lmidiff.common.progress import Progress
from lmidiff.data.bias import correct_bias
from lmidiff.data.brain import find_brain
from lmidiff.data.nifti import write_nifti
from lmidiff.data.orientation import itk_transform
from lmidiff.data.quality import ScanQuality, scan_quality
from lmidiff.data.registration import register, resample_onto
from lmidiff.data.volumes import Volume, brain_of, require_same_grid, same_grid

LEAST_SLICES = 5
"""A scan of fewer slices, along any axis, shows too little to say how a head is turned."""


@dataclass(frozen=True)
class AlignedSubject:
    """One person's scans on the reference's grid.

    Attributes:
        images: modality to volume, bias-corrected; the reference is the first.
        brains: modality to (X, Y, Z) bool, the brain found in each scan, on the scan's own grid.
        transforms: modality to (4, 4), where a point of the reference's world (RAS mm) lies in
            the world of that scan; the identity for the reference.
        quality: one entry a scan, the reference first.
        brain: (X, Y, Z) bool on the reference's grid, what is brain in every scan.
        labels: the tissue labels on the reference's grid, if there are any.
    """

    images: dict[str, Volume]
    brains: dict[str, np.ndarray]
    transforms: dict[str, np.ndarray]
    quality: list[ScanQuality]
    brain: np.ndarray
    labels: Volume | None = None


def align_subject(
    scans: Mapping[str, Volume],
    reference: str,
    mask: Volume | None = None,
    labels: Volume | None = None,
) -> AlignedSubject:
    """Mask, correct and align the raw scans of one person.

    Args:
        scans: modality to raw scan, each on its own grid.
        reference: the modality that the others are laid over.
        mask: the brain in the scan on whose grid it lies, if it is known; found if None.
        labels: tissue labels on the grid of one of the scans.

    Raises:
        StudyError: the reference is missing, two scans are one image, a scan shows no brain, mask
            or labels lie on the grid of no scan, two scans cannot be brought to overlap, or a scan
            or its brain has too few slices for that.
    """
    if reference not in scans:
        raise StudyError(f"no {reference} scan among {', '.join(scans)}; it is the reference")
    _check_distinct(scans)
    if len(scans) > 1:
        for scan in scans.values():
            _check_thick(scan)
    order = [reference, *(name for name in scans if name != reference)]
    masked, labelled = (_owner(volume, order, scans) for volume in (mask, labels))
    progress = Progress(f"align {scans[reference].name}", 2 * len(order), every=4.0)
    brains: dict[str, np.ndarray] = {}
    corrected: dict[str, Volume] = {}
    fields: dict[str, np.ndarray] = {}
    for name in order:
        if name == masked:
            brains[name] = brain_of(mask)
        else:
            brains[name] = find_brain(scans[name])
        if len(scans) > 1:
            _check_brain(brains[name], mask.name if name == masked else scans[name].name)
        progress.step(f"{name}: brain found")
        corrected[name], fields[name] = correct_bias(scans[name], brains[name])
        progress.step(f"{name}: receive field corrected")
    still, brain = corrected[reference], brains[reference]
    images, transforms = {reference: still}, {reference: np.eye(4)}
    quality = [scan_quality(reference, scans[reference], still, brain, fields[reference])]
    shared = brain
    for name in order[1:]:
        found = register(still, brain, corrected[name], brains[name])
        moved = resample_onto(corrected[name], found.matrix, still)
        images[name] = Volume(moved, still.affine, scans[name].name)
        transforms[name] = found.matrix
        entry = scan_quality(name, scans[name], corrected[name], brains[name], fields[name], found)
        quality.append(entry)
        shared = shared & _carried(corrected[name], brains[name], found.matrix, still)
    if labels is not None and labelled != reference:
        moved = resample_onto(labels, transforms[labelled], still, order=0)
        labels = Volume(np.rint(moved), still.affine, labels.name)
    return AlignedSubject(images, brains, transforms, quality, shared, labels)


def write_aligned(
    subject: AlignedSubject,
    images: Mapping[str, str | Path],
    mask: str | Path,
    labels: str | Path | None = None,
) -> None:
    """Write the volumes on the reference's grid.

    Args:
        subject: what to write.
        images: modality to NIfTI file.
        mask: NIfTI file of the brain.
        labels: NIfTI file of the labels, if the subject has any.
    """
    for name, path in images.items():
        write_nifti(path, subject.images[name].data, subject.images[name].affine)
    reference = next(iter(subject.images.values()))
    write_nifti(mask, subject.brain, reference.affine)
    if labels is not None and subject.labels is not None:
        write_nifti(labels, subject.labels.data.astype(np.uint8), reference.affine)


def write_transform(path: str | Path, matrix: np.ndarray) -> None:
    """Write a (4, 4) RAS matrix as an ITK transform (LPS), which ANTs, Slicer and SimpleITK read.

    As ITK has it, the transform maps points of the reference into the other scan, so resampling
    that scan onto the reference takes the file as it is.
    """
    # SimpleITK ends the process where a name is not UTF-8.
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "xfm.tfm"
        sitk.WriteTransform(itk_transform(matrix), str(plain))
        write_text(path, plain.read_text())


def _check_distinct(scans: Mapping[str, Volume]) -> None:
    """Raise StudyError if two scans hold the same voxels, as copies of one file do."""
    for (one, first), (other, second) in combinations(scans.items(), 2):
        if np.array_equal(first.data, second.data):
            raise StudyError(
                f"{second.name} shows the same voxels as {first.name}: one image as {one} and as "
                f"{other}; name each contrast's own file"
            )


def _check_thick(scan: Volume) -> None:
    if min(scan.data.shape) < LEAST_SLICES:
        raise StudyError(
            f"{scan.name}: shape {scan.data.shape} is too thin to register; it takes "
            f"{LEAST_SLICES} slices"
        )


def _check_brain(brain: np.ndarray, name: str) -> None:
    extent = tuple(int(np.ptp(places)) + 1 for places in np.nonzero(brain))
    if min(extent) < LEAST_SLICES:
        shown = " x ".join(map(str, extent))
        raise StudyError(
            f"{name}: the brain is {shown} voxels, too small to register; it takes {LEAST_SLICES} "
            "along every axis"
        )


def _owner(volume: Volume | None, order: Sequence[str], scans: Mapping[str, Volume]) -> str | None:
    """The first scan on whose grid a volume lies."""
    if volume is None:
        return None
    fits = [name for name in order if same_grid(scans[name], volume)]
    if not fits:
        require_same_grid(scans[order[0]], volume)  # which says where it lies instead
    return fits[0]


def _carried(scan: Volume, brain: np.ndarray, matrix: np.ndarray, still: Volume) -> np.ndarray:
    """The brain of a scan on the reference's grid, (X, Y, Z) bool."""
    volume = Volume(brain.astype(np.float32), scan.affine, scan.name)
    return resample_onto(volume, matrix, still, order=1) > 0.5
