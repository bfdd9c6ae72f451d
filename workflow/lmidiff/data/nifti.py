"""NIfTI files that are the same bytes whenever the array and the affine are."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np

from lmidiff.common.errors import StudyError
from lmidiff.common.files import atomic

Forms = tuple[tuple[np.ndarray | None, int], tuple[np.ndarray | None, int]]


def write_nifti(
    path: str | Path,
    array: np.ndarray,
    affine: np.ndarray,
    *,
    forms: Forms | None = None,
    unit: str = "mm",
) -> None:
    """Write a NIfTI-1 file atomically, with the same bytes for the same arguments.

    The array's type is kept (bool becomes uint8, float64 becomes float32, other integers of more
    than 32 bits become int32), no intensity scaling is stored, both sform and qform carry
    ``affine`` (code 1, scanner) unless ``forms`` says otherwise. The gzip header has no name and
    no time.

    Args:
        path: ``.nii`` or ``.nii.gz``; missing folders are made.
        array: voxels, 2 to 4 axes.
        affine: (4, 4) voxel index to mm, RAS.
        forms: sform and qform, each a (4, 4) and its code, in ``unit``; code 0 leaves one out.
        unit: of length: "mm", "micron", "meter" or "unknown".

    Raises:
        StudyError: the name is not NIfTI, the affine is not invertible, or the file cannot be
            written.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise StudyError(f"{path}: a NIfTI file must end in .nii or .nii.gz")
    affine = np.asarray(affine, dtype=np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or np.linalg.det(affine) == 0:
        raise StudyError(f"{path}: the affine is not an invertible 4 x 4 matrix")
    (sform, sform_code), (qform, qform_code) = forms or ((affine, 1), (affine, 1))
    # nibabel writes an image's affine over a form that differs: it is the one that readers take.
    stored = sform if sform_code else qform if qform_code else affine
    image = nib.Nifti1Image(_storable(np.asarray(array)), stored)
    image.set_sform(sform, code=sform_code, update_affine=False)
    image.set_qform(qform, code=qform_code, update_affine=False)
    image.header.set_xyzt_units(unit)
    data = image.to_bytes()
    if path.name.endswith(".gz"):
        data = gzip.compress(data, compresslevel=6, mtime=0)
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def _storable(array: np.ndarray) -> np.ndarray:
    """The array in a type that every NIfTI reader opens."""
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.dtype.kind == "f" and array.dtype.itemsize != 4:
        return array.astype(np.float32)
    if array.dtype.kind in "iu" and array.dtype.itemsize > 4:
        return array.astype(np.int32)
    return array
