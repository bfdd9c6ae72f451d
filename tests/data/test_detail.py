"""The detail of a scan and the places of its translation, joined."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from lmidiff.data.detail import at_own_resolution, blur, doubt_of, function_of
from lmidiff.data.nifti import write_nifti
from lmidiff.data.own_space import normalised, read_own, stack_of, to_slices


def blobs(shape, scale, seed):
    rng = np.random.default_rng(seed)
    coarse = rng.random([max(2, n // scale) for n in shape]).astype(np.float32)
    big = coarse.repeat(scale, 0).repeat(scale, 1).repeat(scale, 2)
    return big[tuple(slice(0, n) for n in shape)]


def test_a_function_of_the_scan_comes_back_with_all_its_detail():
    shape = (48, 48, 24)
    scan = 0.2 + 0.6 * blobs(shape, 3, 1)
    brain = np.zeros(shape, bool)
    brain[4:-4, 4:-4, 3:-3] = True
    scan = np.where(brain, scan, 0).astype(np.float32)
    truth = np.where(brain, 0.9 - 0.7 * scan, 0)
    low = torch.from_numpy(scan).permute(2, 0, 1)[:, None]
    table = function_of(low, torch.where(low > 0, 0.9 - 0.7 * low, 0.0))

    blurred = ndimage.gaussian_filter(truth, 1.2)  # what a network of coarse pixels would give
    found = at_own_resolution(scan, brain, np.ones(3), blurred, table, 3.0)
    inner = ndimage.binary_erosion(brain, iterations=4)
    assert np.abs(found - truth)[inner].mean() < 0.35 * np.abs(blurred - truth)[inner].mean()
    assert not found[~brain].any()


def test_above_and_below_the_slices_there_is_the_scans_own_function():
    shape = (24, 24, 16)
    rng = np.random.default_rng(0)
    scan = rng.uniform(0.2, 0.9, shape).astype(np.float32)
    brain = np.zeros(shape, bool)
    brain[4:20, 4:20] = True
    scan[~brain] = 0
    table = (np.linspace(0, 1, 256, dtype=np.float32), np.linspace(1, 0, 256, dtype=np.float32))
    told = np.where(brain, 1 - scan, 0).astype(np.float32)
    told[:, :, :4] = 0  # no slice there
    found = at_own_resolution(scan, brain, np.ones(3), told, table, 2.0)
    below = np.zeros(shape, bool)
    below[:, :, 0] = True  # four deviations below the first slice, whose correction fades
    np.testing.assert_allclose(found[brain & below], (1 - scan)[brain & below], atol=0.03)
    assert not found[~brain].any()


def test_the_scan_is_divided_by_what_its_slices_were(tmp_path):
    # A few bright voxels, which pixels of 4 mm average, and noise: a percentile of its own voxels
    # would be another than that of the slices on which the function of intensity is fitted.
    shape = (64, 64, 40)
    rng = np.random.default_rng(0)
    image = rng.normal(100, 20, shape).clip(1).astype(np.float32)
    image[rng.random(shape) < 0.02] = 400
    mask = np.zeros(shape, np.float32)
    mask[8:56, 8:56, 4:36] = 1
    for name, data in (("scan", image), ("mask", mask)):
        write_nifti(tmp_path / f"{name}.nii.gz", data, np.diag([1.0, 1, 1, 1]))
    scan = read_own(tmp_path / "scan.nii.gz", tmp_path / "mask.nii.gz")
    slices = to_slices(scan, image_size=32, pixel_size=4.0, spacing=2.0, percentile=99.5)
    inside = stack_of(slices)[stack_of(slices) > 0]
    own = normalised(scan, slices)
    assert own.max() == 1
    middle = np.median(own[scan.brain])
    assert middle == pytest.approx(np.median(inside), rel=0.15)
    percentile = np.percentile(scan.volume.data[scan.brain], 99.5)
    assert np.median(scan.volume.data[scan.brain]) / percentile < 0.6 * middle


def test_where_the_network_knows_better_over_some_millimetres_it_is_followed():
    shape = (40, 40, 20)
    scan = np.full(shape, 0.5, np.float32)
    brain = np.ones(shape, bool)
    told = np.full(shape, 0.4, np.float32)
    told[20:] = 0.8  # two tissues of one intensity in the scan
    table = (np.array([0.0, 1.0], np.float32), np.array([0.6, 0.6], np.float32))
    found = at_own_resolution(scan, brain, np.ones(3), told, table, 2.0)
    assert found[8, 20, 10] == pytest.approx(0.4, abs=0.02)
    assert found[31, 20, 10] == pytest.approx(0.8, abs=0.02)


def test_an_intensity_that_few_pixels_have_prints_no_noise():
    rng = np.random.default_rng(0)
    source = torch.from_numpy(rng.normal(0.5, 0.03, (5, 1, 100, 100)).clip(0.3, 0.7)).float()
    image = 1 - source
    source[2, 0, 50, 40:50] = torch.linspace(0.15, 0.25, 10)
    image[2, 0, 50, 40:50] = torch.tensor([0.0, 1.0] * 5)
    values, function = function_of(source, image)
    common = (values > 0.42) & (values < 0.58)
    assert np.abs(function - (1 - values))[common].max() < 0.01
    assert np.abs(np.diff(function)).max() < 0.02
    assert function.min() > 0.4


def test_detail_that_the_network_smoothed_away_is_the_scans():
    # Thin strips that the network's pixels cannot show, at 1 mm and pixels of 2 mm.
    shape = (60, 60, 30)
    scan = np.full(shape, 0.3, np.float32)
    scan[::6] = 0.7
    brain = np.ones(shape, bool)
    truth = 1 - scan

    told = ndimage.gaussian_filter(truth, 1.6)
    table = (np.linspace(0, 1, 256, dtype=np.float32), np.linspace(1, 0, 256, dtype=np.float32))
    found = at_own_resolution(scan, brain, np.ones(3), told, table, 2.0)
    inner = np.s_[10:-10, 10:-10, 5:-5]
    assert np.abs(found - truth)[inner].max() < 0.06
    assert np.abs(told - truth)[inner].max() > 0.2


def test_a_scan_as_smooth_as_the_translation_is_not_smoothed_for_it():
    thick = blur(np.array([1.0, 1.0, 5.0]), 2.0)
    assert thick[2] == 0
    assert thick[0] == thick[1] == pytest.approx(1.45, abs=0.02)
    assert (blur(np.full(3, 2.0), 2.0) < blur(np.full(3, 1.0), 2.0)).all()


def test_doubt_is_of_places_and_where_detail_and_network_disagree():
    brain = np.zeros((30, 30, 30), bool)
    brain[3:-3, 3:-3, 3:-3] = True
    told = np.where(brain, 0.5, 0).astype(np.float32)
    image = told.copy()
    image[8:12, 8:12, 8:12] += 0.3
    error = np.where(brain, 0.1, 0).astype(np.float32)
    error[20, 20, 20] = 0.9
    doubt = doubt_of(error, image, told, brain, np.ones(3))
    assert doubt[10, 10, 10] > 0.18
    assert 0.1 < doubt[20, 20, 20] < 0.12  # one voxel is no place
    assert doubt[15, 4, 25] == pytest.approx(0.1, abs=1e-3)  # the brain's edge pulls nothing down
    assert not doubt[~brain].any()
