"""NIfTI files that are the same bytes whenever the array and the affine are."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np

from lmidiff.common.errors import StudyError
from lmidiff.common.files import atomic


def write_nifti(path: str | Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Write a NIfTI-1 file atomically, with the same bytes for the same arguments.

    The array's type is kept (bool becomes uint8, float64 becomes float32, other integers of more
    than 32 bits become int32), no intensity scaling is stored, both sform and qform carry
    ``affine`` (code 1, scanner) and the unit is mm. The gzip header has no name and no time.

    Args:
        path: ``.nii`` or ``.nii.gz``; missing folders are made.
        array: voxels, 2 to 4 axes.
        affine: (4, 4) voxel index to mm, RAS.

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
    image = nib.Nifti1Image(_storable(np.asarray(array)), affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units("mm")
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
