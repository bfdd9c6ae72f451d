"""Reading NIfTI volumes: everything that can be wrong with a file is said in one line."""

import logging
import warnings
import zlib
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel import orientations
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, HeaderTypeError, SpatialImage

from lmidiff.common.errors import StudyError
from lmidiff.common.files import split_volume
from lmidiff.data.headers import (
    GRID_TOLERANCE,
    affine_mm,
    check_stored,
    checked_affine,
    load,
    one_line,
    spatial_shape,
)
from lmidiff.data.voxels import check_finite, check_intensities, warn_of_wraps, without_padding

logger = logging.getLogger("lmidiff")


_UNREADABLE = (
    ImageFileError,
    HeaderDataError,
    HeaderTypeError,
    ValueError,
    OSError,
    EOFError,
    MemoryError,
    OverflowError,
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


def read_volume(
    path: str | Path, *, subject: str = "", role: str = "", flat: bool = False
) -> Volume:
    """Read a NIfTI volume, its axes permuted and flipped to the closest RAS, nothing resampled.

    Trailing axes of length 1 are dropped. Negative intensities, as interpolation leaves them,
    are clipped to 0 when they hold at most ``NEGATIVE_SHARE`` of the summed absolute intensity.
    Around the head, what is not finite and a constant below zero are air. What is
    mended here is said in the log.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file, a NIfTI pair or an ``.mgz``; ``#1`` after the name
            takes the second volume of a file that holds several.
        subject, role: who and what it is, for messages only.
        flat: one value everywhere is no error, as in a mask of a scan that was cut to the brain.

    Raises:
        StudyError: one line that names the file: missing, empty, truncated, not NIfTI, not 3-D,
            a zero-length axis, not scalar, NaN or infinite, constant, more negative than above,
            an absent or degenerate affine, or an sform and a qform that disagree.
    """
    name = describe(path, subject, role)
    file, number = split_volume(path)
    image = _open(file, name)
    shape = spatial_shape(image.shape, name, number)
    check_stored(image, name)
    affine = checked_affine(image, name)
    data = _scalars(image, name, number).reshape(shape)
    warn_of_wraps(image, data, name)
    data = without_padding(data, name)
    check_intensities(data, name, flat)
    orientation = orientations.io_orientation(affine)
    canonical = orientations.apply_orientation(np.maximum(data, 0), orientation)
    affine = affine @ orientations.inv_ornt_aff(orientation, shape)
    return Volume(np.ascontiguousarray(canonical), affine, name)


def brain_of(mask: Volume) -> np.ndarray:
    """The brain of a mask, (X, Y, Z) bool: above 0.5.

    Raises:
        StudyError: the mask selects nothing.
    """
    brain = mask.data > 0.5
    if not brain.any():
        raise StudyError(
            f"{mask.name}: the mask selects nothing: its highest value is {mask.data.max():g}, and "
            "brain is above 0.5; scale it to 0 and 1"
        )
    if brain.all():
        logger.warning("WARNING %s: the mask takes the whole image for brain", mask.name)
    return brain


def check_header(path: str | Path) -> None:
    """Raise StudyError if a scan is missing, or not read by what its header says of its shape."""
    file, number = split_volume(path)
    spatial_shape(_open(file, str(path)).shape, str(path), number)


def read_array(path: str | Path) -> np.ndarray:
    """The float32 (X, Y, Z) array of one of the study's own NIfTI files, axes as stored.

    For files that the study has written: no reorientation, and constant images are fine.

    Raises:
        StudyError: missing, empty, truncated, not NIfTI, not 3-D, NaN or infinite.
    """
    data, _ = read_stored(path)
    check_finite(data, str(path))
    return data


def read_stored(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """The float32 (X, Y, Z) array of a file, axes as stored, and its (4, 4) affine, unchecked.

    Args:
        path: as :func:`read_volume` takes it, ``#1`` included.

    Raises:
        StudyError: missing, empty, truncated, not NIfTI, not 3-D, not scalar.
    """
    name = str(path)
    file, number = split_volume(path)
    image = _open(file, name)
    shape = spatial_shape(image.shape, name, number)
    data = _scalars(image, name, number).reshape(shape)
    return data, affine_mm(image)


def check_place(path: str | Path) -> None:
    """Warn of a header by which commands that need to know where a scan lies would refuse it."""
    try:
        checked_affine(_open(split_volume(path)[0], str(path)), str(path))
    except StudyError as error:
        logger.warning("WARNING %s; shown as nibabel places it", error)


def read_affine(path: str | Path) -> np.ndarray:
    """The (4, 4) affine of one of the study's own NIfTI files."""
    return nib.load(path).affine


def require_same_grid(reference: Volume, other: Volume) -> None:
    """Check that two volumes of a subject lie voxel on voxel.

    Raises:
        StudyError: the shapes differ, or a corner voxel lies more than ``GRID_TOLERANCE`` of a
            voxel away from its counterpart.
    """
    shapes = f"shapes {reference.data.shape} and {other.data.shape}"
    mend = "register them first, or resample one onto the other"
    if reference.data.shape != other.data.shape:
        raise StudyError(f"{other.name} is not on the grid of {reference.name}: {shapes}; {mend}")
    last = np.array(reference.data.shape) - 1
    corners = np.array([[*(last * corner), 1] for corner in product((0, 1), repeat=3)])
    shifts = corners @ (reference.affine - other.affine)[:3].T
    worst = float(np.linalg.norm(shifts, axis=1).max())
    if worst > GRID_TOLERANCE * float(reference.voxel_mm.min()):
        raise StudyError(
            f"{other.name} is not on the grid of {reference.name}: {shapes}, "
            f"affines up to {worst:.3g} mm apart; {mend}"
        )


def same_grid(reference: Volume, other: Volume) -> bool:
    """Whether two volumes lie voxel on voxel, see :func:`require_same_grid`."""
    try:
        require_same_grid(reference, other)
    except StudyError:
        return False
    return True


def _open(path: Path, name: str) -> SpatialImage:
    if not path.exists():
        raise StudyError(f"{name}: no such file; correct the path or fetch the data")
    if not path.is_file():
        raise StudyError(f"{name}: is not a file; name one .nii or .nii.gz file")
    if path.stat().st_size == 0:
        raise StudyError(f"{name}: the file is empty (0 bytes); copy or download it again")
    _check_name(path, name)
    _check_gzip(path, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a reader's own lines
            image = load(path)
    except (HeaderDataError, ValueError, OverflowError) as error:
        raise StudyError(
            f"{name}: cannot be read: the header's numbers make no sense ({one_line(error)}); "
            "set qform, sform and scaling from the original scan"
        ) from error
    except MemoryError:
        raise  # said as what it is
    except Exception as error:  # nibabel's readers of other formats raise whatever they meet
        raise StudyError(
            f"{name}: cannot be read as NIfTI ({one_line(error)}); "
            "give a .nii or .nii.gz file, or copy it again"
        ) from error
    if isinstance(image, nib.AnalyzeImage) and not isinstance(image, nib.Nifti1Pair):
        raise StudyError(
            f"{name}: is an Analyze pair, whose header does not tell left from right; convert it "
            "with the program that wrote it, or with nib-convert and an affine set by hand"
        )
    if not isinstance(image, (nib.Nifti1Pair, nib.MGHImage)):
        raise StudyError(
            f"{name}: is {type(image).__name__}, which is not read here; convert it to .nii or "
            ".nii.gz (nib-convert, mri_convert)"
        )
    return image


def _scalars(image: SpatialImage, name: str, number: int | None = None) -> np.ndarray:
    """The voxels as float32: of the volume of that number, or all in the shape stored."""
    if image.get_data_dtype().kind not in "iuf":
        raise StudyError(
            f"{name}: voxels are {image.get_data_dtype()}, not numbers; "
            "convert it to one scalar a voxel"
        )
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            part = ... if number is None else np.index_exp[:, :, :, number][: len(image.shape)]
            data = np.asarray(image.dataobj[part]).astype(np.float32)
    except MemoryError as error:
        raise StudyError(
            f"{name}: shape {image.shape} does not fit into memory; give more, or, if the shape is "
            "wrong, copy the file again"
        ) from error
    except _UNREADABLE as error:
        if isinstance(error, OSError) and error.errno:  # the system's word, not nibabel's
            raise StudyError(
                f"{name}: cannot be read ({error.filename}: {error.strerror}); check its rights"
            ) from error
        raise _truncated(name, one_line(error)) from error
    slope, inter = (getattr(image.dataobj, key, d) for key, d in (("slope", 1), ("inter", 0)))
    if (slope, inter) != (1, 0) and not np.isfinite(data).all():
        raise StudyError(
            f"{name}: scl_slope {slope:g} and scl_inter {inter:g} of the header make values that "
            "overflow; correct them, or convert the image to float again"
        )
    return data


def _truncated(name: str, reason: str = "") -> StudyError:
    detail = f" ({reason})" if reason else ""
    return StudyError(f"{name}: the file is truncated or damaged{detail}; copy it again")


_PLAIN = {".nii.gz": ".nii", ".mgz": ".mgh"}
_HALVES = ((".hdr", ".img"), (".img", ".hdr"), (".hdr.gz", ".img.gz"), (".img.gz", ".hdr.gz"))
_FIRST_BYTES = {(size).to_bytes(4, order) for size in (348, 540) for order in ("little", "big")}
_FIRST_BYTES.add((1).to_bytes(4, "big"))
"""How an uncompressed NIfTI, or an MGH file, begins."""


def _check_name(path: Path, name: str) -> None:
    """Raise StudyError where the name says that a file is compressed, or has a half, and not so."""
    for half, other in _HALVES:
        partner = path.with_name(path.name.removesuffix(half) + other)
        if path.name.endswith(half) and not partner.exists():
            raise StudyError(f"{name}: {partner.name} is missing beside it; copy both halves")
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError:
        return  # said by who reads it whole
    for packed, plain in _PLAIN.items():
        if path.name.endswith(packed) and start in _FIRST_BYTES:
            right = path.name.removesuffix(packed) + plain
            raise StudyError(f"{name}: is not compressed, as its name says; rename it to {right}")
        if path.name.endswith(plain) and start.startswith(b"\x1f\x8b"):
            right = path.name.removesuffix(plain) + packed
            raise StudyError(
                f"{name}: is compressed, as its name does not say; rename it to {right}"
            )


def _check_gzip(path: Path, name: str) -> None:
    """Read a gzip to its checksum: nibabel stops before it, and would take damage for voxels.

    Bytes after a whole file are none of it.
    """
    try:
        with path.open("rb") as stream:
            block = stream.read(1 << 20)
            if not block.startswith(b"\x1f\x8b"):
                return
            member, whole = zlib.decompressobj(zlib.MAX_WBITS | 16), False
            while block:
                member.decompress(block)
                whole |= member.eof
                rest = member.unused_data
                if member.eof and rest.lstrip(b"\0") and not rest.startswith(b"\x1f\x8b"):
                    logger.warning("WARNING %s: bytes after the end of the gzip; left out", name)
                    return
                if member.eof and rest.startswith(b"\x1f\x8b"):
                    member, block = zlib.decompressobj(zlib.MAX_WBITS | 16), rest
                    continue
                block = stream.read(1 << 20)
            if not member.eof:
                raise _truncated(name, "the gzip ends too early")
    except zlib.error as error:
        raise _truncated(name, one_line(error)) from error
    except OSError as error:
        raise StudyError(f"{name}: cannot be read ({error.strerror}); check its rights") from error
