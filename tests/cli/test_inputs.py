"""No input is ever written over, and the kinds of scan that people have are read, or refused."""

import gzip
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml

from lmidiff.__main__ import main
from lmidiff.cli.scans import Order, each_scan
from lmidiff.common.errors import StudyError
from lmidiff.common.outputs import check_apart, check_outputs
from lmidiff.data.bids import read_bids
from lmidiff.data.downloads import Downloads
from lmidiff.data.orientation import OwnSpace
from lmidiff.data.own_space import BRAIN_ML, OwnScan, check_plausible, contrast_of
from lmidiff.data.quality import scan_quality
from lmidiff.data.sheet import read_sheet
from lmidiff.data.splits import read_split
from lmidiff.data.upright import is_cut, turned_axes
from lmidiff.data.volumes import Volume, read_volume
from lmidiff.data.voxels import even_share
from lmidiff.evaluation.segmentation import KMeansModel, lies_as_tissue
from lmidiff.methods import METHODS, methods_for
from lmidiff.models.histogram import QUANTILES
from lmidiff.models.weights import publish
from lmidiff.records.recorded import NEEDED, record
from lmidiff.study.study import Study
from workflows import ROOT

SHAPE, VOXEL = (40, 46, 36), 4.0
AFFINE = np.array([[-VOXEL, 0, 0, 80], [0, VOXEL, 0, -100], [0, 0, VOXEL, -60], [0, 0, 0, 1.0]])
IMAGES = {
    "target": "T1w",
    "percentile": 99.5,
    "grid": {"image_size": 32, "pixel_size": 6.0, "slices": 4, "extent": [0.2, 0.8]},
}


def brain(shape=SHAPE) -> np.ndarray:
    """A stripped egg of a brain: longer than wide, flat below, with a darker core."""
    x, y, z = (np.indices(shape)[k] - shape[k] / 2 for k in range(3))
    inside = (x / 17) ** 2 + (y / 21) ** 2 + (z / 15) ** 2 < 1
    core = (x / 5) ** 2 + (y / 8) ** 2 + (z / 4) ** 2 < 1
    data = inside * (700.0 + 3 * y) - 400 * core
    return (data * (z > -11)).astype(np.float32)


def save(path: Path, data, affine=AFFINE, codes=(1, 1), qform=None, unit="mm") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(data, affine)
    image.set_sform(affine, codes[0])
    image.set_qform(affine if qform is None else qform, codes[1])
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return path


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return save(tmp_path / "data" / "sub-01_PDw.nii.gz", brain())


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    return save(tmp_path / "data" / "mask.nii.gz", (brain() > 0).astype(np.uint8))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    quantiles = {"quantiles": torch.linspace(0, 1, QUANTILES), "dimming": torch.tensor(0.6)}
    publish(path, quantiles, {"family": "histogram", "images": IMAGES})
    return path


@pytest.fixture(scope="module")
def kmeans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kmeans") / "kmeans.json"
    KMeansModel((0.2, 0.5, 0.8), 100, 1).save(path)
    return path


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """Run a command that must fail; its one line."""
    assert main([str(part) for part in arguments]) == 1
    said = capsys.readouterr().err.splitlines()
    lines = [line for line in said if line.startswith("ERROR ")]
    assert len(lines) == 1
    assert said[-1] == lines[0]
    return lines[0]


def done(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """Run a command that must succeed; what it said."""
    assert main([str(part) for part in arguments]) == 0
    return capsys.readouterr().err


# --- no input is written over ---------------------------------------------------------------


def aliases(folder: Path, path: Path) -> dict[str, Path]:
    """Other names of a file."""
    links = {"itself": path, "relative": path.parent / ".." / path.parent.name / path.name}
    links["symbolic"] = folder / "symbolic.nii.gz"
    links["symbolic"].symlink_to(path)
    links["hard"] = folder / "hard.nii.gz"
    os.link(path, links["hard"])
    linked = folder / "linked"
    linked.symlink_to(path.parent)
    links["through a folder"] = linked / path.name
    return links


NAMES = ["itself", "relative", "symbolic", "hard", "through a folder"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("victim", ["scan", "mask"])
def test_translate_and_segment_never_write_over_what_they_read(
    name, victim, scan, mask, weights, kmeans, tmp_path, capsys
):
    out = aliases(tmp_path, {"scan": scan, "mask": mask}[victim])[name]
    before = {path: path.read_bytes() for path in (scan, mask, weights, kmeans)}
    given = ["--source", scan, "--mask", mask, "--out", out]
    for command in (["translate", "--weights", weights], ["segment", "--model", kmeans]):
        said = refused(capsys, *command, *given)
        assert "only read" in said
        assert str(out) in said
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.parametrize("name", NAMES)
def test_preprocess_never_writes_into_the_scans(name, tmp_path, capsys):
    raw = tmp_path / "raw"
    one, two = save(raw / "PDw.nii.gz", brain()), save(raw / "other.nii.gz", brain() + 1)
    folder = {"symbolic": tmp_path / "link", "through a folder": tmp_path / "link" / "." / ""}
    (tmp_path / "link").symlink_to(raw)
    out = folder.get(name, raw)
    if name == "hard":
        out = tmp_path / "elsewhere"
        out.mkdir()
        os.link(one, out / "PDw.nii.gz")
    before = one.read_bytes()
    said = refused(capsys, "preprocess", "--scans", f"PDw={one}", f"T1w={two}", "--out", out)
    assert "only read" in said
    assert one.read_bytes() == before
    assert sorted(path.name for path in raw.iterdir()) == ["PDw.nii.gz", "other.nii.gz"]


def test_a_volume_of_a_file_is_that_file(mask, weights, kmeans, tmp_path, capsys):
    scan = save(tmp_path / "raw" / "PDw.nii.gz", np.stack([brain(), brain() + 1], -1))
    before, link = scan.read_bytes(), tmp_path / "link.nii.gz"
    link.symlink_to(scan)
    for out in (scan, link):
        given = ["--source", f"{scan}#1", "--mask", mask, "--out", out]
        assert "only read" in refused(capsys, "translate", "--weights", weights, *given)
        assert "only read" in refused(capsys, "segment", "--model", kmeans, *given)
    given = ["--mask", mask, "--out", scan.parent]
    assert "only read" in refused(capsys, "preprocess", "--scans", f"PDw={scan}#1", *given)
    twice = ["--scans", f"PDw={scan}#1", f"T1w={link}#1", "--out", tmp_path / "new"]
    assert "is given as T1w and as PDw" in refused(capsys, "preprocess", *twice)
    assert scan.read_bytes() == before


def test_the_uncertainty_is_an_output_too(scan, mask, weights, tmp_path, capsys):
    victim = tmp_path / "out_uncertainty.nii.gz"
    shutil.copy(scan, victim)
    out = tmp_path / "out.nii.gz"
    given = ["--source", victim, "--mask", mask, "--out", out, "--uncertainty"]
    assert "only read" in refused(capsys, "translate", "--weights", weights, *given)
    assert not out.exists()


def test_nothing_is_read_before(tmp_path, capsys):
    """A scan that cannot be read is not read: the name alone is refused."""
    path = tmp_path / "x.nii.gz"
    path.write_bytes(b"no scan")
    given = ["--weights", tmp_path / "none", "--source", path, "--out", path]
    assert "only read" in refused(capsys, "translate", *given)


def test_another_case_is_the_same_file_where_the_file_system_says_so(tmp_path, monkeypatch):
    scan = tmp_path / "scan.nii.gz"
    scan.write_bytes(b"x")
    check_outputs([tmp_path / "SCAN.nii.gz"], [scan])  # this file system tells them apart
    plain = Path.stat
    fold = lambda self, **how: plain(self.with_name(self.name.lower()), **how)  # noqa: E731
    monkeypatch.setattr(Path, "stat", fold)
    with pytest.raises(StudyError, match="only read"):
        check_outputs([tmp_path / "SCAN.nii.gz"], [scan])


def test_a_dangling_link_to_what_will_be_read_is_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "coming.nii.gz")
    with pytest.raises(StudyError, match="take the place of"):
        check_outputs([tmp_path / "link"], [tmp_path / "coming.nii.gz"])


@pytest.mark.parametrize(
    ("out", "says"),
    [("folder.nii.gz", "is a folder"), ("file/out.nii.gz", "is not a folder")],
)
def test_what_cannot_be_written_is_said_first(out, says, scan, weights, tmp_path, capsys):
    (tmp_path / "folder.nii.gz").mkdir()
    (tmp_path / "file").write_text("")
    given = ["--weights", weights, "--source", scan, "--out", tmp_path / out]
    said = refused(capsys, "translate", *given)
    assert says in said or "is not a folder" in said


def test_a_read_only_place_is_said_first(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StudyError, match="cannot be written"):
        check_outputs([tmp_path / "new" / "out.nii.gz"], [])


@pytest.mark.parametrize("how", ["inside", "link"])
def test_a_study_writes_into_no_folder_that_it_reads(how, tmp_path):
    folder = tmp_path / "results" / "mine"
    scan = folder / "raw" / "x.nii.gz"
    scan.parent.mkdir(parents=True)
    scan.write_bytes(b"x")
    given = scan
    if how == "link":
        (tmp_path / "scans").symlink_to(scan.parent)
        given = tmp_path / "scans" / "x.nii.gz"
    with pytest.raises(StudyError, match=r"study 'mine' writes into .* where it also reads"):
        check_apart(folder, [given], "mine")
    check_apart(tmp_path / "results" / "other", [given], "other")


def test_a_config_whose_sheet_names_its_own_results_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    rows = ["subject\tmodality\tpath\tsplit"]
    for number, split in enumerate(("train", "val", "test")):
        for name in ("T1w", "PDw", "T2w", "FLAIR"):
            path = save(Path(f"results/default/raw/{number}_{name}.nii.gz"), brain())
            rows.append(f"0{number}\t{name}\t{path.resolve()}\t{split}")
    Path("sheet.tsv").write_text("\n".join(rows) + "\n")
    config["data"]["cohorts"] = {"mine": {"kind": "sheet", "sheet": "sheet.tsv"}}
    with pytest.raises(StudyError, match="writes into results/default"):
        Study(config)


@pytest.mark.parametrize("place", ["absolute", "beside the people"])
def test_a_split_file_in_its_own_results_is_refused(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    people = touch(
        tmp_path / "bids",
        *(
            f"sub-{n}/anat/sub-{n}_{m}.nii.gz"
            for n in "123"
            for m in ("T1w", "PDw", "T2w", "FLAIR")
        ),
    )
    split = tmp_path / "results" / "default" / "split.tsv"
    split.parent.mkdir(parents=True)
    split.write_text("subject\tsplit\n1\ttrain\n2\tval\n3\ttest\n")
    named = str(split) if place == "absolute" else "../results/default/split.tsv"
    config["data"]["cohorts"] = {"mine": {"kind": "bids", "folder": str(people), "split": named}}
    with pytest.raises(StudyError, match="writes into results/default"):
        Study(config)


def test_a_replay_never_writes_into_the_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for key in ("recorded", "checkpoints"):
        (tmp_path / "results" / key / "default").mkdir(parents=True)
        table = "subject\tsplit\n01\ttrain\n02\tval\n03\ttest\n"
        (tmp_path / "results" / key / "default" / "split.tsv").write_text(table)
        (tmp_path / "kept").symlink_to(tmp_path / "results" / key)
        with pytest.raises(StudyError, match=f"writes into results/{key}/default"):
            Study(config | {"study": "default", key: "kept/default"})
        (tmp_path / "kept").unlink()


def test_a_record_is_not_recorded_over_itself(tmp_path):
    folder = tmp_path / "reference" / "mine"
    touch(folder, *NEEDED)
    with pytest.raises(StudyError, match="is the record itself"):
        record(folder, tmp_path / "reference")
    assert all((folder / name).read_bytes() == b"x" for name in NEEDED)


# --- what the header says -------------------------------------------------------------------


def translated(capsys, scan, weights, *more) -> tuple[nib.Nifti1Image, str]:
    out = scan.with_name("out.nii.gz")
    said = done(capsys, "translate", "--weights", weights, "--source", scan, "--out", out, *more)
    return nib.load(out), said


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


# --- what the voxels say --------------------------------------------------------------------


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


# --- masks ----------------------------------------------------------------------------------


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


# --- is it a brain, and how does it lie -----------------------------------------------------


def template() -> np.ndarray:
    from nilearn import datasets

    data = datasets.load_mni152_brain_mask(resolution=4).dataobj
    return np.pad(np.asarray(data) > 0, 2)


TURNS = {
    "on its face": lambda b: np.transpose(b, (0, 2, 1))[:, ::-1],
    "upside down": lambda b: b[:, :, ::-1],
    "back to front": lambda b: b[:, ::-1],
    "on its side": lambda b: np.transpose(b, (2, 1, 0)),
    "axes cycled": lambda b: np.transpose(b, (1, 2, 0)),
}


def test_an_upright_brain_is_not_doubted_and_part_of_one_neither():
    whole = template()
    assert turned_axes(whole, np.diag([4.0, 4, 4, 1])) == ""
    assert turned_axes(whole[::-1], np.diag([4.0, 4, 4, 1])) == "", "a mirror image has no sign"
    assert turned_axes(whole[:, :, 18:], np.diag([4.0, 4, 4, 1])) == ""


@pytest.mark.parametrize("how", TURNS)
def test_a_brain_that_lies_otherwise_is_doubted(how):
    assert turned_axes(TURNS[how](template()), np.diag([4.0, 4, 4, 1])) != ""


def test_a_brain_cropped_to_its_own_extent_is_not_cut():
    whole = template()
    box = tuple(slice(found.min(), found.max() + 1) for found in np.nonzero(whole))
    tight, edges = whole[box], np.diag([4.0, 4, 4, 1])
    assert turned_axes(tight, edges) == ""
    assert turned_axes(tight[:, :, ::-1], edges) == "R, A, I"
    assert not is_cut(tight)
    assert is_cut(tight[:, :, : -tight.shape[2] // 8])


def own(brain_: np.ndarray, edge: float, found: bool = True) -> OwnScan:
    affine = np.diag([edge, edge, edge, 1])
    greys = np.linspace(0.2, 1, len(brain_), dtype=np.float32)[:, None, None]
    volume = Volume(brain_ * greys, affine, "scan.nii")
    return OwnScan(volume, brain_, OwnSpace(brain_.shape, affine), found)


def test_what_is_cut_or_has_hardly_a_contrast_is_said():
    whole = template()
    (line,) = check_plausible(own(whole[:, :, 18:], 4.0))
    assert "the field of view cuts the brain" in line
    scan = own(whole, 4.0)
    even = Volume(np.where(whole, 1, 0).astype(np.float32), scan.volume.affine, "even.nii")
    (line,) = check_plausible(replace(scan, volume=even))
    assert line.startswith("even.nii: its contrast (0.00) is none that this was tried on")
    assert contrast_of(scan.volume.data, whole) == pytest.approx(0.6, abs=0.15)
    assert contrast_of(np.zeros(whole.shape), whole) == np.inf


def test_what_is_no_brains_size_is_refused_unless_a_mask_is_given():
    whole = template()
    assert check_plausible(own(whole, 4.0)) == []
    with pytest.raises(StudyError, match="no magnitude image"):
        check_plausible(own(whole, 2.5))
    assert "look at the mask" in check_plausible(own(whole, 2.5, found=False))[0]
    slab = whole[:, :, 20:23]
    ml = slab.sum() * 0.064
    assert ml < BRAIN_ML[0]
    assert "look at the mask" in check_plausible(own(slab, 4.0))[0], "a slab is less than a brain"


def test_a_map_of_labels_as_the_scan_is_said(tmp_path, weights, capsys):
    whole = template()
    depth = np.minimum(brain() // 150, 3).astype(np.uint8)
    scan = save(tmp_path / "labels.nii.gz", np.where(brain() > 0, 1 + (depth > 2), 0).astype("u1"))
    _, said = translated(capsys, scan, weights)
    assert "equal all their neighbours, as in a map of labels; give the scan itself" in said
    noise = np.random.default_rng(0).random(whole.shape)
    assert even_share(np.round(50 * noise), whole) < 0.01
    ones = np.ones(whole.shape, np.float32)
    volume = Volume(whole.astype(np.float32), np.diag([4.0, 4, 4, 1]), "map.nii")
    assert any(
        "map of labels" in flag for flag in scan_quality("T1w", *[volume] * 2, whole, ones).flags
    )


def test_tissues_lie_where_tissues_lie():
    depth = np.minimum.reduce([np.minimum(place, 19 - place) for place in np.indices((20,) * 3)])
    labels = np.digitize(depth, [3, 6]) + 1
    assert lies_as_tissue(labels, np.ones(3))
    assert not lies_as_tissue(4 - labels, np.ones(3))


def test_a_segmenter_says_what_it_does_not_know(scan, mask, kmeans, capsys):
    given = ["--model", kmeans, "--source", scan, "--mask", mask, "--out", scan.with_name("o.nii")]
    said = done(capsys, "segment", *given)
    assert "may not be the modality" in said, "the dark core is deepest"
    plain = given[:4] + given[6:]
    assert "is no translation" in refused(capsys, "segment", *plain, "--translated")
    flat = save(scan.with_name("flat.nii.gz"), (brain() > 0).astype(np.float32))
    said = refused(capsys, "segment", *given[:2], flat, *given[6:], "--translated")
    assert "as in a mask or a map of labels; name the translation" in said
    said = done(capsys, "segment", "--model", kmeans, "--out", scan.with_name("o.nii"), flat)
    assert "as in a map of labels" in said
    five = scan.with_name("five.json")
    KMeansModel((0.1, 0.2, 0.5, 0.7, 0.9), 100, 1).save(five)
    said = refused(capsys, "segment", "--model", five, *given[2:])
    assert "has 5 centres, and this command labels csf, gm, wm" in said


def test_a_brain_of_hardly_any_white_matter_is_doubted(tmp_path, kmeans, capsys):
    """As of a T2w, whose fluid alone is as bright as a T1w's white matter."""
    x, y, z = (np.abs(np.indices(SHAPE)[k] - SHAPE[k] / 2) for k in range(3))
    data = brain() * 0.3
    data[(x < 3) & (y < 4) & (z < 3)] = 1000
    scan = save(tmp_path / "a.nii.gz", data.astype(np.float32))
    said = done(capsys, "segment", "--model", kmeans, "--out", tmp_path / "o.nii", scan)
    assert "of the brain is labelled white matter, so this may not be the modality" in said


# --- weights, numbers -----------------------------------------------------------------------


def test_weights_say_which_methods_they_serve(scan, weights, capsys):
    for name in ("supervised", "sdedit", "lmidiffusion", "nonsense"):
        given = ["--weights", weights, "--source", scan, "--out", scan.with_name("o.nii.gz")]
        said = refused(capsys, "translate", *given, "--method", name)
        assert "serves histogram, inverted_histogram" in said
    for condition, fits in (("none", "sdedit"), ("both", "lmidiffusion"), ("frequency", "fgdm")):
        found = methods_for({"family": "diffusion", "guidance": {"condition": condition}})
        assert fits in found
        assert ("lmidiffusion" in found) == (condition != "none")
    families = {"cyclegan", "regression", "supervised", "stylegan"}
    assert all(set(methods_for({"family": name})) < set(METHODS) for name in families)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--spacing", value) for value in ("nan", "inf", "-1", "0", "x", "1e9")),
        *(("--steps", value) for value in ("0", "-3", "nan", "1.5", "99999")),
        *(("--draws", value) for value in ("0", "inf")),
        *(("--seed", value) for value in ("-1", "nan", "1e3")),
        *(("--volume", value) for value in ("-1", "nan")),
    ],
)
def test_numbers_beyond_sense_are_one_line(option, value, scan, weights, capsys):
    given = ["--weights", weights, "--source", scan, "--out", scan.with_name("o.nii.gz")]
    with pytest.raises(SystemExit) as ended:
        main([str(part) for part in ("translate", *given, f"{option}={value}")])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"ERROR argument {option}: ")
    assert said.count("\n") == 1


# --- tables, BIDS ---------------------------------------------------------------------------


def touch(top: Path, *names: str) -> Path:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"x")
    return top


SEVERAL = {
    "two sessions": (
        ["sub-01/ses-1/anat/sub-01_ses-1_PDw.nii.gz", "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz"],
        "different sessions",
    ),
    "a session and none": (
        ["sub-01/anat/sub-01_PDw.nii.gz", "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz"],
        "different sessions",
    ),
    "the phase alone": (
        ["sub-01/anat/sub-01_PDw.nii.gz", "sub-01/anat/sub-01_part-phase_T1w.nii.gz"],
        "no magnitude image",
    ),
    "the real part alone": (
        ["sub-01/anat/sub-01_part-real_PDw.nii", "sub-01/anat/sub-01_T1w.nii.gz"],
        "no magnitude image",
    ),
    "two contrasts in one file": (
        ["sub-01/anat/sub-01_PDT2.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz"],
        r"holds PDw and T2w; .*sub-01_PDT2.nii.gz#0",
    ),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_what_bids_leaves_open_is_not_guessed(case, tmp_path):
    names, says = SEVERAL[case]
    with pytest.raises(StudyError, match=says):
        read_bids(touch(tmp_path, *names), ["T1w", "PDw"], "test")


def test_the_magnitude_is_taken(tmp_path):
    anat = "sub-01/anat/sub-01"
    touch(tmp_path, f"{anat}_PDw.nii.gz", f"{anat}_part-mag_T1w.nii.gz")
    touch(tmp_path, f"{anat}_part-phase_T1w.nii.gz")
    table = read_bids(tmp_path, ["T1w", "PDw"], "test")
    assert [Path(path).name for path in table["path"]] == [
        "sub-01_part-mag_T1w.nii.gz",
        "sub-01_PDw.nii.gz",
    ]


def test_split_files_as_people_write_them(tmp_path):
    path = tmp_path / "split.tsv"
    for text in (
        "split\tsubject\ntest\t01\ntrain\tsub-02\n",
        "subject\tsplit\tage\nsub-01\ttest\t40\n02\ttrain\t50\n",
        "Subject\tSplit\r\n01\ttest\r\n02\ttrain\r\n",
    ):
        path.write_text(text)
        found = read_split(path)
        assert found["test"] == ["sub-01"]
        assert found["train"] == ["sub-02"]
    touch(tmp_path, *(f"sub-01/anat/sub-01_{name}.nii.gz" for name in ("PDw", "T1w")))
    with pytest.raises(StudyError, match=r"split.tsv: sub-02 is not in"):
        read_bids(tmp_path, ["T1w", "PDw"], "split.tsv")


def test_a_sheet_knows_the_home_folder_and_volumes_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    touch(tmp_path, "x.nii.gz", "both.nii.gz")
    sheet = tmp_path / "deep" / "sheet.tsv"
    sheet.parent.mkdir()
    rows = ["01\tPDw\t~/x.nii.gz\ttest", "01\tT1w\t~/both.nii.gz#0\ttest"]
    rows.append("01\tT2w\t~/both.nii.gz#1\ttest")
    sheet.write_text("\n".join(["subject\tmodality\tpath\tsplit", *rows]) + "\n")
    table = read_sheet(sheet)
    assert list(table["path"]) == [
        str(tmp_path / name) for name in ("x.nii.gz", "both.nii.gz#0", "both.nii.gz#1")
    ]


def test_one_file_as_two_contrasts(scan, tmp_path, capsys):
    other = tmp_path / "again.nii.gz"
    os.link(scan, other)
    for second in (scan, other):
        given = ["--scans", f"PDw={scan}", f"T1w={second}", "--out", tmp_path / "out"]
        assert "is given as T1w and as PDw" in refused(capsys, "preprocess", *given)
    copy = tmp_path / "copy.nii"
    copy.write_bytes(gzip.decompress(scan.read_bytes()))
    given = ["--scans", f"PDw={scan}", f"T1w={copy}", "--out", tmp_path / "out"]
    assert "one image as PDw and as T1w" in refused(capsys, "preprocess", *given)
    pair = tmp_path / "x.img"
    nib.save(nib.Nifti1Pair(brain(), AFFINE), pair)
    given = ["--scans", f"PDw={pair}", f"T1w={pair.with_suffix('.hdr')}", "--out", tmp_path / "out"]
    assert "is given as T1w and as PDw" in refused(capsys, "preprocess", *given)


def test_pictures_of_a_single_slice(tmp_path, weights, capsys):
    slice_ = brain()[:, :, 18:19]
    scan = save(tmp_path / "a.nii.gz", slice_)
    mask = save(tmp_path / "m.nii.gz", (slice_ > 0).astype(np.uint8))
    translated(capsys, scan, weights, "--mask", mask, "--qc")
    assert list(tmp_path.glob("out*.png"))
    given = ["--scans", f"PDw={scan}", "--mask", mask, "--keep", "--out", tmp_path / "new"]
    done(capsys, "preprocess", *given)
    assert (tmp_path / "new" / "quality.png").exists()


@pytest.mark.parametrize("slices", [1, 3])
def test_too_few_slices_to_register(slices, tmp_path, capsys):
    whole = save(tmp_path / "a.nii.gz", brain())
    thin = save(tmp_path / "b.nii.gz", brain()[:, :, 18 : 18 + slices])
    for scans in ((whole, thin), (thin, whole)):
        given = ["--scans", f"PDw={scans[0]}", f"T1w={scans[1]}", "--out", tmp_path / "out"]
        assert "too thin to register" in refused(capsys, "preprocess", *given)


@pytest.mark.parametrize("name", ["x {y} z/scan.nii.gz", "scan}.nii.gz", "{scan}.nii.gz"])
def test_braces_in_a_name_are_told(name, tmp_path):
    path = save(tmp_path / name, brain())
    with pytest.raises(StudyError, match="has braces in its name; rename it"):
        Downloads([], [tmp_path]).stand_in(str(path))


# --- the machine ----------------------------------------------------------------------------


def test_a_name_of_two_lines_is_one_line(tmp_path, weights, capsys):
    given = ["--weights", weights, "--source", tmp_path / "a\nb.nii", "--out", tmp_path / "o.nii"]
    assert "a\\nb.nii: no such file" in refused(capsys, "translate", *given)


def test_too_little_memory_is_one_line(scan, mask, kmeans, tmp_path, capsys, monkeypatch):
    path = tmp_path / "huge.nii.gz"
    raw = bytearray(gzip.decompress(scan.read_bytes()))
    header = np.frombuffer(bytes(raw[:348]), dtype=nib.nifti1.header_dtype).copy()
    header["dim"][0, 1:4] = 30_000
    raw[:348] = header.tobytes()
    path.write_bytes(gzip.compress(bytes(raw), 1))
    given = ["segment", "--model", kmeans, "--out", tmp_path / "o.nii", "--source"]
    assert f"{path}: shape (30000, 30000, 30000) does not fit" in refused(capsys, *given, path)

    for allocate in (np.empty, torch.empty):
        monkeypatch.setattr("lmidiff.cli.segment.normalised", lambda *_, a=allocate: a(2**58))
        assert "the memory is not enough" in refused(capsys, *given, scan, "--mask", mask)
    assert not (tmp_path / "o.nii").exists()


def test_a_scan_that_needs_too_much_memory_stops_no_other(tmp_path, caplog):
    scans = [str(save(tmp_path / f"{name}.nii", brain())) for name in "ab"]
    orders = [Order(scan, tmp_path / "o.nii") for scan in scans]
    done = []

    def work(order: Order) -> None:
        if order.scan == scans[0]:
            torch.empty(2**58)
        done.append(order.scan)

    with pytest.raises(StudyError, match="1 of 2 scans"):
        each_scan(orders, work)
    assert done == scans[1:]
    assert "the memory is not enough" in caplog.text

    def broken(_: Order) -> None:
        raise RuntimeError("a fault of the program")

    with pytest.raises(RuntimeError, match="a fault of the program"):
        each_scan(orders, broken)


LIMITED = """
import resource, sys
from pathlib import Path
from lmidiff.__main__ import main
from lmidiff.cli.scans import Order, each_scan
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
sys.exit(main(sys.argv[1:]))
"""


def test_a_full_disk_loses_nothing(kmeans, tmp_path):
    """Files are held to 4 KB, as a disk that fills up while a result is written would."""
    noise = np.random.default_rng(1).random(SHAPE) * (brain() > 0)
    ready = save(tmp_path / "data" / "t1.nii.gz", noise.astype(np.float32))
    out = tmp_path / "o.nii"
    out.write_bytes(b"an earlier result")
    given = ["segment", "--model", kmeans, "--source", ready, "--translated", "--out", out]
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, *map(str, given)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == f"ERROR {out}: cannot be written (File too large)"
    assert "Traceback" not in ended.stderr
    assert out.read_bytes() == b"an earlier result"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "o.nii"]
