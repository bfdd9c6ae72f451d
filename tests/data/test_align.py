"""From raw scans to one grid: against known motion, known masks and known receive fields."""

import dataclasses
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.processing import resample_from_to

import ixi_archive
from lmidiff.common.errors import StudyError
from lmidiff.data.align import AlignedSubject, align_subject, write_aligned, write_transform
from lmidiff.data.bias import correct_bias, variation
from lmidiff.data.brain import find_brain
from lmidiff.data.orientation import itk_transform, matrix_of, own_space, to_itk
from lmidiff.data.quality import (
    LIMITS,
    collect_quality,
    refuse_flagged,
    scan_quality,
    write_quality,
    write_quality_table,
)
from lmidiff.data.registration import (
    distances,
    mask_agreement,
    register,
    resample_onto,
    surface_points,
)
from lmidiff.data.upright import turned_head
from lmidiff.data.volumes import Volume, read_volume
from lmidiff.figures.alignment_check import draw_quality
from lmidiff.report.quality_page import write_page

HELD_OUT = 13
"""Heads from here on were not in the training of the mask network."""


def volume_of(image: nib.Nifti1Image, name: str = "scan.nii.gz") -> Volume:
    canonical = nib.as_closest_canonical(image)
    return Volume(np.asarray(canonical.dataobj, np.float32), canonical.affine, name)


def dice(one: np.ndarray, two: np.ndarray) -> float:
    return 2 * (one & two).sum() / (one.sum() + two.sum())


@pytest.fixture(scope="module")
def truth() -> ixi_archive.Truth:
    return ixi_archive.subject(ixi_archive.NAMES[1], HELD_OUT, voxel_mm=3.0)


@pytest.fixture(scope="module")
def scans(truth: ixi_archive.Truth) -> dict[str, Volume]:
    return {name: volume_of(image, f"{name}.nii.gz") for name, image in truth.images.items()}


@pytest.fixture(scope="module")
def aligned(scans: dict[str, Volume]) -> AlignedSubject:
    return align_subject({name: scans[name] for name in ("T1w", "PDw")}, "PDw")


def rigid(seed: int, degrees: float, mm: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    angles, shift = rng.uniform(-1, 1, 3) * np.deg2rad(degrees), rng.uniform(-1, 1, 3) * mm
    return nib.affines.from_matvec(nib.eulerangles.euler2mat(*angles), shift)


# -- what is promised -----------------------------------------------------------------------------


def test_the_target_lies_on_the_source(aligned: AlignedSubject, truth: ixi_archive.Truth) -> None:
    assert truth.degrees > 5, "the fixture should move"
    brain = volume_of(truth.masks["PDw"]).data > 0
    points = surface_points(brain, aligned.images["PDw"].affine)
    error = distances(points, aligned.transforms["T1w"], truth.motion)
    assert np.percentile(error, 95) < 1.0
    np.testing.assert_array_equal(aligned.transforms["PDw"], np.eye(4))


def test_the_brain_is_found_in_each_contrast(
    scans: dict[str, Volume], truth: ixi_archive.Truth
) -> None:
    for name, scan in scans.items():
        assert dice(find_brain(scan), volume_of(truth.masks[name]).data > 0) > 0.9, name


def test_nothing_is_flagged_and_the_checks_agree(aligned: AlignedSubject) -> None:
    assert [scan.flags for scan in aligned.quality] == [(), ()]
    found = aligned.quality[1].registration
    assert found.after > found.before
    assert found.dice_after > LIMITS.dice
    assert found.starts_mm < LIMITS.starts_mm
    assert found.distinct > LIMITS.distinct


def test_the_reference_is_not_resampled(aligned: AlignedSubject, scans: dict[str, Volume]) -> None:
    reference = aligned.images["PDw"]
    assert list(aligned.images) == ["PDw", "T1w"]
    np.testing.assert_array_equal(reference.affine, scans["PDw"].affine)
    ratio = scans["PDw"].data[aligned.brain] / reference.data[aligned.brain]
    field = np.log(ratio[np.isfinite(ratio)])
    assert field.std() < 0.3, "more than a smooth field was changed"
    assert aligned.images["T1w"].data.shape == reference.data.shape


def test_files_say_what_was_done(aligned: AlignedSubject, tmp_path: Path) -> None:
    images = {name: tmp_path / f"{name}.nii.gz" for name in aligned.images}
    write_aligned(aligned, images, tmp_path / "mask.nii.gz")
    for name, path in images.items():
        np.testing.assert_array_equal(read_volume(path).data, aligned.images[name].data)
    np.testing.assert_array_equal(read_volume(tmp_path / "mask.nii.gz").data > 0, aligned.brain)
    write_transform(tmp_path / "x.tfm", aligned.transforms["T1w"])
    read = matrix_of(sitk.ReadTransform(str(tmp_path / "x.tfm")))
    np.testing.assert_allclose(read, aligned.transforms["T1w"], atol=1e-9)


def test_the_written_transform_does_the_resampling(
    aligned: AlignedSubject, scans: dict[str, Volume], tmp_path: Path
) -> None:
    """Straight from the two raw files and the .tfm, by SimpleITK's own reader."""
    for name in ("PDw", "T1w"):
        image = nib.Nifti1Image(scans[name].data, scans[name].affine)
        nib.save(image, tmp_path / f"{name}.nii")
    write_transform(tmp_path / "x.tfm", aligned.transforms["T1w"])
    fixed, moving = (sitk.ReadImage(str(tmp_path / f"{name}.nii")) for name in ("PDw", "T1w"))
    there = sitk.Resample(moving, fixed, sitk.ReadTransform(str(tmp_path / "x.tfm")))
    ours = resample_onto(scans["T1w"], aligned.transforms["T1w"], scans["PDw"], order=1)
    found = sitk.GetArrayFromImage(there).T
    scale = np.percentile(found, 99)
    assert np.percentile(np.abs(found - ours), 99) < 0.01 * scale


def test_picture_and_page(aligned: AlignedSubject, tmp_path: Path) -> None:
    picture = tmp_path / "sub-01_quality.png"
    draw_quality(aligned, "sub-01", picture)
    assert picture.stat().st_size > 50_000
    again = tmp_path / "sub-02_quality.png"
    draw_quality(aligned, "sub-01", again)
    assert again.read_bytes() == picture.read_bytes()
    files = [tmp_path / f"sub-0{n}.json" for n in (1, 2)]
    write_quality(files[0], "sub-01", "PDw", aligned.quality)
    content = json.loads(files[0].read_text())
    content["subject"] = "sub-02"
    content["scans"][1]["flags"] = ["shows only 40% of the brain"]
    files[1].write_text(json.dumps(content))
    table = collect_quality(files)
    write_quality_table(table, tmp_path / "q.csv")
    assert (tmp_path / "q.csv").read_text().count("\n") == 5
    write_page(table, [picture, again], ["sub-09"], tmp_path / "q.html")
    page = (tmp_path / "q.html").read_text()
    assert "exclude: [sub-09, sub-02]" in page
    assert "shows only 40%" in page
    assert page.index(">sub-02</a>") < page.index(">sub-01</a>"), "flagged subjects come first"
    assert page.count("data:image/png;base64,") == 2
    with pytest.raises(StudyError, match=r"sub-02: flagged.*40%.*data\.exclude"):
        refuse_flagged({"sub-01": str(files[0]), "sub-02": str(files[1])}, "stop")
    refuse_flagged({"sub-02": str(files[1])}, "keep")


# -- what must be flagged or refused --------------------------------------------------------------


@pytest.mark.parametrize("name", ["T1w", "PDw"])
def test_a_head_that_lies_otherwise_than_its_header_says(scans, name) -> None:
    data, edges = scans[name].data, scans[name].voxel_mm
    assert turned_head(data, edges) == ""
    assert turned_head(data[::-1].copy(), edges) == "", "a mirror image has no sign"
    assert turned_head(data[:, :, ::-1].copy(), edges) == "R, A, I"
    lying = np.ascontiguousarray(np.transpose(data, (0, 2, 1))[:, ::-1])
    assert turned_head(lying, edges[[0, 2, 1]]) == "R, S, P"
    high = np.flatnonzero((data > 0.15 * np.percentile(data, 99)).mean((0, 1)) > 0.2)
    assert turned_head(data[:, :, high[5] : high[-5]], edges) == "", "a slab is not judged"


def test_a_head_of_metres_and_one_image_twice(scans: dict[str, Volume]) -> None:
    scan = scans["PDw"]
    large = replace(scan, affine=scan.affine @ np.diag([9.0, 9, 9, 1]))
    with pytest.raises(StudyError, match=r"mm wide, by voxels of 27 mm, and a head is not"):
        find_brain(large)
    with pytest.raises(StudyError, match="one image as PDw and as T1w"):
        align_subject({"PDw": scan, "T1w": replace(scan, name="copy.nii")}, "PDw")


def test_no_brain_no_subject(scans: dict[str, Volume]) -> None:
    rng = np.random.default_rng(0)
    noise = Volume(rng.random((60, 60, 60), np.float32), np.diag([3.0, 3, 3, 1]), "noise.nii.gz")
    ball = np.linalg.norm(np.indices((60, 60, 60)) - 30.0, axis=0) < 8
    phantom = Volume(100 * ball + noise.data, noise.affine, "phantom.nii.gz")
    for strange in (noise, phantom):
        try:
            brain = find_brain(strange)
        except StudyError as error:
            assert str(error).startswith(f"{strange.name}: no brain was found")  # noqa: PT017
        else:
            ones = np.ones(brain.shape, np.float32)
            assert scan_quality("PDw", strange, strange, brain, ones).flags
    with pytest.raises(StudyError, match="no T2w scan among PDw"):
        align_subject({"PDw": scans["PDw"]}, "T2w")


def test_a_given_mask_is_used_and_checked(scans: dict[str, Volume]) -> None:
    scan = scans["PDw"]
    box = np.zeros(scan.data.shape, np.float32)
    box[30:60, 30:60, 30:60] = 1
    alone = align_subject({"PDw": scan}, "PDw", Volume(box, scan.affine, "mask.nii.gz"))
    np.testing.assert_array_equal(alone.brain, box > 0)
    assert any("ml" in flag for flag in alone.quality[0].flags)
    for mask, says in ((box * 0, "mask selects nothing"), (box[1:], "is not on the grid")):
        with pytest.raises(StudyError, match=says):
            align_subject({"PDw": scan}, "PDw", Volume(mask, scan.affine, "mask.nii.gz"))


def test_a_mask_of_a_voxel_or_a_slice_is_too_small_to_register(scans) -> None:
    scan = scans["PDw"]
    one, flat = np.zeros((2, *scan.data.shape), np.float32)
    one[30, 30, 30] = 1
    flat[20:60, 20:60, 30] = 1
    for mask, says in ((one, "1 x 1 x 1"), (flat, "40 x 40 x 1")):
        given = Volume(mask, scan.affine, "mask.nii.gz")
        with pytest.raises(StudyError, match=f"mask.nii.gz: the brain is {says} voxels, too small"):
            align_subject({"PDw": scan, "T1w": scans["T1w"]}, "PDw", given)


def test_a_scan_that_misses_half_the_brain_is_flagged(scans: dict[str, Volume]) -> None:
    whole = scans["PDw"]
    brain = find_brain(whole)
    middle = int(np.median(np.nonzero(brain)[2]))
    affine = whole.affine.copy()
    affine[:3, 3] += affine[:3, 2] * middle
    half = Volume(whole.data[:, :, middle:], affine, "half.nii.gz")
    found = register(whole, brain, half, brain[:, :, middle:])
    quality = scan_quality("T1w", half, half, brain[:, :, middle:], np.ones(half.data.shape), found)
    assert any(flag.startswith("shows only") for flag in quality.flags)


def test_a_head_that_lies_otherwise_than_its_header_says_is_flagged(scans) -> None:
    scan = scans["PDw"]
    brain = find_brain(scan)
    ones = np.ones(scan.data.shape, np.float32)
    assert not scan_quality("PDw", scan, scan, brain, ones).flags
    # Its front at the header's top, and its top at the header's front.
    data, found, ones = (np.swapaxes(each, 1, 2) for each in (scan.data, brain, ones))
    turned = Volume(data, np.diag([*scan.voxel_mm[[0, 2, 1]], 1]), "turned.nii.gz")
    flags = scan_quality("PDw", turned, turned, found, ones).flags
    assert flags == ("turned: its right, front and top seem to be the header's R, S, A",)


def test_what_does_not_fit_in_one_place_is_flagged(aligned: AlignedSubject) -> None:
    """As two people's scans lie; tests/workflow/test_raw_workflow.py has such a pair."""
    scan = aligned.images["T1w"]
    found = dataclasses.replace(aligned.quality[1].registration, distinct=LIMITS.distinct - 0.01)
    quality = scan_quality("T1w", scan, scan, aligned.brain, np.ones(scan.data.shape), found)
    assert "the scans fit no better than those of two people" in quality.flags


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_and_a_read_only_folder(small_disk: Path) -> None:
    noise = Volume(np.random.default_rng(1).random((40, 40, 40), np.float32), np.eye(4))
    subject = AlignedSubject(
        {"PDw": noise}, {"PDw": noise.data > 0.5}, {"PDw": np.eye(4)}, [], noise.data > 0.5
    )
    files = {"PDw": small_disk / "sub-01_PDw.nii"}
    with pytest.raises(StudyError, match=r"sub-01_PDw.nii: cannot be written \(No space left"):
        write_aligned(subject, files, small_disk / "mask.nii")
    assert not list(small_disk.iterdir()), "half a file was left"
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StudyError, match="Read-only file system"):
        write_transform(small_disk / "x.tfm", np.eye(4))


# -- the parts ------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_worlds_agree_with_simpleitk(seed: int) -> None:
    rng = np.random.default_rng(seed)
    affine = rigid(seed, 40, 90) @ np.diag([*rng.uniform(0.5, 3, 3), 1])
    image = to_itk(rng.random((5, 6, 7), np.float32), affine)
    index = rng.uniform(0, 4, 3)
    lps = np.array(image.TransformContinuousIndexToPhysicalPoint(index.tolist()))
    np.testing.assert_allclose(lps * [-1, -1, 1], (affine @ [*index, 1])[:3], atol=1e-4)
    matrix = rigid(seed + 1, 60, 40)
    np.testing.assert_allclose(matrix_of(itk_transform(matrix)), matrix, atol=1e-9)


def test_a_sheared_affine_is_refused() -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.1
    with pytest.raises(StudyError, match=r"scan.nii: the affine is sheared.*;"):
        to_itk(np.zeros((50, 50, 50), np.float32), affine, "scan.nii")


def test_resampling_agrees_with_nibabel() -> None:
    rng = np.random.default_rng(4)
    moving = nib.Nifti1Image(rng.random((20, 22, 24), np.float32), rigid(1, 20, 5))
    shape, affine = (18, 19, 20), rigid(2, 10, 3) @ np.diag([1.1, 0.9, 1.3, 1])
    matrix = rigid(3, 15, 4)
    # nibabel knows nothing of the matrix, so the moving image is put where it belongs.
    placed = nib.Nifti1Image(moving.dataobj, np.linalg.inv(matrix) @ moving.affine)
    expected = resample_from_to(placed, (shape, affine), order=1).get_fdata()
    fixed = Volume(np.zeros(shape, np.float32), affine)
    found = resample_onto(volume_like(moving), matrix, fixed, order=1)
    # At the edge the two libraries differ in where a volume ends.
    inside = resample_from_to(
        nib.Nifti1Image(np.ones(moving.shape, np.float32), placed.affine), (shape, affine), order=1
    ).get_fdata()
    sure = inside > 0.999
    assert sure.sum() > 500
    np.testing.assert_allclose(found[sure], expected[sure], atol=2e-3)


def volume_like(image: nib.Nifti1Image) -> Volume:
    return Volume(np.asarray(image.dataobj), image.affine)


def test_distances_and_agreement_have_closed_forms() -> None:
    points = np.array([[3.0, 4, 0], [0, 0, 7]])
    shift = nib.affines.from_matvec(np.eye(3), [1, 2, 2])
    np.testing.assert_allclose(distances(points, np.eye(4), shift), 3)
    turn = nib.affines.from_matvec(nib.eulerangles.euler2mat(z=np.pi / 2), np.zeros(3))
    np.testing.assert_allclose(distances(points, np.eye(4), turn), [5 * np.sqrt(2), 0], atol=1e-9)
    box = np.zeros((30, 30, 30), bool)
    box[10:20, 10:20, 10:20] = True
    half = nib.affines.from_matvec(np.eye(3), [5, 0, 0])
    assert mask_agreement(box, np.eye(4), box, np.eye(4), half) == pytest.approx(0.5)
    assert mask_agreement(box, np.eye(4), box, np.eye(4), np.eye(4)) == 1
    assert len(surface_points(box, np.eye(4))) == 10**3 - 8**3


def test_a_known_receive_field_is_found(truth: ixi_archive.Truth) -> None:
    scan = volume_of(truth.images["T1w"])
    brain = volume_of(truth.masks["T1w"]).data > 0
    x, _, z = (np.indices(brain.shape)[axis] / brain.shape[axis] for axis in range(3))
    field = np.exp(0.6 * np.sin(2.5 * x) - 0.4 * z).astype(np.float32)
    _, plain = correct_bias(scan, brain)
    corrected, found = correct_bias(Volume(scan.data * field, scan.affine), brain)
    ratio = np.log(found[brain] / plain[brain])
    assert np.corrcoef(ratio, np.log(field[brain]))[0, 1] > 0.97
    assert found[brain].mean() == pytest.approx(1, abs=0.05)
    bright = brain & (scan.data / field > np.percentile((scan.data / field)[brain], 60))
    assert variation(corrected.data, bright) < variation(scan.data * field, bright)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR", "LIA", "SAL"])
def test_a_result_goes_back_to_the_files_own_axes(codes: str, tmp_path: Path) -> None:
    data = np.random.default_rng(1).random((6, 7, 8), np.float32)
    image = nib.Nifti1Image(data, rigid(5, 10, 20) @ np.diag([1, 1.2, 2, 1]))
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(codes)
    )
    path = tmp_path / "scan.nii"
    nib.save(image.as_reoriented(turn), path)
    space = own_space(path)
    restored = space.restore(read_volume(path).data)
    np.testing.assert_array_equal(restored, np.asarray(nib.load(path).dataobj))
    np.testing.assert_allclose(space.affine, nib.load(path).affine)
