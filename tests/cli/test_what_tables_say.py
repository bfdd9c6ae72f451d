"""Sheets, split files and BIDS folders: what they leave open is not guessed."""

import gzip
import os
from pathlib import Path

import nibabel as nib
import pytest

from lmidiff.common.errors import StudyError
from lmidiff.data.bids import read_bids
from lmidiff.data.downloads import Downloads
from lmidiff.data.sheet import read_sheet
from lmidiff.data.splits import read_split
from small_scans import AFFINE, brain, refused, save, touch

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


@pytest.mark.parametrize("name", ["x {y} z/scan.nii.gz", "scan}.nii.gz", "{scan}.nii.gz"])
def test_braces_in_a_name_are_told(name, tmp_path):
    path = save(tmp_path / name, brain())
    with pytest.raises(StudyError, match="has braces in its name; rename it"):
        Downloads([], [tmp_path]).stand_in(str(path))
