"""Values and masks that people have: NaN, padding, overflow, a mask of nothing."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from lmidiff.common.errors import StudyError
from lmidiff.data.volumes import read_volume
from small_scans import AFFINE, SHAPE, VOXEL, brain, done, refused, save, translated


def test_nan_around_the_head_is_air_and_within_it_an_error(scan, weights, tmp_path, capsys):
    data = brain()
    data[data == 0] = np.nan
    plain, _ = translated(capsys, scan, weights)
    expected = plain.get_fdata()
    image, said = translated(capsys, save(tmp_path / "in.nii.gz", data), weights)
    assert "around the head are NaN" in said
    np.testing.assert_array_equal(image.get_fdata(), expected)
    data[20, 23, 18] = np.nan
    with pytest.raises(StudyError, match="within the head too"):
        read_volume(save(tmp_path / "in.nii.gz", data))


def test_a_constant_below_zero_around_the_head_is_air(tmp_path, caplog):
    data = brain()
    data[data == 0] = -1000
    assert read_volume(save(tmp_path / "in.nii.gz", data)).data.min() == 0
    assert "around the head are -1000" in caplog.text


def test_a_slice_of_nan_around_one_slice_of_head(tmp_path):
    data = brain()[:, :, 18:19].copy()
    data[data == 0] = np.nan
    assert np.isfinite(read_volume(save(tmp_path / "in.nii.gz", data)).data).all()


@pytest.mark.parametrize("wrapped", [1, 12])
def test_integers_that_overflowed_are_told(wrapped, tmp_path, caplog):
    data = (brain() * 40).astype(np.int16)
    undershoot = data.copy()
    undershoot[0, :10, 0] = np.arange(-300, 0, 30)
    read_volume(save(tmp_path / "fine.nii.gz", undershoot))
    assert "overflow" not in caplog.text
    flat = np.flatnonzero(data)[:wrapped]
    data.ravel()[flat] = -32000 + np.arange(wrapped)
    read_volume(save(tmp_path / "in.nii.gz", data))
    assert f"{wrapped} voxels are far below zero" in caplog.text


def test_bytes_after_the_gzip_are_left_out(scan, tmp_path, caplog):
    path = tmp_path / "in.nii.gz"
    path.write_bytes(scan.read_bytes() + b"garbage")
    np.testing.assert_array_equal(read_volume(path).data, read_volume(scan).data)
    assert "after the end of the gzip" in caplog.text
    two = gzip.compress(gzip.decompress(scan.read_bytes())[:5000])
    path.write_bytes(two + gzip.compress(gzip.decompress(scan.read_bytes())[5000:]))
    np.testing.assert_array_equal(read_volume(path).data, read_volume(scan).data)
    path.write_bytes(scan.read_bytes()[:-20])
    with pytest.raises(StudyError, match="truncated"):
        read_volume(path)


def test_one_of_several_volumes(scan, weights, tmp_path, capsys):
    both = np.stack([brain(), brain()[::-1] + (brain()[::-1] > 0)], -1)
    path = save(tmp_path / "both.nii.gz", both)
    with pytest.raises(StudyError, match=r"holds 2 volumes; .* both.nii.gz#0 \(--volume 0\)"):
        read_volume(path)
    np.testing.assert_array_equal(read_volume(f"{path}#0").data, read_volume(scan).data)
    image, _ = translated(capsys, path, weights, "--volume", "1")
    assert image.shape == SHAPE
    with pytest.raises(StudyError, match="has no volume 2; it holds 2"):
        read_volume(f"{path}#2")


@pytest.mark.parametrize("value", [0.0, 0.45])
def test_a_mask_that_selects_nothing(value, scan, mask, weights, capsys):
    save(mask, ((brain() > 0) * value).astype(np.float32))
    given = ["--source", scan, "--mask", mask, "--out", scan.with_name("o.nii.gz")]
    said = refused(capsys, "translate", "--weights", weights, *given)
    assert f"selects nothing: its highest value is {value:g}" in said


def test_grids_are_the_same_within_a_tenth_of_a_voxel(scan, mask, weights, capsys):
    for shift, fits in ((0.09, True), (0.2, False)):
        affine = AFFINE.copy()
        affine[0, 3] += shift * VOXEL
        save(mask, (brain() > 0).astype(np.uint8), affine)
        given = ["--source", scan, "--mask", mask, "--out", scan.with_name("o.nii.gz")]
        command = ["translate", "--weights", weights, *given]
        if fits:
            done(capsys, *command)
        else:
            assert "is not on the grid" in refused(capsys, *command)


def test_a_mask_of_everything_goes_on(tmp_path, weights, capsys):
    data = brain()[8:32, 8:38, 12:26]
    scan = save(tmp_path / "in.nii.gz", np.maximum(data, 1))
    mask = save(tmp_path / "m.nii.gz", np.ones(data.shape, np.uint8))
    _, said = translated(capsys, scan, weights, "--mask", mask)
    assert "takes the whole image for brain" in said


def test_a_few_bright_voxels_do_not_darken_the_rest_for_the_segmenter(tmp_path, kmeans, capsys):
    # The K-Means knows images that were divided by a percentile of slices of the brain; below them
    # there is a stalk here, as bright as vessels are.
    shape = (40, 46, 40)
    x, y, z = (np.indices(shape)[k] - shape[k] / 2 for k in range(3))
    radius = np.sqrt((x / 17) ** 2 + (y / 21) ** 2 + (z / 15) ** 2)
    tissue = np.select([radius < 0.6, radius < 0.8, radius < 1], [3, 2, 1], 0)
    stalk = (np.hypot(x, y) < 4) & (z < -15) & (z > -19)
    image = np.array([0.0, 20, 50, 80])[tissue] + 300 * stalk
    affine = np.diag([4.0, 4, 4, 1])
    scan = save(tmp_path / "scan.nii.gz", image.astype(np.float32), affine)
    mask = save(tmp_path / "mask.nii.gz", ((tissue > 0) | stalk).astype(np.uint8), affine)
    assert np.percentile(image[(tissue > 0) | stalk], 99.5) == 300
    out = tmp_path / "labels.nii.gz"
    done(capsys, "segment", "--model", kmeans, scan, "--mask", mask, "--out", out)
    found = np.asarray(nib.load(out).dataobj)
    white = 2 * ((found == 3) & (tissue == 3)).sum() / ((found == 3).sum() + (tissue == 3).sum())
    assert white > 0.9
