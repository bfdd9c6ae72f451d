"""From aligned volumes of one subject to the study grid: mask, resample, scale to 0..1."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from lmidiff.common.errors import StudyError
from lmidiff.common.regions import BRAIN, HEAD
from lmidiff.data.dlmuse import is_dlmuse, tissues_of
from lmidiff.data.foreground import DARKEST, head_mask
from lmidiff.data.grid import MIN_AREA, Grid
from lmidiff.data.nifti import write_nifti
from lmidiff.data.splits import kept_slices
from lmidiff.data.volumes import Volume, brain_of, require_same_grid

TISSUES = (1, 2, 3)
"""Label values: cerebrospinal fluid, grey matter, white matter; 0 is everything else."""

PIXEL_TOLERANCE_MM = 1e-3

FULL_SHARE = 0.9
"""A mask of nonzero voxels that fills more than this of the volume saw no empty background."""


@dataclass(frozen=True)
class PreprocessedSubject:
    """One subject on the study grid, axes right, anterior, superior.

    Attributes:
        images: modality to (S, S, Z) float32 in 0..1, 0 outside the mask, or outside the head.
        tops: modality to the intensity of the scan that became 1.
        mask: (S, S, Z) bool, the brain.
        labels: (S, S, Z) uint8 of 0 and ``TISSUES``, 0 outside the mask; None without labels.
        affine: (4, 4) voxel indices to RAS mm.
        lesions: (S, S, Z) bool, False outside the mask; None where nobody marked any.
    """

    images: dict[str, np.ndarray]
    tops: dict[str, float]
    mask: np.ndarray
    labels: np.ndarray | None
    affine: np.ndarray
    lesions: np.ndarray | None = None


def preprocess_subject(
    images: Mapping[str, Volume],
    labels: Volume | None,
    mask: Volume | None,
    grid: Grid,
    *,
    percentile: float = 99.5,
    lesions: Volume | None = None,
    field: str = BRAIN,
    every: int = 1,
) -> PreprocessedSubject:
    """Bring the aligned volumes of one subject to the study grid and to intensities of 0..1.

    1. Brain mask: ``mask`` above 0.5, or :func:`brain_mask` of the first image.
    2. Grid: slices evenly over ``grid.extent`` of the brain's height, centred in plane on the
       bounding box of the mask between them. It keeps the axes of the volume, so an oblique
       scan is not turned. Pixels of the size of the voxels are put on voxels (by a shift of up
       to half of one), so that the image is cropped, not interpolated, in plane.
    3. Resampling: Gaussian of 0.5 sqrt(r^2 - 1) voxels in plane where a pixel is r > 1 voxels,
       then linear interpolation. Mask: above 0.5 after that. Labels: the largest of the
       tissues' shares after that. Volumes already of the grid's shape and pixel size are left
       as they are.
    4. Intensity: :func:`normalise` over the brain of all slices of the grid; or, if the field is
       the head, over :func:`lmidiff.data.foreground.head_mask`, and no pixel of that is darker than
       :data:`lmidiff.data.foreground.DARKEST`: whoever takes 0 for air takes no bone for it.
    5. Slices: the middle one of every so many.

    Args:
        images: modality to volume, at least one, all on one voxel grid; the first is the source.
        labels: tissue labels on the same voxel grid, values 0 and ``TISSUES``, or DLMUSE's.
        mask: brain mask on the same voxel grid; needed unless the first image is skull-stripped.
        grid: the study grid.
        percentile: the intensity that becomes 1, in (0, 100].
        lesions: above 0.5 where there is one, on the same voxel grid; treated as the mask is.
        field: "brain" or "head", what the images keep.
        every: of how many slices of the grid one is kept, see :func:`.splits.kept_slices`.

    Raises:
        StudyError: volumes on different grids, labels other than the above, an empty mask, a
            brain that does not fit the grid, an image that is zero within the brain, no slice kept;
            no mask, or no head around the brain, where the field is the head.
    """
    reference = next(iter(images.values()))
    for other in (*images.values(), *filter(None, (labels, mask, lesions))):
        require_same_grid(reference, other)
    if labels is not None and is_dlmuse(labels.data):
        labels = replace(labels, data=tissues_of(labels.data))
    if labels is not None and not np.isin(labels.data, (0, *TISSUES)).all():
        odd = sorted(set(np.unique(labels.data).tolist()) - {0, *TISSUES})
        raise StudyError(
            f"{labels.name}: holds label {odd[0]:g}; use 1 for CSF, 2 for GM, 3 for WM, 0 elsewhere"
        )
    masked = (mask or reference).name
    if field == HEAD and mask is None:
        raise StudyError(
            f"{reference.name}: no brain mask, and data.field is {HEAD}; name one in the sheet's "
            f"mask column, or set data.field: {BRAIN}"
        )
    brain = brain_mask(reference) if mask is None else brain_of(mask)
    if _on_grid(reference, grid):
        affine = reference.affine
        on_grid = {modality: volume.data for modality, volume in images.items()}
        tissues = None if labels is None else labels.data.astype(np.uint8)
        marked = None if lesions is None else lesions.data > 0.5
    else:
        start, step = _place(brain, reference.voxel_mm, grid, masked)
        affine = reference.affine @ np.block([[np.diag(step), start[:, None]], [0, 0, 0, 1]])
        on_grid = {m: _resample(volume.data, start, step, grid) for m, volume in images.items()}
        tissues = None if labels is None else _resample_labels(labels.data, start, step, grid=grid)
        brain = _resample(brain, start, step, grid) > 0.5
        if lesions is not None:
            marked = _resample(lesions.data > 0.5, start, step, grid) > 0.5
    if not brain.any():
        raise StudyError(
            f"{masked}: the brain mask is empty in the slices; check it, or the extent"
        )
    shown, darkest = brain, 0.0
    if field == HEAD:
        shown = head_mask(on_grid.values(), brain, grid.pixel_size, reference.name)
        darkest = DARKEST
    tops = {m: top_of(data, shown, percentile, images[m].name) for m, data in on_grid.items()}
    whole = PreprocessedSubject(
        images={m: scaled(data, shown, tops[m], darkest) for m, data in on_grid.items()},
        tops=tops,
        mask=brain,
        labels=None if tissues is None else np.where(brain, tissues, 0).astype(np.uint8),
        affine=affine,
        lesions=None if lesions is None else marked & brain,
    )
    return whole if every == 1 else _thinned(whole, every)


def brain_mask(image: Volume) -> np.ndarray:
    """The brain in a skull-stripped image: (X, Y, Z) bool.

    Its nonzero voxels, the largest 6-connected component, with what it encloses in each axial
    slice filled in (fluid can be zero, and ventricles are open in a stack of few slices).

    Raises:
        StudyError: no zero background, as in an image that is not skull-stripped.
    """
    components, count = ndimage.label(image.data > 0)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    if sizes.sum() > FULL_SHARE * components.size:
        raise StudyError(
            f"{image.name}: the background is not zero, so the brain cannot be told from it; "
            "strip the skull, or give a brain mask in the sheet's mask column"
        )
    brain = components == sizes.argmax() if count else np.zeros(components.shape, bool)
    for z in range(brain.shape[2]):
        brain[:, :, z] = ndimage.binary_fill_holes(brain[:, :, z])
    return brain


def normalise(data: np.ndarray, mask: np.ndarray, percentile: float = 99.5) -> np.ndarray:
    """:func:`scaled` by :func:`top_of`; applying the rule twice is applying it once."""
    return scaled(data, mask, top_of(data, mask, percentile))


def scaled(data: np.ndarray, mask: np.ndarray, top: float, darkest: float = 0.0) -> np.ndarray:
    """Divide by ``top``, clip to ``darkest``..1, zero outside of the mask.

    Args:
        data: (X, Y, Z), any non-negative intensities.
        mask: (X, Y, Z) bool: the brain, or the head.
        top: the intensity that becomes 1.
        darkest: what a darker voxel of the mask becomes, below 1.

    Returns:
        (X, Y, Z) float32 in 0..1.
    """
    return np.where(mask, np.clip(data / top, darkest, 1), 0).astype(np.float32)


def top_of(data: np.ndarray, mask: np.ndarray, percentile: float, name: str = "image") -> float:
    """The intensity that becomes 1: the largest order statistic at or below a percentile.

    Args:
        data: (X, Y, Z), any non-negative intensities.
        mask: (X, Y, Z) bool, not empty: the brain, or the head.
        percentile: in (0, 100].
        name: what messages call the image.

    Raises:
        StudyError: the percentile is out of range, or the intensity at it is 0.
    """
    if not 0 < percentile <= 100:
        raise StudyError(f"intensity percentile {percentile} must lie above 0 and at most at 100")
    top = np.percentile(data[mask], percentile, method="lower")
    if not top > 0:
        raise StudyError(
            f"{name}: the {percentile:g}th percentile of the brain is zero; "
            "check that image and brain mask lie on each other"
        )
    return float(top)


def write_preprocessed(
    subject: PreprocessedSubject, folder: str | Path, subject_id: str
) -> list[Path]:
    """Write a subject as NIfTI files, each atomically.

    Returns:
        ``{subject_id}_{modality}.nii.gz`` (float32) in the order of the images, then
        ``..._desc-brain_mask.nii.gz`` and, with labels, ``..._dseg.nii.gz``, with lesions,
        ``..._desc-lesion_mask.nii.gz`` (uint8).

    Raises:
        StudyError: a file cannot be written.
    """
    arrays = dict(subject.images) | {"desc-brain_mask": subject.mask.astype(np.uint8)}
    if subject.labels is not None:
        arrays["dseg"] = subject.labels
    if subject.lesions is not None:
        arrays["desc-lesion_mask"] = subject.lesions.astype(np.uint8)
    paths = {name: Path(folder) / f"{subject_id}_{name}.nii.gz" for name in arrays}
    for name, array in arrays.items():
        write_nifti(paths[name], array, subject.affine)
    return list(paths.values())


def _thinned(subject: PreprocessedSubject, every: int) -> PreprocessedSubject:
    kept = kept_slices(subject.mask.shape[2], every)
    axial = np.s_[:, :, kept.start :: every]
    moved = np.diag([1.0, 1.0, every, 1.0])
    moved[2, 3] = kept.start
    return PreprocessedSubject(
        {
            modality: np.ascontiguousarray(image[axial])
            for modality, image in subject.images.items()
        },
        subject.tops,
        subject.mask[axial],
        None if subject.labels is None else subject.labels[axial],
        subject.affine @ moved,
        None if subject.lesions is None else subject.lesions[axial],
    )


def _on_grid(volume: Volume, grid: Grid) -> bool:
    pixels = np.abs(volume.voxel_mm[:2] - grid.pixel_size)
    return volume.data.shape == (grid.image_size, grid.image_size, grid.slices) and bool(
        (pixels <= PIXEL_TOLERANCE_MM).all()
    )


def _place(
    brain: np.ndarray, voxel_mm: np.ndarray, grid: Grid, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Where the grid lies in the volume: its first pixel and its step, in voxel indices."""
    area = brain.sum(axis=(0, 1))
    heights = np.flatnonzero(area >= MIN_AREA * area.max())
    first, last = (
        float(heights[0] + fraction * (heights[-1] - heights[0])) for fraction in grid.extent
    )
    shadow = brain[:, :, int(np.floor(first)) : int(np.ceil(last)) + 1].any(axis=2)
    if not shadow.any():
        raise StudyError(f"{name}: the brain mask is empty in the slices; check it, or the extent")
    ends = [np.flatnonzero(shadow.any(axis=other))[[0, -1]] for other in (1, 0)]
    size = np.array([end[1] - end[0] + 1 for end in ends]) * voxel_mm[:2]
    field = grid.image_size * grid.pixel_size
    if (size > field + PIXEL_TOLERANCE_MM).any():
        raise StudyError(
            f"{name}: the brain is {size[0]:.0f} x {size[1]:.0f} mm in plane, the grid's field of "
            f"view {field:g} mm; check that the mask holds the brain alone and that the header has "
            "it upright, or, in a study, raise image_size or pixel_size"
        )

    step = np.full(3, grid.pixel_size) / voxel_mm
    start = np.array([*map(np.mean, ends), 0.0]) - step * (grid.image_size - 1) / 2
    same = np.abs(voxel_mm - grid.pixel_size) <= PIXEL_TOLERANCE_MM
    step[same], start[same] = 1.0, np.floor(start[same])

    if grid.slices == 1:
        start[2], step[2] = (first + last) / 2, 1.0
    elif first == last:
        raise StudyError(
            f"{name}: the brain is one voxel high, the grid asks for {grid.slices} slices; "
            "give a 3-D image or ask for one slice"
        )
    else:
        start[2], step[2] = first, (last - first) / (grid.slices - 1)
    return start, step


def _resample(data: np.ndarray, start: np.ndarray, step: np.ndarray, grid: Grid) -> np.ndarray:
    """(S, S, Z) float32 of ``data`` on the grid; 0 beyond the volume.

    Works in voxel indices, because SimpleITK's world has no room for a sheared affine.
    """
    bottom = max(int(np.floor(start[2])), 0)
    top = int(np.ceil(start[2] + step[2] * (grid.slices - 1))) + 1
    image = sitk.GetImageFromArray(
        np.ascontiguousarray(data[:, :, bottom : top + 1].T, dtype=np.float32)
    )
    # What a box of one voxel still lacks, in variance, of a Gaussian for a pixel of r voxels.
    variance = 0.25 * np.maximum(step**2 - 1, 0)
    # Slices are thin samples of the brain, not slabs.
    variance[2] = 0
    if variance.any():
        image = sitk.DiscreteGaussian(
            image,
            variance=variance.tolist(),
            maximumKernelWidth=64,
            maximumError=1e-4,
            useImageSpacing=False,
        )
    resampled = sitk.Resample(
        image,
        (grid.image_size, grid.image_size, grid.slices),
        sitk.Transform(),
        sitk.sitkLinear,
        (start - (0, 0, bottom)).tolist(),
        step.tolist(),
    )
    return sitk.GetArrayFromImage(resampled).T


def _resample_labels(data: np.ndarray, *place: np.ndarray, grid: Grid) -> np.ndarray:
    """(S, S, Z) uint8: the label with the largest share of the pixel, the lowest in a tie."""
    shares = [_resample(data == label, *place, grid) for label in (0, *TISSUES)]
    # Beyond the volume every share is 0, and argmax falls on label 0, as it should.
    return np.argmax(shares, axis=0).astype(np.uint8)
