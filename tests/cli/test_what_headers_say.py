"""Forms, units, shapes and shears of the headers that people have: taken, or refused."""

import nibabel as nib
import numpy as np
import pytest

from lmidiff.common.errors import StudyError
from lmidiff.data.volumes import read_volume
from small_scans import AFFINE, SHAPE, VOXEL, brain, save, translated


def test_numbers_of_a_rotation_that_rounding_spoiled(scan, weights, tmp_path, capsys):
    path = tmp_path / "in.nii"
    nib.save(nib.load(scan), path)
    raw = bytearray(path.read_bytes())
    header = np.frombuffer(bytes(raw[:348]), dtype=nib.nifti1.header_dtype).copy()
    header["quatern_c"] = 1.01
    raw[:348] = header.tobytes()
    path.write_bytes(bytes(raw))
    image, said = translated(capsys, path, weights)
    assert "the sform is used" in said
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-4)
    header["sform_code"] = 0
    raw[:348] = header.tobytes()
    path.write_bytes(bytes(raw))
    with pytest.raises(StudyError, match="header's numbers make no sense"):
        read_volume(path)


def test_a_rotation_that_rounding_made_too_long_is_all_that_a_header_needs(
    scan, weights, tmp_path, capsys
):
    path = tmp_path / "in.nii"
    nib.save(nib.load(scan), path)
    raw = bytearray(path.read_bytes())
    header = np.frombuffer(bytes(raw[:348]), dtype=nib.nifti1.header_dtype).copy()
    header["sform_code"] = 0
    quaternion = [header[f"quatern_{letter}"] for letter in "bcd"]
    header[f"quatern_{'bcd'[int(np.argmax(np.abs(quaternion)))]}"] *= 1.0003
    raw[:348] = header.tobytes()
    path.write_bytes(bytes(raw))
    with pytest.raises(ValueError, match="w2 should be positive"):
        nib.load(path)
    image, _ = translated(capsys, path, weights)
    assert image.shape == SHAPE
    np.testing.assert_allclose(image.affine, AFFINE, atol=0.2)


@pytest.mark.parametrize("field", ["quatern_b", "pixdim", "qoffset_x"])
def test_a_qform_that_is_no_number_is_left_out(field, scan, weights, tmp_path, capsys):
    path = tmp_path / "in.nii"
    nib.save(nib.load(scan), path)
    raw = bytearray(path.read_bytes())
    header = np.frombuffer(bytes(raw[:348]), dtype=nib.nifti1.header_dtype).copy()
    header[field] = np.nan
    raw[:348] = header.tobytes()
    path.write_bytes(bytes(raw))
    image, said = translated(capsys, path, weights)
    assert "the sform is used" in said
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-4)


@pytest.mark.parametrize("codes", [(4, 1), (2, 1), (1, 0), (0, 1), (3, 3)])
def test_both_forms_and_their_codes_come_back(codes, weights, tmp_path, capsys):
    turn = nib.eulerangles.euler2mat(0.1, 0, 0)
    moved = AFFINE.copy()
    moved[:3] = turn @ AFFINE[:3] + [[0, 0, 0, 20]] * 3 if codes[0] != codes[1] else AFFINE[:3]
    path = save(tmp_path / "in.nii.gz", brain(), codes=codes, qform=moved)
    image, _ = translated(capsys, path, weights)
    before, after = nib.load(path).header, image.header
    for form in ("get_sform", "get_qform"):
        (one, code), (two, again) = getattr(before, form)(True), getattr(after, form)(True)
        assert code == again
        assert (one is None and two is None) or np.allclose(one, two, atol=1e-3)


@pytest.mark.parametrize("unit", ["micron", "meter", "unknown"])
def test_other_units_are_taken_and_kept(unit, weights, tmp_path, capsys):
    scale = {"micron": 1000.0, "meter": 0.001, "unknown": 1.0}[unit]
    affine = np.diag([scale, scale, scale, 1]) @ AFFINE
    path = save(tmp_path / "in.nii.gz", brain(), affine, unit=unit)
    np.testing.assert_allclose(np.abs(read_volume(path).voxel_mm), VOXEL, rtol=1e-4)
    image, said = translated(capsys, path, weights)
    np.testing.assert_allclose(image.affine, affine, rtol=1e-4)
    assert image.header.get_xyzt_units()[0] == unit
    assert (unit in said) == (unit != "unknown")


def test_a_unit_that_cannot_be_is_not_believed(tmp_path):
    path = save(tmp_path / "in.nii.gz", brain(), unit="meter")
    np.testing.assert_allclose(read_volume(path).voxel_mm, VOXEL, rtol=1e-5)


@pytest.mark.parametrize("trailing", [(1,), (1, 1)])
def test_the_shape_comes_back(trailing, weights, tmp_path, capsys):
    data = brain().reshape(*SHAPE, *trailing)
    image, _ = translated(capsys, save(tmp_path / "in.nii.gz", data), weights)
    assert image.shape == data.shape


def test_a_crop_that_moved_one_origin_goes_on(tmp_path, caplog):
    moved = AFFINE.copy()
    moved[:3, 3] += 12
    volume = read_volume(save(tmp_path / "in.nii.gz", brain(), qform=moved))
    assert "in the origin alone" in caplog.text
    assert volume.data.shape == SHAPE


@pytest.mark.parametrize(("shear", "outcome"), [(0.008, "said"), (0.04, "refused")])
def test_a_small_shear_goes_on(shear, outcome, tmp_path, caplog):
    affine = AFFINE.copy()
    affine[0, 1] = shear * VOXEL
    path = save(tmp_path / "in.nii.gz", brain(), affine, codes=(1, 0))
    if outcome == "refused":
        with pytest.raises(StudyError, match="sheared"):
            read_volume(path)
    else:
        read_volume(path)
        assert "sheared" in caplog.text
