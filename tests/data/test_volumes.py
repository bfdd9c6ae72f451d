"""Reading NIfTI volumes: orientation, and each broken file made for real."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel import orientations
from scipy.spatial.transform import Rotation

from lmidiff.common.errors import StudyError
from lmidiff.data.nifti import write_nifti
from lmidiff.data.slices import load_slices, load_stack, save_stack, subject_of
from lmidiff.data.volumes import Volume, read_volume, require_same_grid

AFFINE = np.array([[1.2, 0, 0, -20], [0, 0.9, 0, 7], [0, 0, 2.5, -31], [0, 0, 0, 1.0]])


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).random(shape, dtype=np.float32) + 0.1


def save(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def message_of(path: Path) -> str:
    with pytest.raises(StudyError) as caught:
        read_volume(path, subject="sub-07", role="PDw")
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path} (sub-07 PDw): ")
    assert ";" in text, "no mend is offered"
    return text


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_reads_what_was_stored(tmp_path: Path, suffix: str) -> None:
    data = noise(5, 6, 7)
    volume = read_volume(save(tmp_path / f"a{suffix}", data))
    assert volume.data.dtype == np.float32
    np.testing.assert_array_equal(volume.data, data)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)
    np.testing.assert_allclose(volume.voxel_mm, (1.2, 0.9, 2.5), atol=1e-6)


@pytest.mark.parametrize("codes", ["RAS", "LAS", "LIA", "ASR", "PIL", "SPL"])
def test_any_stored_orientation_reads_the_same(tmp_path: Path, codes: str) -> None:
    data = noise(5, 6, 7)
    turn = orientations.ornt_transform(
        orientations.axcodes2ornt("RAS"), orientations.axcodes2ornt(codes)
    )
    turned = nib.Nifti1Image(data, AFFINE).as_reoriented(turn)
    assert nib.aff2axcodes(turned.affine) == tuple(codes)
    nib.save(turned, tmp_path / "a.nii.gz")
    volume = read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.data, data)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-4)


def test_agrees_with_nibabel_on_an_oblique_image(tmp_path: Path) -> None:
    turn = nib.eulerangles.euler2mat(0.2, -0.1, 0.3)
    affine = AFFINE.copy()
    affine[:3, :3] = turn @ np.array([[0, 0, -1.2], [0.9, 0, 0], [0, -2.5, 0]])
    path = save(tmp_path / "a.nii", noise(5, 6, 7), affine)
    volume = read_volume(path)
    expected = nib.as_closest_canonical(nib.load(path))
    np.testing.assert_array_equal(volume.data, expected.get_fdata(dtype=np.float32))
    np.testing.assert_allclose(volume.affine, expected.affine)


def test_trailing_single_axis_scaled_integers_and_qform_only(tmp_path: Path) -> None:
    stored = np.arange(60, dtype=np.int16).reshape(3, 4, 5, 1)
    image = nib.Nifti1Image(stored, None)
    image.set_qform(AFFINE, code=1)
    image.header.set_slope_inter(0.5, 2)
    nib.save(image, tmp_path / "a.nii.gz")
    volume = read_volume(tmp_path / "a.nii.gz")
    assert volume.data.shape == (3, 4, 5)
    # nibabel stores the values it is given, so the slope changes the raw integers only.
    np.testing.assert_allclose(volume.data, nib.load(tmp_path / "a.nii.gz").get_fdata()[..., 0])
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)


def test_slight_negatives_are_clipped(tmp_path: Path) -> None:
    data = noise(5, 6, 7)
    data[0, 0, 0] = -0.2
    volume = read_volume(save(tmp_path / "a.nii.gz", data))
    assert volume.data[0, 0, 0] == 0
    np.testing.assert_array_equal(volume.data.ravel()[1:], data.ravel()[1:])


def test_missing_folder_and_empty(tmp_path: Path) -> None:
    assert "no such file" in message_of(tmp_path / "gone.nii.gz")
    assert "not a file" in message_of(tmp_path)
    (tmp_path / "a.nii.gz").touch()
    assert "empty (0 bytes)" in message_of(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("keep", [5, 60, 0.5, 0.98])
def test_truncated(tmp_path: Path, suffix: str, keep: float) -> None:
    path = save(tmp_path / f"a{suffix}", noise(20, 20, 20))
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    text = message_of(path)
    assert "truncated" in text or (suffix == ".nii" and "cannot be read as NIfTI" in text)


def test_damaged_gzip(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", noise(20, 20, 20))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "truncated or damaged" in message_of(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.png", "a"])
def test_not_nifti(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10)
    assert "cannot be read as NIfTI" in message_of(path)
    if name == "a.nii.gz":
        path.write_bytes(gzip.compress(b"<html>404</html>" * 100))
        assert "cannot be read as NIfTI" in message_of(path)


def test_another_imaging_format(tmp_path: Path) -> None:
    nib.save(nib.Spm2AnalyzeImage(noise(4, 4, 4), AFFINE), tmp_path / "a.img")
    assert "Analyze pair, whose header does not tell left from right" in message_of(
        tmp_path / "a.img"
    )


@pytest.mark.parametrize("name", ["a.mgz", "a.img"])
def test_formats_beside_nifti_that_are_read(tmp_path: Path, name: str) -> None:
    data = noise(4, 5, 6)
    kind = nib.MGHImage if name.endswith("mgz") else nib.Nifti1Pair
    image = kind(data, AFFINE)
    if kind is nib.Nifti1Pair:
        image.set_sform(AFFINE, 1)
    nib.save(image, tmp_path / name)
    plain = read_volume(save(tmp_path / "plain.nii", data))
    volume = read_volume(tmp_path / name)
    np.testing.assert_allclose(volume.data, plain.data)
    np.testing.assert_allclose(volume.affine, plain.affine, atol=1e-4)


@pytest.mark.parametrize("shape", [(8, 8), (8,), (4, 4, 4, 1, 3)])
def test_not_three_dimensional(tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert "is not 3-D" in message_of(save(tmp_path / "a.nii.gz", noise(*shape)))


def test_axis_of_length_zero(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", noise(4, 5, 6))
    content = bytearray(path.read_bytes())
    content[44:46] = b"\0\0"  # dim[2] of the header
    path.write_bytes(content)
    assert "axis of length 0" in message_of(path)


@pytest.mark.parametrize("value", [0.0, 7.5, -1.0])
def test_constant(tmp_path: Path, value: float) -> None:
    text = message_of(save(tmp_path / "a.nii.gz", np.full((4, 4, 4), value, np.float32)))
    assert f"every voxel is {value:g}" in text


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(tmp_path: Path, value: float) -> None:
    data = noise(6, 6, 6)
    data[2, 3, 3] = value
    assert "1 voxels are NaN or infinite" in message_of(save(tmp_path / "a.nii.gz", data))


def test_beyond_float32(tmp_path: Path) -> None:
    data = noise(4, 4, 4).astype(np.float64)
    data[1, 2, 2] = 1e300
    assert "NaN or infinite" in message_of(save(tmp_path / "a.nii.gz", data))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_around_the_head_is_air(tmp_path: Path, value: float, caplog) -> None:
    data = noise(6, 6, 6)
    data[0, 2, 3] = value
    volume = read_volume(save(tmp_path / "a.nii.gz", data))
    data[0, 2, 3] = 0
    np.testing.assert_array_equal(volume.data, data)
    assert "1 voxels around the head are" in caplog.text


def patched(path: Path, **fields: object) -> Path:
    """A file with fields of its header replaced."""
    content = bytearray(path.read_bytes())
    header = np.frombuffer(bytes(content[:348]), nib.nifti1.header_dtype).copy()
    for key, value in fields.items():
        header[key] = value
    content[:348] = header.tobytes()
    path.write_bytes(content)
    return path


def coded(path: Path, data: np.ndarray, sform: int, qform: int) -> Path:
    image = nib.Nifti1Image(data, AFFINE)
    image.set_sform(AFFINE, sform)
    image.set_qform(AFFINE, qform)
    nib.save(image, path)
    return path


def test_voxels_do_not_begin_in_the_header(tmp_path: Path) -> None:
    path = patched(save(tmp_path / "a.nii", noise(4, 5, 6)), vox_offset=0)
    assert "vox_offset is 0, within the header; set it to 352" in message_of(path)


def test_a_voxel_without_size_is_not_a_millimetre(tmp_path: Path, capfd) -> None:
    path = coded(tmp_path / "a.nii", noise(4, 5, 6), 0, 1)
    sizes = nib.load(path).header["pixdim"].copy()
    sizes[3] = 0
    text = message_of(patched(path, pixdim=sizes))
    assert "the voxel has no size (pixdim 1.2 x 0.9 x 0) and there is no sform" in text
    assert read_volume(patched(path, sform_code=1, qform_code=0)).data.shape == (4, 5, 6)
    assert capfd.readouterr().err == "", "nibabel's own lines"


@pytest.mark.parametrize("long", [1.000002, 1.0001])
def test_a_quaternion_of_rounded_text_is_scaled(tmp_path: Path, long: float) -> None:
    path = coded(tmp_path / "a.nii", noise(4, 5, 6), 0, 1)
    patched(path, quatern_b=0, quatern_c=long, quatern_d=0)
    np.testing.assert_allclose(read_volume(path).voxel_mm, (1.2, 0.9, 2.5), atol=1e-5)
    assert "make no sense" in message_of(patched(path, quatern_c=1.01))


@pytest.mark.parametrize("w", [1e-3, 0.007, 0.03])
def test_a_turn_near_half_a_circle_keeps_its_angle(tmp_path: Path, w: float) -> None:
    """Scans of IXI have such a qform: a threshold of 1e-3 on w squared would turn them."""
    b, c = 0.0044, 0.0095
    d = np.sqrt(1 - w**2 - b**2 - c**2)
    path = coded(tmp_path / "a.nii", noise(4, 5, 6), 0, 1)
    patched(path, quatern_b=b, quatern_c=c, quatern_d=d)
    turn = Rotation.from_quat([b, c, d, w]).as_matrix()
    upright = np.diag([1.2, 0.9, 2.5]) @ np.diag([-1, -1, 1])
    np.testing.assert_allclose(read_volume(path).affine[:3, :3], turn @ upright, atol=1e-4)


def test_an_mgh_file_that_does_not_say_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "a.mgh"
    nib.save(nib.MGHImage(noise(4, 5, 6), AFFINE), path)
    content = bytearray(path.read_bytes())
    content[28:30] = b"\0\0"
    path.write_bytes(content)
    assert "goodRASFlag is 0), so left and right are unknown" in message_of(path)


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ("a.nii.gz", "a.nii", "is compressed, as its name does not say; rename it to a.nii.gz"),
        ("a.nii", "a.nii.gz", "is not compressed, as its name says; rename it to a.nii"),
        ("a.mgh", "a.mgz", "is not compressed, as its name says; rename it to a.mgh"),
    ],
)
def test_a_name_that_is_wrong_about_compression(tmp_path, first, second, says) -> None:
    kind = nib.MGHImage if first.endswith("mgh") else nib.Nifti1Image
    nib.save(kind(noise(4, 5, 6), AFFINE), tmp_path / first)
    (tmp_path / first).rename(tmp_path / second)
    assert message_of(tmp_path / second).endswith(says)


@pytest.mark.parametrize("half", ["a.img", "a.hdr"])
def test_half_a_pair(tmp_path: Path, half: str) -> None:
    nib.save(nib.Nifti1Pair(noise(4, 5, 6), AFFINE), tmp_path / "a.img")
    other = "a.hdr" if half == "a.img" else "a.img"
    (tmp_path / other).unlink()
    assert f"{other} is missing beside it; copy both halves" in message_of(tmp_path / half)


@pytest.mark.parametrize(
    ("shape", "number"),
    [((3, 4, 5), 0), ((3, 4, 5, 1), 0), ((3, 4, 5, 2, 1), 1), ((3, 4, 5, 2), 1)],
)
def test_the_number_of_a_volume(tmp_path: Path, shape: tuple[int, ...], number: int) -> None:
    data = noise(*shape)
    path = save(tmp_path / "a.nii.gz", data)
    due = data.reshape(3, 4, 5, -1)[..., number]
    np.testing.assert_array_equal(read_volume(f"{path}#{number}").data, due)
    with pytest.raises(StudyError, match=f"has no volume {number + 1}; it holds {number + 1}"):
        read_volume(f"{path}#{number + 1}")


def test_negative(tmp_path: Path) -> None:
    text = message_of(save(tmp_path / "a.nii.gz", noise(6, 6, 6) - 0.6))
    assert "negative values" in text
    assert "z-scores" in text


@pytest.mark.parametrize("kind", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_not_scalar(tmp_path: Path, kind: object) -> None:
    assert "not numbers" in message_of(save(tmp_path / "a.nii", np.ones((4, 4, 4), kind)))


def test_no_affine(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(noise(4, 4, 4), None), tmp_path / "a.nii.gz")
    assert "no affine" in message_of(tmp_path / "a.nii.gz")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: a * 0,
        lambda a: a * np.array([1, 1, 0, 1]),
        lambda a: a[:, [0, 0, 2, 3]],
        lambda a: a * 1e-3,
        lambda a: a * 1e3,
        lambda a: np.where(a == 7, np.nan, a),
    ],
    ids=["zero", "flat", "two axes coincide", "metres", "micrometres", "nan"],
)
def test_degenerate_affine(tmp_path: Path, spoil: object) -> None:
    image = nib.Nifti1Image(noise(4, 4, 4), AFFINE)
    nib.save(image, tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[280:328] = spoil(AFFINE)[:3].astype("<f4").tobytes()  # srow_x, srow_y, srow_z
    (tmp_path / "a.nii").write_bytes(content)
    assert "affine is degenerate" in message_of(tmp_path / "a.nii")


def forms(path: Path, sform: np.ndarray, qform: np.ndarray, codes: tuple[int, int]) -> Path:
    image = nib.Nifti1Image(noise(4, 5, 6), None)
    image.set_sform(sform, code=codes[0])
    image.set_qform(qform, code=codes[1])
    nib.save(image, path)
    return path


def moved(mm: float) -> np.ndarray:
    shift = np.zeros((4, 4))
    shift[1, 3] = mm
    return AFFINE + shift


def test_sform_and_qform_that_disagree(tmp_path: Path) -> None:
    turned = AFFINE.copy()
    turned[:3, :3] = nib.eulerangles.euler2mat(1.0, 0, 0) @ AFFINE[:3, :3]
    text = message_of(forms(tmp_path / "a.nii.gz", AFFINE, turned, (1, 1)))
    assert "sform and qform disagree (up to" in text
    mirrored = AFFINE @ np.diag([-1, 1, 1, 1])
    text = message_of(forms(tmp_path / "a.nii.gz", AFFINE, mirrored, (4, 1)))
    assert "left and right exchanged" in text


@pytest.mark.parametrize(("mm", "codes"), [(0.5, (1, 1)), (12, (4, 1)), (12, (1, 0)), (12, (2, 1))])
def test_forms_that_may_differ(tmp_path: Path, mm: float, codes: tuple[int, int]) -> None:
    """Rounded; a template's space beside the scanner's; one that is not in use."""
    volume = read_volume(forms(tmp_path / "a.nii.gz", AFFINE, moved(mm), codes))
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize(("slope", "inter"), [(1e38, 0.0), (1.0, np.inf), (3e38, 1e38)])
def test_scaling_that_overflows(tmp_path: Path, slope: float, inter: float) -> None:
    path = tmp_path / "a.nii"
    nib.save(nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), AFFINE), path)
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([slope, inter], "<f4").tobytes()  # scl_slope, scl_inter
    path.write_bytes(content)
    text = message_of(path)
    assert "scl_slope" in text or "cannot be read" in text


def test_same_grid() -> None:
    one = Volume(noise(4, 5, 6), AFFINE, "one.nii")
    require_same_grid(one, Volume(noise(4, 5, 6), AFFINE + 1e-5, "two.nii"))
    shifted = AFFINE.copy()
    shifted[0, 3] += 0.2 * np.linalg.norm(AFFINE[:3, :3], axis=0).min()
    for other, says in (
        (Volume(noise(4, 5, 7), AFFINE, "two.nii"), "(4, 5, 6) and (4, 5, 7)"),
        (Volume(noise(4, 5, 6), shifted, "two.nii"), "mm apart"),
    ):
        with pytest.raises(StudyError) as caught:
            require_same_grid(one, other)
        text = str(caught.value)
        assert all(part in text for part in ("one.nii", "two.nii", says, "register them first"))
        assert "\n" not in text


def test_stack_round_trip_keeps_slices_and_place(tmp_path: Path) -> None:
    data = noise(8, 8, 3)
    source, copy = tmp_path / "sub-01_PDw.nii.gz", tmp_path / "sub-01_T1w.nii.gz"
    write_nifti(source, data, AFFINE)
    stack = load_stack(source)
    assert stack.shape == (3, 1, 8, 8)
    assert stack.dtype == torch.float32
    for z in range(3):
        np.testing.assert_array_equal(stack[z, 0].numpy(), data[:, :, z])
    save_stack(copy, stack, source)
    np.testing.assert_array_equal(nib.load(copy).get_fdata(dtype=np.float32), data)
    np.testing.assert_array_equal(nib.load(copy).affine, nib.load(source).affine)


def test_slices_of_several_subjects(tmp_path: Path) -> None:
    paths = [tmp_path / "sub-02_T1w.nii.gz", tmp_path / "sub-01_T1w.nii.gz"]
    for count, path in enumerate(paths, start=1):
        write_nifti(path, noise(8, 8, count), AFFINE)
    slices, index = load_slices(paths)
    assert slices.shape == (3, 1, 8, 8)
    assert index == [("sub-02", 0), ("sub-01", 0), ("sub-01", 1)]
    np.testing.assert_array_equal(slices[1:].numpy(), load_stack(paths[1]).numpy())


def test_stack_mistakes(tmp_path: Path) -> None:
    good, wide = tmp_path / "sub-01_T1w.nii.gz", tmp_path / "sub-02_T1w.nii.gz"
    write_nifti(good, noise(8, 8, 3), AFFINE)
    write_nifti(wide, noise(9, 9, 3), AFFINE)
    out = tmp_path / "out.nii.gz"
    stack = load_stack(good)
    for act, says in (
        (lambda: load_slices([]), "no volume"),
        (lambda: load_slices([good, wide]), "on one grid"),
        (lambda: load_stack(tmp_path / "sub-09_T1w.nii.gz"), "no such file"),
        (lambda: subject_of("T1w.nii.gz"), "names no subject"),
        (lambda: save_stack(out, stack[:2], good), "the stack makes"),
        (lambda: save_stack(out, stack[:, 0], good), "a stack has shape"),
        (lambda: save_stack(out, stack * float("nan"), good), "NaN"),
    ):
        with pytest.raises(StudyError, match=says) as caught:
            act()
        assert "\n" not in str(caught.value)
    assert not out.exists()
