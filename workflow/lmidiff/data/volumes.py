"""Reading NIfTI volumes: everything that can be wrong with a file is said in one line."""

import logging
import re
import zlib
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel import orientations
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, HeaderTypeError, SpatialImage
from scipy import linalg, ndimage

from lmidiff.common.errors import StudyError

logger = logging.getLogger("lmidiff")

NEGATIVE_SHARE = 0.01
"""Share of the summed absolute intensity that may be negative and is clipped to 0."""

FORMS_MM = 1.0
"""How far apart sform and qform may put a voxel."""

VOXEL_MM = (0.01, 50.0)
"""Plausible voxel edges; outside, the affine is not in millimetres."""

GRID_TOLERANCE = 0.1
"""How far apart two voxels of one grid may lie, in voxels: what rounding in headers does."""

SHEAR_MM, MOST_SHEAR_MM = 0.5, 2.0
"""How far a voxel may lie from where a grid of right angles has it: in silence, and at most."""

WRAPPED_SHARE = 0.3
"""Integers more negative than this share of the brightest are no undershoot of interpolation."""

PADDED_SHARE = 0.01
"""A constant below zero is padding if so much of the volume has it."""

UNITS_MM = {"meter": 1000.0, "micron": 0.001}
"""Units of length that a header may declare in place of millimetres."""

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


def split_volume(path: str | Path) -> tuple[Path, int | None]:
    """``scan.nii.gz#1`` as the file and the number of a volume in it (the first is 0), else None.

    A file whose own name ends so is that file.
    """
    found = re.fullmatch(r"(.+)#(\d+)", str(path))
    if found is None or Path(path).exists():
        return Path(path), None
    return Path(found[1]), int(found[2])


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
    Around the head, NaN and a constant below zero are air. What is mended here is said in the log.

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
    shape = _spatial_shape(image.shape, name, number)
    affine = _checked_affine(image, name)
    data = _scalars(image, name, number).reshape(shape)
    _warn_of_wraps(image, data, name)
    data = _without_padding(data, name)
    _check_intensities(data, name, flat)
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


def affine_mm(image: SpatialImage) -> np.ndarray:
    """An image's affine in millimetres, (4, 4) float64, whatever unit its header declares.

    A unit that would make voxels of impossible size is not believed.
    """
    affine = np.asarray(image.affine, dtype=np.float64).copy()
    scale = UNITS_MM.get(_declared_unit(image), 1.0)
    scaled = affine.copy()
    scaled[:3] *= scale
    return scaled if _plausible(scaled) or not _plausible(affine) else affine


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


def _open(path: Path, name: str) -> SpatialImage:
    if not path.exists():
        raise StudyError(f"{name}: no such file; correct the path or fetch the data")
    if not path.is_file():
        raise StudyError(f"{name}: is not a file; name one .nii or .nii.gz file")
    if path.stat().st_size == 0:
        raise StudyError(f"{name}: the file is empty (0 bytes); copy or download it again")
    _check_gzip(path, name)
    try:
        image = nib.load(path)
    except (HeaderDataError, ValueError) as error:
        raise StudyError(
            f"{name}: cannot be read: the header's numbers make no sense ({_one_line(error)}); "
            "set qform, sform and scaling from the original scan"
        ) from error
    except _UNREADABLE as error:
        raise StudyError(
            f"{name}: cannot be read as NIfTI ({_one_line(error)}); "
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
            part = ... if number is None else (..., number)
            data = np.asarray(image.dataobj[part]).astype(np.float32)
    except _UNREADABLE as error:
        raise _truncated(name, _one_line(error)) from error
    slope, inter = (getattr(image.dataobj, key, d) for key, d in (("slope", 1), ("inter", 0)))
    if (slope, inter) != (1, 0) and not np.isfinite(data).all():
        raise StudyError(
            f"{name}: scl_slope {slope:g} and scl_inter {inter:g} of the header make values that "
            "overflow; correct them, or convert the image to float again"
        )
    return data


def _spatial_shape(
    shape: tuple[int, ...], name: str, number: int | None = None
) -> tuple[int, int, int]:
    if any(length < 1 for length in shape) or not shape:
        raise StudyError(f"{name}: shape {shape} has an axis of length 0; export the image again")
    spatial = list(shape)
    while len(spatial) > 3 and spatial[-1] == 1:
        spatial.pop()
    if number is not None:
        held = spatial[3] if len(spatial) == 4 else 1
        if len(shape) != 4 or number >= held:
            raise StudyError(
                f"{name}: shape {shape} has no volume {number}; it holds {held}, and the first is 0"
            )
        return tuple(spatial[:3])
    if len(spatial) == 4:
        raise StudyError(
            f"{name}: shape {shape} holds {spatial[3]} volumes; name one of them, the first is "
            f"{Path(name.split(' (')[0]).name}#0 (--volume 0)"
        )
    if len(spatial) != 3:
        raise StudyError(f"{name}: shape {shape} is not 3-D; give one volume of a 3-D image")
    return tuple(spatial)


def _declared_unit(image: SpatialImage) -> str:
    if not isinstance(image, nib.Nifti1Pair):
        return "mm"
    try:
        return image.header.get_xyzt_units()[0]
    except KeyError:  # a code that the standard does not know
        return "unknown"


def _plausible(affine: np.ndarray) -> bool:
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.isfinite(edges).all() and (edges >= VOXEL_MM[0]).all()) and bool(
        (edges <= VOXEL_MM[1]).all()
    )


def _checked_affine(image: SpatialImage, name: str) -> np.ndarray:
    header, paired = image.header, isinstance(image, nib.Nifti1Pair)
    if paired and int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        raise StudyError(
            f"{name}: the header has no affine (qform and sform codes are 0), so left and right "
            "are unknown; set it from the original scan"
        )
    affine = affine_mm(image)
    unit = _declared_unit(image)
    if unit in UNITS_MM and _plausible(affine):
        believed = not np.allclose(affine, image.affine)
        how = "taken so" if believed else "not believed: it would make impossible voxels"
        logger.warning("WARNING %s: the header declares lengths in %s; %s", name, unit, how)
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
    if paired:
        _check_forms(image, name)
    _check_shear(affine, image.shape[:3], name)
    return affine


def _check_shear(affine: np.ndarray, shape: tuple[int, ...], name: str) -> None:
    far = shear_mm(affine, shape)
    if far > MOST_SHEAR_MM:
        raise StudyError(
            f"{name}: the affine is sheared, by {far:.1f} mm across the volume; resample the image "
            "to a grid with right angles"
        )
    if far > SHEAR_MM:
        logger.warning(
            "WARNING %s: the affine is sheared by %.1f mm across; taken for right angles",
            name,
            far,
        )


def shear_mm(affine: np.ndarray, shape: tuple[int, ...]) -> float:
    """How far the last voxel lies from where the nearest grid with right angles has it, in mm."""
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    directions, _ = linalg.polar(affine[:3, :3] / edges)
    far = np.abs(affine[:3, :3] - directions * edges) @ (np.array(shape) - 1)
    return float(np.linalg.norm(far))


def _check_forms(image: nib.Nifti1Image, name: str) -> None:
    """Two codes that say two things: of one kind of space, or with left and right exchanged.

    An sform to a template and a qform to the scanner are both right, and the sform is used. So is
    it where the qform's rounded numbers are no rotation any more, or where a crop has moved the
    origin of one of them alone.
    """
    header = image.header
    try:
        sform, qform = header.get_sform(coded=True), header.get_qform(coded=True)
    except (HeaderDataError, ValueError) as error:
        logger.warning(
            "WARNING %s: the qform is no rotation (%s); the sform is used", name, _one_line(error)
        )
        return
    if not sform[1] or not qform[1]:
        return
    corners = np.array(list(product(*((0, n - 1) for n in image.shape[:3]))))
    far = nib.affines.apply_affine(sform[0], corners) - nib.affines.apply_affine(qform[0], corners)
    worst = float(np.linalg.norm(far, axis=1).max())
    edges = np.linalg.norm(sform[0][:3, :3], axis=0)
    turned = np.abs(sform[0][:3, :3] - qform[0][:3, :3]) @ (np.array(image.shape[:3]) - 1)
    mirrored = np.linalg.det(sform[0][:3, :3]) * np.linalg.det(qform[0][:3, :3]) < 0
    if sform[1] == qform[1] and worst > FORMS_MM and (turned <= GRID_TOLERANCE * edges).all():
        logger.warning(
            "WARNING %s: sform and qform differ in the origin alone (%.0f mm), as after a crop; "
            "the sform is used",
            name,
            worst,
        )
        return
    if mirrored or (sform[1] == qform[1] and worst > FORMS_MM):
        how = "left and right exchanged" if mirrored else f"up to {worst:.0f} mm apart"
        raise StudyError(
            f"{name}: sform and qform disagree ({how}), so where the image lies is unknown; "
            "set both from the original scan"
        )


def _outside(data: np.ndarray, air: np.ndarray) -> np.ndarray:
    """Of ``air``, what reaches the edge of the field of view through air (or zeros).

    Along an axis of one or two slices everything is at the edge, so that axis does not count.
    """
    seed = np.zeros(data.shape, bool)
    for axis, length in enumerate(data.shape):
        if length > 2:
            for place in (0, length - 1):
                seed[(slice(None),) * axis + (place,)] = True
    passable = air | (data == 0)
    return ndimage.binary_propagation(seed & passable, mask=passable) & air


def _is_padding(data: np.ndarray, constant: np.ndarray) -> bool:
    """Whether all that is negative is one constant, and so much that no accident explains it."""
    return bool((constant | ~(data < 0)).all()) and constant.sum() >= PADDED_SHARE * data.size


def _without_padding(data: np.ndarray, name: str) -> np.ndarray:
    """NaN, or one constant below zero, around the head as 0; anything within it stays."""
    lowest = np.nanmin(data) if np.isfinite(data).any() else np.nan
    constant = data == lowest
    if not (np.isfinite(lowest) and lowest < 0 and _is_padding(data, constant)):
        constant[:] = False
    for air, value in ((np.isnan(data), "NaN"), (constant, f"{lowest:g}")):
        outside = _outside(np.where(air, 1, data), air)
        if outside.any() and not outside.all():
            count = int(outside.sum())
            logger.warning("WARNING %s: %d voxels around the head are %s: air", name, count, value)
            data = np.where(outside, np.float32(0), data)
    return data


def _warn_of_wraps(image: SpatialImage, data: np.ndarray, name: str) -> None:
    """Say where integers have wrapped: far below zero, where no interpolation takes a value."""
    if image.get_data_dtype().kind != "i" or not np.isfinite(data).all():
        return
    low, high = float(data.min()), float(data.max())
    far = data < -WRAPPED_SHARE * high
    if low >= 0 or not far.any() or _is_padding(data, data == low):
        return
    logger.warning(
        "WARNING %s: %d voxels are far below zero (lowest %g), as integers that overflowed are; "
        "export the image again as unsigned or float",
        name,
        int(far.sum()),
        low,
    )


def _check_finite(data: np.ndarray, name: str) -> None:
    bad = data.size - int(np.isfinite(data).sum())
    if bad:
        raise StudyError(
            f"{name}: {bad} voxels are NaN or infinite, within the head too; replace them, for "
            "example by 0"
        )


def _check_intensities(data: np.ndarray, name: str, flat: bool = False) -> None:
    _check_finite(data, name)
    low, high = float(data.min()), float(data.max())
    if low == high and not flat:
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
        raise _truncated(name, _one_line(error)) from error
    except OSError as error:
        raise StudyError(f"{name}: cannot be read ({error.strerror}); check its rights") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
