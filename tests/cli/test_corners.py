"""Names, formats and places in which a command once ended in a traceback or replaced a file."""

import gzip
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lmidiff.__main__ import main
from lmidiff.cli.scans import _sources
from lmidiff.common.errors import StudyError
from lmidiff.common.files import split_volume
from lmidiff.data.align import write_transform
from lmidiff.data.volumes import read_volume
from lmidiff.models.histogram import QUANTILES, load
from lmidiff.models.weights import read_weights
from lmidiff.report.viewer import volume_of
from small_scans import AFFINE, SHAPE, brain, done, refused, save

NO_TEXT = os.fsdecode(b"out\xff")


def aligned(scan: Path, mask: Path, out: Path) -> list[object]:
    return ["preprocess", f"PDw={scan}", "--mask", mask, "--keep", "--out", out]


# --- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [NO_TEXT, "a$b_$^c", "cost $\\foo$"])
def test_a_folder_of_any_name_takes_results(name, scan, mask, tmp_path, capsys):
    done(capsys, *aligned(scan, mask, tmp_path / name))
    assert (tmp_path / name / "quality.png").exists()


def test_a_transform_in_a_folder_whose_name_is_no_text(tmp_path):
    place = tmp_path / NO_TEXT
    place.mkdir()
    write_transform(place / "xfm.tfm", np.eye(4))
    assert (place / "xfm.tfm").read_text().startswith("#Insight Transform File")


def test_a_page_of_a_file_whose_name_is_no_text(tmp_path, capsys):
    path = tmp_path / f"{NO_TEXT}.nii"
    path.write_bytes(save(tmp_path / "a.nii", brain()).read_bytes())
    done(capsys, "view", path, "-o", tmp_path / "v.html")
    assert (tmp_path / "v.html").read_bytes()


def test_what_was_typed_stays_on_one_line(scan, capsys):
    with pytest.raises(SystemExit):
        main(["view", str(scan), "--bo\ngus\x1b"])
    assert capsys.readouterr().err.count("\n") == 1


def test_warnings_stay_on_one_line(tmp_path, weights, capsys):
    path = save(tmp_path / "a\rb\nc.nii", brain() - 0)
    path.write_bytes(path.read_bytes())
    both = np.maximum(brain()[8:32, 8:38, 12:26], 1)
    save(path, both)
    mask = save(tmp_path / "m.nii", np.ones(both.shape, np.uint8))
    given = ["--weights", weights, "--mask", mask, "--out", tmp_path / "o.nii"]
    said = done(capsys, "translate", *given, path)
    assert "a\\rb\\nc.nii" in said
    assert "\r" not in said
    assert all(line[:2].isdigit() for line in said.splitlines())


def test_a_cell_longer_than_a_name_can_be_is_no_crash():
    assert split_volume("x" * 300 + "#1") == (Path("x" * 300), 1)


# --- formats --------------------------------------------------------------------------------


def damaged(path: Path) -> Path:
    """A file of another format that its reader cannot make sense of."""
    image = nib.MGHImage(brain(), AFFINE)
    whole = path.with_name("whole.mgh")
    nib.save(image, whole)
    raw = bytearray(whole.read_bytes())
    whole.unlink()
    if path.name.startswith("cut"):
        raw = raw[:40]
    if path.name.startswith("kind"):
        raw[20:24] = (77).to_bytes(4, "big")
    if path.suffix == ".gii":
        raw = bytearray(b"<?xml version='1.0'?><GIFTI")
    if path.suffix == ".mnc":
        raw = bytearray(b"CDF\x01" + bytes(200))
    path.write_bytes(gzip.compress(bytes(raw)) if path.suffix == ".mgz" else bytes(raw))
    return path


@pytest.mark.parametrize("name", ["cut.mgh", "cut.mgz", "kind.mgh", "kind.mgz", "a.gii", "a.mnc"])
def test_a_damaged_file_of_another_format_is_one_line(name, tmp_path):
    with pytest.raises(StudyError, match=rf"{name}: cannot be read"):
        read_volume(damaged(tmp_path / name))


def test_a_damaged_file_stops_no_other(tmp_path, kmeans, capsys):
    good = save(tmp_path / "good.nii", brain() / 1000)
    bad = damaged(tmp_path / "cut.mgz")
    given = ["segment", "--model", kmeans, "--translated", bad, good]
    assert main([str(part) for part in given]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("ERROR ")
    assert len(list(tmp_path.glob("good_*dseg*"))) == 1


def test_a_half_that_cannot_be_opened_is_not_called_damaged(tmp_path):
    nib.save(nib.Nifti1Pair(brain(), AFFINE), tmp_path / "pair.img")
    (tmp_path / "pair.img").unlink()
    (tmp_path / "pair.img").mkdir()  # rights are no hindrance to root
    with pytest.raises(StudyError, match=r"pair\.img: Is a directory\); check its rights"):
        read_volume(tmp_path / "pair.hdr")


def test_an_axis_longer_than_a_result_can_say(tmp_path):
    path = tmp_path / "long.nii"
    nib.save(nib.Nifti2Image(np.ones((40_000, 2, 2), np.float32), np.diag([0.05, 3, 3, 1])), path)
    with pytest.raises(StudyError, match="has an axis longer than 32767"):
        read_volume(path)


def test_several_volumes_in_a_file_with_brackets_in_its_name(tmp_path):
    path = save(tmp_path / "two (1).nii", np.stack([brain()] * 2, -1))
    with pytest.raises(StudyError, match=r"the first is two \(1\).nii#0"):
        read_volume(path, role="PDw")


def test_places_on_a_page_are_in_millimetres(tmp_path):
    micron = np.diag([1000, 1000, 1000, 1]) @ AFFINE
    image = volume_of(save(tmp_path / "a.nii", brain(), micron, unit="micron"), "a")
    np.testing.assert_allclose(image.affine, AFFINE, rtol=1e-5)


def test_a_page_warns_of_a_header_without_a_place(tmp_path, capsys):
    path = save(tmp_path / "a.nii", brain(), codes=(0, 0))
    said = done(capsys, "view", path, "-o", tmp_path / "v.html")
    assert "left and right are unknown" in said


# --- places ---------------------------------------------------------------------------------


def test_volumes_of_one_file_go_to_folders_of_their_own(mask, tmp_path, capsys):
    both = save(tmp_path / "both.nii.gz", np.stack([brain()] * 2, -1))
    for number in (0, 1):
        done(capsys, *aligned(f"{both}#{number}", mask, tmp_path)[:-2])
    assert {path.name for path in tmp_path.glob("both_*")} == {
        f"both_volume-{number}_desc-lmidiff_aligned" for number in (0, 1)
    }


def test_results_of_other_scans_are_kept(scan, mask, tmp_path, capsys):
    out = tmp_path / "out"
    done(capsys, *aligned(scan, mask, out))
    done(capsys, *aligned(scan, mask, out))
    other = tmp_path / "other.nii.gz"
    other.write_bytes(scan.read_bytes())
    assert "holds the results of sub-01_PDw.nii.gz (PDw), not of other.nii.gz (PDw)" in refused(
        capsys, *aligned(other, mask, out)
    )
    (out / "T1w.nii.gz").write_bytes(b"mine")
    assert "holds the results of" in refused(
        capsys, "preprocess", f"T1w={other}", *aligned(scan, mask, out)[1:]
    )
    assert (out / "T1w.nii.gz").read_bytes() == b"mine"
    (out / "quality.json").write_text("[" * 100_000)
    assert "lmidiff preprocess did not write it" in refused(capsys, *aligned(scan, mask, out))


def test_two_people_whose_scans_have_one_name_are_kept_apart(scan, mask, tmp_path, capsys):
    other = tmp_path / "another" / scan.name
    other.parent.mkdir()
    other.write_bytes(scan.read_bytes())
    out = tmp_path / "out"
    done(capsys, *aligned(scan, mask, out))
    before = (out / "quality.json").read_bytes()
    assert f"holds the results of {scan}, not of {other}" in refused(
        capsys, *aligned(other, mask, out)
    )
    assert (out / "quality.json").read_bytes() == before
    (tmp_path / "link").symlink_to(scan.parent)
    done(capsys, *aligned(tmp_path / "link" / scan.name, mask, out))


def test_results_are_as_private_as_the_umask_says(tmp_path):
    code = """
from pathlib import Path
from lmidiff.common.files import atomic_folder, write_text
write_text("a.txt", "x")
with atomic_folder("b") as folder:
    (folder / "c").touch()
"""
    for umask, file, folder in (("077", 0o600, 0o700), ("002", 0o664, 0o775)):
        command = f'umask {umask}; "{sys.executable}" -c "$0"'
        subprocess.run(["bash", "-c", command, code], cwd=tmp_path, check=True)
        modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b")]
        assert modes == [file, folder]


def test_what_is_protected_or_no_file_is_no_place_for_a_result(
    scan, mask, kmeans, tmp_path, capsys
):
    given = ["segment", "--model", kmeans, "--mask", mask, scan, "--out"]
    kept = tmp_path / "kept.nii"
    kept.write_bytes(b"x")
    kept.chmod(stat.S_IRUSR)
    assert "is write-protected" in refused(capsys, *given, kept)
    os.mkfifo(tmp_path / "pipe.nii")
    assert "is no plain file" in refused(capsys, *given, tmp_path / "pipe.nii")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert "dangling is not a folder" in refused(capsys, *given, tmp_path / "dangling" / "o.nii")


def test_a_picture_of_ones_own_is_kept(scan, mask, weights, tmp_path, capsys):
    (tmp_path / "k_qc.png").write_bytes(b"mine")
    given = ["translate", "--weights", weights, "--mask", mask, "--out", tmp_path / "k.nii", scan]
    assert "k_qc.png: would be written over" in refused(capsys, *given, "--qc")
    done(capsys, *given)
    assert (tmp_path / "k_qc.png").read_bytes() == b"mine"


def test_a_persons_folder_holds_scans_of_that_person(tmp_path):
    anat = tmp_path / "sub-01" / "anat"
    mine = save(anat / "sub-01_PDw.nii", brain())
    save(anat / "sub-02_PDw.nii", brain())
    assert _sources(anat) == [mine]


# --- weights --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil",
    [
        lambda w: {**w, "quantiles": torch.zeros(QUANTILES)},
        lambda w: {**w, "quantiles": w["quantiles"].flip(0)},
        lambda w: {**w, "quantiles": 9 * w["quantiles"] + 2},
        lambda w: {**w, "quantiles": w["quantiles"].long()},
        lambda w: {**w, "dimming": torch.tensor(-5.0)},
        lambda w: {**w, "dimming": torch.tensor(1e30)},
    ],
)
def test_a_histogram_that_is_none_is_refused(spoil):
    sound = {"quantiles": torch.linspace(0, 1, QUANTILES), "dimming": torch.tensor(0.6)}
    load({}, sound, torch.device("cpu"))
    with pytest.raises(StudyError, match="weights do not fit"):
        load({}, spoil(sound), torch.device("cpu"))


def test_numbers_of_a_kind_that_cannot_be_computed_with(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"w": torch.ones(4).to(torch.float8_e4m3fn)}, path)
    try:
        torch.isfinite(torch.ones(1).to(torch.float8_e4m3fn))
    except RuntimeError:
        with pytest.raises(StudyError, match="w is stored as float8_e4m3fn"):
            read_weights(path)
    else:
        assert set(read_weights(path)) == {"w"}


def test_a_config_without_a_family_is_none(scan, weights, tmp_path, capsys):
    config = json.loads((weights.parent / "config.json").read_text())
    folder = tmp_path / "w"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(weights.read_bytes())
    (folder / "config.json").write_text(json.dumps({**config, "family": None}))
    given = ["--weights", folder / "weights.safetensors", "--out", tmp_path / "o.nii", scan]
    assert "is not the config of a trained model" in refused(
        capsys, "translate", *given, "--method", "source"
    )


# --- the machine ----------------------------------------------------------------------------


def test_nobody_reads_what_is_printed(scan, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["view", str(scan), "-o", str(tmp_path / "v.html")]) == 0
    assert (tmp_path / "v.html").exists()


def test_a_folder_that_was_deleted_meanwhile(tmp_path):
    command = Path(sys.executable).with_name("lmidiff")
    gone = 'mkdir gone && cd gone && rmdir ../gone && "$0" translate x.nii'
    done = subprocess.run(
        ["sh", "-c", gone, str(command)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "ERROR the current folder does not exist any more; change to one that does\n"
    )


def test_the_faintest_scan_has_its_brain():
    from lmidiff.data.brain_network import scale_intensities

    image = brain()
    np.testing.assert_allclose(
        scale_intensities(image * np.float32(1e-30)), scale_intensities(image), atol=1e-5
    )
    assert image.shape == SHAPE
