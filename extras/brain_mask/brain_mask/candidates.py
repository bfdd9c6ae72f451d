"""Ways to find the brain in a raw scan without downloaded weights, to measure against each other.

The study uses both networks; the others are what it was chosen over.
"""

import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from lmidiff.data.brain import find_brain, locate
from lmidiff.data.nifti import write_nifti
from lmidiff.data.orientation import from_itk, to_itk, volume_to_itk
from lmidiff.data.volumes import Volume

TEMPLATE_MM = 4.0
HEAD_MM = 175.0
"""The upper part of a head that holds the brain; what is below is neck, and pulls."""

BRAIN_BELOW_TOP_MM = 85.0
"""From the crown to the brain's centre."""


def morphology(volume: Volume) -> np.ndarray:
    """Threshold, erode until the brain comes off the scalp, keep the largest piece, grow it back.

    Works because cortical bone is dark in every common sequence.
    """
    smoothed = ndimage.gaussian_filter(volume.data, 1.0 / volume.voxel_mm)
    image = volume_to_itk(Volume(smoothed, volume.affine))
    bright = from_itk(sitk.OtsuThreshold(image, 0, 1)) > 0
    inside = bright & _upper(bright, volume)
    depth = ndimage.distance_transform_edt(inside, sampling=volume.voxel_mm)
    pieces, count = ndimage.label(depth > 4.0)
    if count == 0:
        return inside
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    core = pieces == sizes.argmax()
    grown = ndimage.distance_transform_edt(~core, sampling=volume.voxel_mm) <= 5.0
    closed = np.pad(grown, 8)
    away = ndimage.distance_transform_edt(~closed, sampling=volume.voxel_mm) <= 8.0
    closed = ndimage.distance_transform_edt(away, sampling=volume.voxel_mm) > 8.0
    closed = closed[8:-8, 8:-8, 8:-8]
    return ndimage.binary_fill_holes(closed)


def template(volume: Volume, *, deformable: bool = True) -> np.ndarray:
    """ICBM 152 onto the upper head: similarity, affine, then B-splines, by mutual information."""
    brain, mask = _icbm()
    bright = from_itk(sitk.OtsuThreshold(volume_to_itk(volume), 0, 1)) > 0
    upper = bright & _upper(bright, volume)
    low, high = np.argwhere(upper).min(axis=0), np.argwhere(upper).max(axis=0)
    centre = (low + high) / 2
    start = volume.affine[:3, :3] @ centre + volume.affine[:3, 3]
    start[2] = (volume.affine @ [*high, 1])[2] - BRAIN_BELOW_TOP_MM
    head = sitk.SmoothingRecursiveGaussian(volume_to_itk(volume), 0.4 * TEMPLATE_MM)
    middle = np.array(
        brain.TransformContinuousIndexToPhysicalPoint([n / 2 for n in brain.GetSize()])
    )
    similar = sitk.Similarity3DTransform()
    similar.SetCenter(middle.tolist())
    similar.SetTranslation((start * [-1, -1, 1] - middle).tolist())
    near = sitk.BinaryDilate(mask, [3, 3, 3])
    method = _metric(near)
    method.SetOptimizerAsPowell(15, 30, 1.0, 0.02, 1e-6)
    method.SetOptimizerScales([100.0, 100.0, 100.0, 1.0, 1.0, 1.0, 100.0])
    method.SetInitialTransform(similar, inPlace=True)
    method.Execute(brain, head)
    affine = sitk.AffineTransform(3)
    affine.SetCenter(similar.GetCenter())
    affine.SetMatrix(similar.GetMatrix())
    affine.SetTranslation(similar.GetTranslation())
    method = _metric(near)
    method.SetOptimizerAsPowell(6, 30, 0.5, 0.02, 1e-6)
    method.SetOptimizerScales([100.0] * 9 + [1.0] * 3)
    method.SetInitialTransform(affine, inPlace=True)
    method.Execute(brain, head)
    grid = to_itk(np.zeros(volume.data.shape, bool), volume.affine)
    back = sitk.CompositeTransform([affine.GetInverse()])
    if deformable:
        spline = sitk.BSplineTransformInitializer(brain, [6, 7, 6], 3)
        method = _metric(near)
        method.SetMovingInitialTransform(affine)
        method.SetInitialTransform(spline, inPlace=True)
        method.SetOptimizerAsLBFGSB(1e-5, 40, 5, 500, 1e7)
        method.Execute(brain, head)
        field = sitk.TransformToDisplacementField(
            spline, sitk.sitkVectorFloat64, brain.GetSize(), brain.GetOrigin(),
            brain.GetSpacing(), brain.GetDirection(),
        )  # fmt: skip
        inverse = sitk.IterativeInverseDisplacementField(field, 20)
        back = sitk.CompositeTransform([sitk.DisplacementFieldTransform(inverse), *[back]])
    share = sitk.Resample(sitk.Cast(mask, sitk.sitkFloat32), grid, back, sitk.sitkLinear)
    return from_itk(share) > 0.5


def affine_template(volume: Volume) -> np.ndarray:
    """:func:`template` without its B-splines."""
    return template(volume, deformable=False)


def bet(volume: Volume) -> np.ndarray:
    """BET (Smith, Hum Brain Mapp 2002;17:143-155) as the package brainextractor has it."""
    import nibabel as nib
    from brainextractor import BrainExtractor

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.nii.gz"
        write_nifti(path, volume.data, volume.affine)
        extractor = BrainExtractor(img=nib.load(path))
        extractor.run()
        return np.asarray(extractor.compute_mask()) > 0


def candidates() -> dict[str, Callable[[Volume], np.ndarray]]:
    """Name to method; BET only where its package is installed."""
    known = {
        "first_network": locate,
        "both_networks": find_brain,
        "template_affine": affine_template,
        "template_deformable": template,
        "morphology": morphology,
    }
    return known | ({"bet": bet} if find_spec("brainextractor") else {})


def _upper(bright: np.ndarray, volume: Volume) -> np.ndarray:
    """The part of the head that is at most so far below its crown."""
    rows = np.flatnonzero(bright.mean(axis=(0, 1)) > 0.02)
    top = rows[-1] if rows.size else bright.shape[2] - 1
    inside = np.zeros(bright.shape, bool)
    inside[:, :, max(top - int(HEAD_MM / volume.voxel_mm[2]), 0) :] = True
    return inside


def _metric(mask: sitk.Image) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricFixedMask(mask)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _icbm() -> tuple[sitk.Image, sitk.Image]:
    """The skull-stripped T1w template and its mask on voxels of 4 mm."""
    from nilearn import datasets

    image, mask = (
        load(resolution=2)
        for load in (datasets.load_mni152_template, datasets.load_mni152_brain_mask)
    )
    brain = to_itk(np.asarray(image.dataobj, np.float32), image.affine)
    inside = to_itk(np.asarray(mask.dataobj) > 0, mask.affine)
    step = [round(TEMPLATE_MM / 2)] * 3
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(brain, 1.6), step), sitk.Shrink(inside, step)
