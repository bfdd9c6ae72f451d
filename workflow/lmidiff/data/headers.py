"""What a NIfTI header says of where an image lies: checked, mended where safe, or refused."""

import logging
import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError, SpatialImage
from scipy import linalg

from lmidiff.common.errors import StudyError

logger = logging.getLogger("lmidiff")

FORMS_MM = 1.0
"""How far apart sform and qform may put a voxel."""


VOXEL_MM = (0.01, 50.0)
"""Plausible voxel edges; outside, the affine is not in millimetres."""


GRID_TOLERANCE = 0.1
"""How far apart two voxels of one grid may lie, in voxels: what rounding in headers does."""


SHEAR_MM = 0.5


MOST_SHEAR_MM = 2.0
"""How far a voxel may lie from where a grid of right angles has it: in silence, and at most."""


LONGEST = 32767
"""Voxels of an axis: NIfTI-1, which is written, has two bytes for them."""


_GOOD_RAS = 28
"""Where an MGH file has, in two bytes, whether its affine means anything."""

QUATERNION_ROUNDING = 1e-3
"""How much longer than 1 a qform's quaternion may be, squared: by rounded text. It is scaled."""


# What nibabel mends in a header it says in lines of its own, twice; what matters is said here.
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)


class _RoundedHeader(nib.Nifti1Header):
    quaternion_threshold = -QUATERNION_ROUNDING


class _RoundedImage(nib.Nifti1Image):
    """Of a qform whose quaternion is a little longer than 1, and only of such a one.

    nibabel takes what lies within the threshold of 1 for a half turn, and a shorter quaternion
    there has an angle of its own.
    """

    header_class = _RoundedHeader


def load(path: Path) -> SpatialImage:
    """As ``nibabel.load``; a qform's quaternion that rounding made too long is scaled."""
    try:
        return nib.load(path)
    except ValueError as error:
        if "w2 should be positive" not in str(error) or not path.name.endswith((".nii", ".nii.gz")):
            raise
    return _RoundedImage.from_filename(path)


UNITS_MM = {"meter": 1000.0, "micron": 0.001}
"""Units of length that a header may declare in place of millimetres."""


def affine_mm(image: SpatialImage) -> np.ndarray:
    """An image's affine in millimetres, (4, 4) float64, whatever unit its header declares.

    A unit that would make voxels of impossible size is not believed.
    """
    affine = np.asarray(image.affine, dtype=np.float64).copy()
    scale = UNITS_MM.get(_declared_unit(image), 1.0)
    scaled = affine.copy()
    scaled[:3] *= scale
    return scaled if _plausible(scaled) or not _plausible(affine) else affine


def checked_affine(image: SpatialImage, name: str) -> np.ndarray:
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


def check_stored(image: SpatialImage, name: str) -> None:
    """Check the header as it is stored: nibabel replaces numbers that make no sense, and goes on.

    Raises:
        StudyError: voxels would begin within the header, a voxel has no size and no sform says one,
            or an MGH file does not say where it lies.
    """
    unknown = "so left and right are unknown; set it from the original scan"
    if isinstance(image, nib.MGHImage):
        # nibabel sets the flag itself, with an affine of its own.
        with image.file_map["image"].get_prepare_fileobj("rb") as stream:
            good = stream.read(_GOOD_RAS + 2)[_GOOD_RAS:]
        if not int.from_bytes(good, "big"):
            raise StudyError(f"{name}: the header has no affine (goodRASFlag is 0), {unknown}")
        return
    least = int(image.header["sizeof_hdr"]) + 4
    if isinstance(image, nib.Nifti1Image) and image.dataobj.offset < least:
        raise StudyError(
            f"{name}: vox_offset is {image.dataobj.offset}, within the header; set it to {least}, "
            "or export the image again"
        )
    if not int(image.header["sform_code"]) and (image.header["pixdim"][1:4] == 1).any():
        sizes = _stored(image)["pixdim"][1:4]
        if not sizes.all():
            shown = " x ".join(f"{size:g}" for size in sizes)
            raise StudyError(
                f"{name}: the voxel has no size (pixdim {shown}) and there is no sform; set both "
                "from the original scan"
            )


def _stored(image: nib.Nifti1Pair) -> Mapping[str, np.ndarray]:
    """An image's header before nibabel mends it."""
    file = image.file_map["header" if "header" in image.file_map else "image"]
    with file.get_prepare_fileobj("rb") as stream:
        return type(image.header).from_fileobj(stream, check=False)


def spatial_shape(
    shape: tuple[int, ...], name: str, number: int | None = None
) -> tuple[int, int, int]:
    shape = tuple(int(length) for length in shape)
    if any(length < 1 for length in shape) or not shape:
        raise StudyError(f"{name}: shape {shape} has an axis of length 0; export the image again")
    if max(shape) > LONGEST:
        raise StudyError(
            f"{name}: shape {shape} has an axis longer than {LONGEST}, more than NIfTI-1 holds; "
            "resample or crop the image"
        )
    spatial = list(shape)
    while len(spatial) > 3 and spatial[-1] == 1:
        spatial.pop()
    if number is not None and len(spatial) in (3, 4):
        held = spatial[3] if len(spatial) == 4 else 1
        if number >= held:
            raise StudyError(
                f"{name}: shape {shape} has no volume {number}; it holds {held}, and the first is 0"
            )
        return tuple(spatial[:3])
    if len(spatial) == 4:
        raise StudyError(
            f"{name}: shape {shape} holds {spatial[3]} volumes; name one of them, the first is "
            f"{Path(re.sub(r' [(][^()]*[)]$', '', name)).name}#0 (--volume 0)"
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


def coded_qform(image: nib.Nifti1Pair) -> tuple[np.ndarray | None, int]:
    """The qform, (4, 4) in the file's unit, and its code; None and 0 if absent or no rotation."""
    try:
        qform, code = image.header.get_qform(coded=True)
    except (HeaderDataError, ValueError):  # rounded numbers that are no rotation any more
        return None, 0
    return (qform, code) if qform is not None and np.isfinite(qform).all() else (None, 0)


def _plausible(affine: np.ndarray) -> bool:
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.isfinite(edges).all() and (edges >= VOXEL_MM[0]).all()) and bool(
        (edges <= VOXEL_MM[1]).all()
    )


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
    sform, qform = image.header.get_sform(coded=True), coded_qform(image)
    if int(image.header["qform_code"]) and not qform[1]:
        logger.warning("WARNING %s: the qform is no rotation; the sform is used", name)
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


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
