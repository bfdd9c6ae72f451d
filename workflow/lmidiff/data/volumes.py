"""Reading NIfTI volumes: everything that can be wrong with a file is said in one line."""

import gzip
import zlib
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel import orientations
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, HeaderTypeError

from lmidiff.common.errors import StudyError

NEGATIVE_SHARE = 0.01
"""Share of the summed absolute intensity that may be negative and is clipped to 0."""

FORMS_MM = 1.0
"""How far apart sform and qform may put a voxel."""

VOXEL_MM = (0.01, 50.0)
"""Plausible voxel edges; outside, the affine is not in millimetres."""

GRID_TOLERANCE_MM = 1e-3

_UNREADABLE = (
    ImageFileError,
    HeaderDataError,
    HeaderTypeError,
    ValueError,
    OSError,
    EOFError,
    MemoryError,
    zlib.error,
)


@dataclass(frozen=True)
class Volume:
    """A 3-D scalar image, axes closest to right, anterior, superior.

    Attributes:
        data: (X, Y, Z) float32, finite, at least 0.
        affine: (4, 4) float64, voxel indices to RAS millimetres.
        name: what messages call it: the file, the subject and its role.
    """

    data: np.ndarray
    affine: np.ndarray
    name: str = "volume"

    @property
    def voxel_mm(self) -> np.ndarray:
        """(3,) edge lengths of a voxel in millimetres."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)


def describe(path: str | Path, subject: str = "", role: str = "") -> str:
    """How messages name a file: ``path (subject role)``."""
    who = " ".join(part for part in (subject, role) if part)
    return f"{path} ({who})" if who else str(path)


def read_volume(path: str | Path, *, subject: str = "", role: str = "") -> Volume:
    """Read a NIfTI volume, its axes permuted and flipped to the closest RAS, nothing resampled.

    Trailing axes of length 1 are dropped. Negative intensities, as interpolation leaves them,
    are clipped to 0 when they hold at most ``NEGATIVE_SHARE`` of the summed absolute intensity.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file.
        subject, role: who and what it is, for messages only.

    Raises:
        StudyError: one line that names the file: missing, empty, truncated, not NIfTI, not 3-D,
            a zero-length axis, not scalar, NaN or infinite, constant, more negative than above,
            an absent or degenerate affine, or an sform and a qform that disagree.
    """
    name = describe(path, subject, role)
    image = _open(Path(path), name)
    shape = _spatial_shape(image.shape, name)
    affine = _checked_affine(image, name)
    data = _scalars(image, name).reshape(shape)
    _check_intensities(data, name)
    orientation = orientations.io_orientation(affine)
    canonical = orientations.apply_orientation(np.maximum(data, 0), orientation)
    affine = affine @ orientations.inv_ornt_aff(orientation, shape)
    return Volume(np.ascontiguousarray(canonical), affine, name)


def read_array(path: str | Path) -> np.ndarray:
    """The float32 (X, Y, Z) array of one of the study's own NIfTI files, axes as stored.

    For files that the study has written: no reorientation, and constant images are fine.

    Raises:
        StudyError: missing, empty, truncated, not NIfTI, not 3-D, NaN or infinite.
    """
    name = str(path)
    image = _open(Path(path), name)
    shape = _spatial_shape(image.shape, name)
    data = _scalars(image, name).reshape(shape)
    _check_finite(data, name)
    return data


def read_affine(path: str | Path) -> np.ndarray:
    """The (4, 4) affine of one of the study's own NIfTI files."""
    return nib.load(path).affine


def require_same_grid(reference: Volume, other: Volume) -> None:
    """Check that two volumes of a subject lie voxel on voxel.

    Raises:
        StudyError: the shapes differ, or a corner voxel lies more than ``GRID_TOLERANCE_MM``
            away from its counterpart.
    """
    shapes = f"shapes {reference.data.shape} and {other.data.shape}"
    mend = "register them first, or resample one onto the other"
    if reference.data.shape != other.data.shape:
        raise StudyError(f"{other.name} is not on the grid of {reference.name}: {shapes}; {mend}")
    last = np.array(reference.data.shape) - 1
    corners = np.array([[*(last * corner), 1] for corner in product((0, 1), repeat=3)])
    shifts = corners @ (reference.affine - other.affine)[:3].T
    worst = float(np.linalg.norm(shifts, axis=1).max())
    if worst > GRID_TOLERANCE_MM:
        raise StudyError(
            f"{other.name} is not on the grid of {reference.name}: {shapes}, "
            f"affines up to {worst:.3g} mm apart; {mend}"
        )


def _open(path: Path, name: str) -> nib.Nifti1Image:
    if not path.exists():
        raise StudyError(f"{name}: no such file; correct the path or fetch the data")
    if not path.is_file():
        raise StudyError(f"{name}: is not a file; name one .nii or .nii.gz file")
    if path.stat().st_size == 0:
        raise StudyError(f"{name}: the file is empty (0 bytes); copy or download it again")
    _check_gzip(path, name)
    try:
        image = nib.load(path)
    except _UNREADABLE as error:
        raise StudyError(
            f"{name}: cannot be read as NIfTI ({_one_line(error)}); "
            "give a .nii or .nii.gz file, or copy it again"
        ) from error
    if not isinstance(image, nib.Nifti1Image):
        raise StudyError(
            f"{name}: is {type(image).__name__}, not NIfTI; convert it to .nii or .nii.gz"
        )
    return image


def _scalars(image: nib.Nifti1Image, name: str) -> np.ndarray:
    """The voxels as float32, in the shape stored."""
    if image.get_data_dtype().kind not in "iuf":
        raise StudyError(
            f"{name}: voxels are {image.get_data_dtype()}, not numbers; "
            "convert it to one scalar a voxel"
        )
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.asarray(image.dataobj)
            data = values.astype(np.float32)
    except _UNREADABLE as error:
        raise _truncated(name, _one_line(error)) from error
    slope, inter = image.dataobj.slope, image.dataobj.inter
    if (slope, inter) != (1, 0) and not np.isfinite(data).all():
        raise StudyError(
            f"{name}: scl_slope {slope:g} and scl_inter {inter:g} of the header make values that "
            "overflow; correct them, or convert the image to float again"
        )
    return data


def _spatial_shape(shape: tuple[int, ...], name: str) -> tuple[int, int, int]:
    if any(length < 1 for length in shape) or not shape:
        raise StudyError(f"{name}: shape {shape} has an axis of length 0; export the image again")
    spatial = list(shape)
    while len(spatial) > 3 and spatial[-1] == 1:
        spatial.pop()
    if len(spatial) != 3:
        raise StudyError(f"{name}: shape {shape} is not 3-D; give one volume of a 3-D image")
    return tuple(spatial)


def _checked_affine(image: nib.Nifti1Image, name: str) -> np.ndarray:
    header = image.header
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        raise StudyError(
            f"{name}: the header has no affine (qform and sform codes are 0), so left and right "
            "are unknown; set it from the original scan"
        )
    affine = np.asarray(image.affine, dtype=np.float64)
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = VOXEL_MM
    # The determinant of the unit axes is 1 when they are orthogonal, 0 when two coincide.
    with np.errstate(invalid="ignore", divide="ignore"):
        volume = abs(np.linalg.det(affine[:3, :3] / edges)) if np.isfinite(affine).all() else 0.0
    if not volume > 1e-3 or not ((edges >= low) & (edges <= high)).all():
        sizes = " x ".join(f"{edge:.4g}" for edge in edges)
        raise StudyError(
            f"{name}: the affine is degenerate (voxel {sizes} mm); "
            "set it from the original scan, in millimetres"
        )
    _check_forms(image, name)
    return affine


def _check_forms(image: nib.Nifti1Image, name: str) -> None:
    """Two codes that say two things: of one kind of space, or with left and right exchanged.

    An sform to a template and a qform to the scanner are both right, and the sform is used.
    """
    header = image.header
    sform, qform = header.get_sform(coded=True), header.get_qform(coded=True)
    if not sform[1] or not qform[1]:
        return
    corners = np.array(list(product(*((0, n - 1) for n in image.shape[:3]))))
    far = nib.affines.apply_affine(sform[0], corners) - nib.affines.apply_affine(qform[0], corners)
    worst = float(np.linalg.norm(far, axis=1).max())
    mirrored = np.linalg.det(sform[0][:3, :3]) * np.linalg.det(qform[0][:3, :3]) < 0
    if mirrored or (sform[1] == qform[1] and worst > FORMS_MM):
        how = "left and right exchanged" if mirrored else f"up to {worst:.0f} mm apart"
        raise StudyError(
            f"{name}: sform and qform disagree ({how}), so where the image lies is unknown; "
            "set both from the original scan"
        )


def _check_finite(data: np.ndarray, name: str) -> None:
    bad = data.size - int(np.isfinite(data).sum())
    if bad:
        raise StudyError(
            f"{name}: {bad} voxels are NaN or infinite; replace them, for example by 0"
        )


def _check_intensities(data: np.ndarray, name: str) -> None:
    _check_finite(data, name)
    low, high = float(data.min()), float(data.max())
    if low == high:
        raise StudyError(
            f"{name}: every voxel is {low:g}; the image shows nothing, export it again"
        )
    if low < 0:
        negative = -float(data.sum(where=data < 0, dtype=np.float64))
        share = negative / float(np.abs(data).sum(dtype=np.float64))
        if share > NEGATIVE_SHARE:
            raise StudyError(
                f"{name}: negative values hold {share:.0%} of the intensity (lowest {low:.4g}); "
                "give magnitudes, not z-scores or other shifted values"
            )


def _truncated(name: str, reason: str = "") -> StudyError:
    detail = f" ({reason})" if reason else ""
    return StudyError(f"{name}: the file is truncated or damaged{detail}; copy it again")


def _check_gzip(path: Path, name: str) -> None:
    """Read a gzip to its checksum: nibabel stops before it, and would take damage for voxels."""
    try:
        with path.open("rb") as stream:
            if stream.read(2) != b"\x1f\x8b":
                return
        with gzip.open(path) as stream:
            while stream.read(1 << 20):
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _truncated(name, _one_line(error)) from error
    except OSError as error:
        raise StudyError(f"{name}: cannot be read ({error.strerror}); check its rights") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
