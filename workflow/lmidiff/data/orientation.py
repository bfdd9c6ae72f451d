"""Between the study's volumes (RAS) and SimpleITK's (LPS), and back into a file's own axes."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nibabel import orientations
from scipy import linalg

from lmidiff.common.errors import StudyError
from lmidiff.common.files import split_volume
from lmidiff.data.headers import MOST_SHEAR_MM, affine_mm, coded_qform, load, shear_mm
from lmidiff.data.volumes import Volume

RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns coordinates of one convention into the other."""


@dataclass(frozen=True)
class OwnSpace:
    """How a file stores its volume.

    Attributes:
        shape: of the file, or of the volume taken from it: three axes, and more of length 1 where
            the file has them.
        affine: (4, 4) of the file, voxels to RAS mm.
        forms: the file's sform and qform, each a (4, 4) in the file's own unit and its code; None
            where the file has none.
        unit: of length, as NIfTI names it.
    """

    shape: tuple[int, ...]
    affine: np.ndarray
    forms: tuple[tuple[np.ndarray | None, int], tuple[np.ndarray | None, int]] | None = None
    unit: str = "mm"

    def restore(self, canonical: np.ndarray) -> np.ndarray:
        """Permute and flip an array on the axes of :func:`read_volume` to those of the file."""
        there = orientations.io_orientation(self.affine)
        back = orientations.ornt_transform(orientations.axcodes2ornt("RAS"), there)
        stored = orientations.apply_orientation(canonical, back)
        return np.ascontiguousarray(stored).reshape(self.shape)


def own_space(path: str | Path) -> OwnSpace:
    """The axes of a file that :func:`lmidiff.data.volumes.read_volume` could read."""
    file, number = split_volume(path)
    image = load(file)
    shape = tuple(image.shape if number is None else image.shape[:3])
    affine = affine_mm(image)
    if not isinstance(image, nib.Nifti1Pair):
        return OwnSpace(shape, affine)
    header = image.header
    sform = header.get_sform(coded=True)
    try:
        unit = header.get_xyzt_units()[0]
    except KeyError:
        unit = "unknown"
    return OwnSpace(shape, affine, (sform, coded_qform(image)), unit)


def to_itk(data: np.ndarray, affine: np.ndarray, name: str = "volume") -> sitk.Image:
    """A SimpleITK image of an array (X, Y, Z) and its RAS affine; bool becomes uint8.

    Raises:
        StudyError: the affine is sheared, for which SimpleITK has no room.
    """
    directions, edges = _straight(affine, data.shape, name)
    kind = np.uint8 if data.dtype == bool else np.float32
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T, dtype=kind))
    image.SetSpacing(edges.tolist())
    image.SetOrigin((RAS_LPS @ affine)[:3, 3].tolist())
    image.SetDirection((RAS_LPS[:3, :3] @ directions).ravel().tolist())
    return image


def volume_to_itk(volume: Volume) -> sitk.Image:
    """:func:`to_itk` of a volume."""
    return to_itk(volume.data, volume.affine, volume.name)


def from_itk(image: sitk.Image) -> np.ndarray:
    """The array (X, Y, Z) of a SimpleITK image."""
    return np.ascontiguousarray(sitk.GetArrayFromImage(image).T)


def itk_transform(matrix: np.ndarray) -> sitk.AffineTransform:
    """A (4, 4) matrix between RAS worlds as a SimpleITK transform between LPS worlds."""
    inside = RAS_LPS @ matrix @ RAS_LPS
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(inside[:3, :3].ravel().tolist())
    transform.SetTranslation(inside[:3, 3].tolist())
    return transform


def matrix_of(transform: sitk.Transform) -> np.ndarray:
    """The (4, 4) RAS matrix of a linear SimpleITK transform."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    for axis, step in enumerate(np.eye(3)):
        matrix[:3, axis] = np.array(transform.TransformPoint(step.tolist())) - origin
    matrix[:3, 3] = origin
    return RAS_LPS @ matrix @ RAS_LPS


def _straight(
    affine: np.ndarray, shape: tuple[int, ...], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest orthonormal axes of an affine, and the voxel's edges."""
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    directions, _ = linalg.polar(affine[:3, :3] / edges)
    far = shear_mm(affine, shape)
    if far > MOST_SHEAR_MM:
        raise StudyError(
            f"{name}: the affine is sheared, by {far:.1f} mm across the volume; "
            "resample the image to a grid with right angles"
        )
    return directions, edges
