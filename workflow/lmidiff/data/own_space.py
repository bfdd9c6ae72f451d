"""A raw scan on the way to the methods and back: its slices, and volumes over it in any viewer."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage

from lmidiff.common.errors import StudyError
from lmidiff.data.bias import correct_bias
from lmidiff.data.brain import find_brain
from lmidiff.data.grid import MIN_AREA, MOST_SLICES, Grid
from lmidiff.data.nifti import write_nifti
from lmidiff.data.orientation import OwnSpace, from_itk, own_space, to_itk
from lmidiff.data.preprocess import PreprocessedSubject, preprocess_subject, scaled
from lmidiff.data.upright import is_cut, lies_otherwise
from lmidiff.data.volumes import Volume, brain_of, read_volume, require_same_grid
from lmidiff.data.voxels import MOST_EVEN, even_share

_MIN_SHARE = 0.05
"""Where less of a pixel is brain, there is nothing to interpolate from."""

_IMAGE = "image"

BRAIN_ML = (600.0, 2300.0)
"""Volumes of brains, with the fluid around them."""


CONTRAST = (0.3, 1.8)
"""Contrast of a brain, see :func:`contrast_of`. Of 98 real T1w, PDw, T2w and FLAIR scans none lies
outside: they have .47 to 1.38."""

LEAST_PLANES = 8
"""A scan of fewer planes is a slab, which nobody takes for a whole brain."""


@dataclass(frozen=True)
class OwnScan:
    """A raw scan, masked and corrected, and how its file stores it.

    Attributes:
        volume: bias-corrected, axes closest to RAS.
        brain: (X, Y, Z) bool on the same axes.
        space: the file's own axes.
        found: whether the brain was looked for, not given.
        even: share of the brain's voxels that are their neighbours' equals, as they were read.
        axes: see :func:`~lmidiff.data.upright.lies_otherwise`, which knows scans as they are read:
            what the correction makes of a head around its brain is like no head.
    """

    volume: Volume
    brain: np.ndarray
    space: OwnSpace
    found: bool = False
    even: float = 0.0
    axes: str = ""

    def write(self, path: str | Path, values: np.ndarray) -> None:
        """Write an array on the axes of ``volume`` as a file that lies where the scan's does.

        Raises:
            StudyError: a number is not finite, or the file cannot be written.
        """
        if not np.isfinite(values).all():
            raise StudyError(
                f"{self.volume.name}: the result has NaN or infinite voxels, so {path} is not "
                "written; look at the scan, and at the weights and their config.json"
            )
        space = self.space
        values = space.restore(values)
        write_nifti(path, values, space.affine, forms=space.forms, unit=space.unit)


def read_own(path: str | Path, mask: str | Path | None = None, *, ready: bool = False) -> OwnScan:
    """Read a raw scan, find its brain and correct its receive field, as a study does.

    Args:
        path: the scan.
        mask: the brain on the scan's grid, if it is known; found if None.
        ready: the scan is a translation: 0..1 and 0 outside the brain. It is left as it is.

    Raises:
        StudyError: the scan or the mask cannot be used, or no brain is found.
    """
    scan = read_volume(path)
    if ready:
        brain = scan.data > 0
        axes = lies_otherwise(scan.data, brain, scan.affine)
        return OwnScan(scan, brain, own_space(path), axes=axes)
    if mask is None:
        brain = find_brain(scan)
    else:
        given = read_volume(mask, role="mask", flat=True)
        require_same_grid(scan, given)
        brain = brain_of(given)
    corrected, _ = correct_bias(scan, brain)
    even = even_share(scan.data, brain)
    axes = lies_otherwise(scan.data, brain, scan.affine)
    return OwnScan(corrected, brain, own_space(path), mask is None, even, axes)


def to_slices(
    scan: OwnScan, *, image_size: int, pixel_size: float, spacing: float, percentile: float
) -> PreprocessedSubject:
    """All axial slices of the brain on the grid that a model knows.

    Args:
        scan: the scan.
        image_size, pixel_size: of the model's slices, in pixels and mm.
        spacing: mm from slice to slice; more, if there would be more than ``MOST_SLICES``.
        percentile: the intensity that becomes 1.
    """
    area = scan.brain.sum(axis=(0, 1))
    heights = np.flatnonzero(area >= MIN_AREA * area.max())
    height = float(heights[-1] - heights[0]) * float(scan.volume.voxel_mm[2])
    slices = min(1 + round(height / spacing), MOST_SLICES)
    grid = Grid(image_size, pixel_size, slices, (0.0, 1.0))
    mask = Volume(scan.brain.astype(np.float32), scan.volume.affine, scan.volume.name)
    return preprocess_subject({_IMAGE: scan.volume}, None, mask, grid, percentile=percentile)


def stack_of(slices: PreprocessedSubject) -> torch.Tensor:
    """The slices for a method: (Z, 1, S, S) float32."""
    image = torch.from_numpy(slices.images[_IMAGE])
    return image.permute(2, 0, 1).unsqueeze(1).contiguous()


def normalised(scan: OwnScan, slices: PreprocessedSubject) -> np.ndarray:
    """The scan at its own resolution, its intensities divided as those of its ``slices`` were.

    A percentile of its own voxels would be another: they are noisier than pixels.

    Returns:
        (X, Y, Z) float32 in 0..1, 0 outside the brain.
    """
    return scaled(scan.volume.data, scan.brain, slices.tops[_IMAGE])


def back(scan: OwnScan, slices: PreprocessedSubject, stack: torch.Tensor) -> np.ndarray:
    """Slices taken back to the voxels of the scan.

    Linear between pixels of the brain; pixels outside it do not count, so the brain's rim is not
    darkened by the air.

    Args:
        scan: where the slices came from.
        slices: what :func:`to_slices` gave.
        stack: (Z, 1, S, S), one value a pixel.

    Returns:
        (X, Y, Z) float32 on the axes of ``scan.volume``, 0 outside the brain and above and below
        the slices.
    """
    values = stack.detach()[:, 0].permute(1, 2, 0).cpu().numpy()
    weighted, share = (
        _resampled(data, slices.affine, scan.volume)
        for data in (np.where(slices.mask, values, 0), slices.mask)
    )
    inside = scan.brain & (share > _MIN_SHARE)
    return np.where(inside, weighted / np.maximum(share, _MIN_SHARE), 0).astype(np.float32)


def check_plausible(scan: OwnScan) -> list[str]:
    """What is odd about the brain of a scan, a line each; nothing where nothing is.

    Raises:
        StudyError: the brain was looked for in the scan, and what was found is no brain's size
            though the field of view does not cut it.
    """
    ml = float(scan.brain.sum()) * float(np.prod(scan.volume.voxel_mm)) / 1000
    low, high = BRAIN_ML
    said = []
    turned = (
        f"{scan.volume.name}: the brain does not lie as the header says: its right, front and "
        f"top seem to be the header's {scan.axes}; correct the header, or the result is nonsense"
    )
    if not low <= ml <= high:
        if scan.found and scan.axes:
            raise StudyError(turned)
        if scan.found and (ml > high or not is_cut(scan.brain)):
            raise StudyError(
                f"{scan.volume.name}: the brain found has {ml:.0f} ml, where brains have "
                f"{low:.0f} to {high:.0f}; the scan may be no magnitude image (MP2RAGE's uniform "
                "image, say); give a brain mask"
            )
        said.append(f"{scan.volume.name}: the brain has {ml:.0f} ml; look at the mask")
    if is_cut(scan.brain) and min(scan.brain.shape) >= LEAST_PLANES:
        said.append(
            f"{scan.volume.name}: the field of view cuts the brain; what lies beyond is missing, "
            "and statistics of the whole brain are of the rest"
        )
    contrast = contrast_of(scan.volume.data, scan.brain)
    if not CONTRAST[0] <= contrast <= CONTRAST[1]:
        said.append(
            f"{scan.volume.name}: its contrast ({contrast:.2f}) is none that this was tried on "
            f"({CONTRAST[0]:g} to {CONTRAST[1]:g}); look at the result before you use it"
        )
    if scan.even > MOST_EVEN:
        said.append(
            f"{scan.volume.name}: {scan.even:.0%} of the brain's voxels equal all their "
            "neighbours, as in a map of labels; give the scan itself"
        )
    return [*said, turned] if scan.axes else said


def contrast_of(image: np.ndarray, brain: np.ndarray) -> float:
    """95th less 5th percentile over the median, inside the brain's rim; infinite if that is 0."""
    inner = ndimage.binary_erosion(brain, np.ones((3, 3, 1)))
    low, middle, high = np.percentile(image[inner if inner.any() else brain], (5, 50, 95))
    return float((high - low) / middle) if middle > 0 else float("inf")


def _resampled(data: np.ndarray, affine: np.ndarray, onto: Volume) -> np.ndarray:
    # The edge slices and pixels continue for half of one.
    padded = np.pad(data.astype(np.float32), 1, mode="edge")
    moved = affine.copy()
    moved[:3, 3] -= affine[:3, :3].sum(axis=1)
    grid = to_itk(np.zeros(onto.data.shape, bool), onto.affine, onto.name)
    image = sitk.Resample(
        to_itk(padded, moved, onto.name),
        grid,
        sitk.Transform(),
        sitk.sitkLinear,
        0.0,
        sitk.sitkFloat32,
    )
    return from_itk(image)


def require_out(path: Path) -> Path:
    """The path, if a NIfTI can be written there; raises StudyError before hours of work."""
    if not path.name.endswith((".nii", ".nii.gz")):
        raise StudyError(f"{path}: a NIfTI file must end in .nii or .nii.gz")
    if path.parent.exists() and not path.parent.is_dir():
        raise StudyError(f"{path.parent}: is not a folder")
    return path
