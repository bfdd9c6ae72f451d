"""A BIDS folder as a sheet: what is taken, and what each mistake says."""

import os
from pathlib import Path

import pytest

from lmidiff.common.errors import StudyError
from lmidiff.data.bids import read_bids
from lmidiff.data.sheet import OPTIONAL, REQUIRED

WANTED = ("PDw", "T1w")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "sub-02/anat/sub-02_PDw.nii.gz",
        "sub-02/anat/sub-02_T1w.nii",
        "sub-01/ses-a/anat/sub-01_ses-a_PDw.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_acq-mprage_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz",
        "sub-01/anat/sub-09_T1w.nii.gz",
        "sub-03/func/sub-03_bold.nii.gz",
        "derivatives/sub-01/anat/sub-01_T1w.nii.gz",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_images_by_suffix_sessions_included(folder: Path) -> None:
    table = read_bids(folder, WANTED, "test")
    assert list(table.columns) == [*REQUIRED, *OPTIONAL]
    found = {(r.subject, r.modality): r.path for r in table.itertuples()}
    assert found == {
        ("sub-01", "PDw"): str(folder / "sub-01/ses-a/anat/sub-01_ses-a_PDw.nii.gz"),
        ("sub-01", "T1w"): str(folder / "sub-01/ses-a/anat/sub-01_ses-a_acq-mprage_T1w.nii.gz"),
        ("sub-02", "PDw"): str(folder / "sub-02/anat/sub-02_PDw.nii.gz"),
        ("sub-02", "T1w"): str(folder / "sub-02/anat/sub-02_T1w.nii"),
    }
    assert set(table["split"]) == {"test"}


def test_a_split_file_says_who_is_where(folder: Path) -> None:
    (folder / "split.tsv").write_text("subject\tsplit\nsub-02\tval\n")
    table = read_bids(folder, WANTED, "split.tsv")
    assert set(zip(table["subject"], table["split"], strict=True)) == {("sub-02", "val")}


def test_two_images_of_one_modality_are_not_guessed_at(folder: Path) -> None:
    (folder / "sub-02/anat/sub-02_run-2_T1w.nii.gz").write_bytes(b"x")
    with pytest.raises(StudyError, match=r"sub-02 has 2 T1w images .*run-2.*sample sheet"):
        read_bids(folder, WANTED, "test")
    assert set(read_bids(folder, WANTED, "test", ["sub-02"])["subject"]) == {"sub-01"}


def test_mistakes(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for act, says in (
        (lambda: read_bids(empty, WANTED, "test"), r"has no folder sub-\*"),
        (lambda: read_bids(folder, ("T3w",), "test"), r"no subject has anat/sub-\*_T3w"),
        (lambda: read_bids(folder, WANTED, "dev"), "no such split file; give train"),
    ):
        with pytest.raises(StudyError, match=says) as caught:
            act()
        assert "\n" not in str(caught.value)


def empty(top: Path, *names: str) -> Path:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"x")
    return top


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (
            ["ses-1/anat/sub-01_PDw.nii.gz", "ses-2/anat/sub-01_T1w.nii.gz"],
            r"different sessions \(sub-01/ses-1/anat/sub-01_PDw.nii.gz, sub-01/ses-2",
        ),
        (
            ["ses-1/anat/sub-01_ses-1_PDw.nii.gz", "ses-2/anat/sub-01_ses-1_T1w.nii.gz"],
            "is ses-1 by its name and ses-2 by its folder",
        ),
        (["anat/sub-01_run-1_PDw.nii.gz", "anat/sub-01_run-2_T1w.nii.gz"], "runs .*run-1.*run-2"),
    ],
)
def test_sessions_and_runs_are_not_paired_with_others(tmp_path, names, says) -> None:
    with pytest.raises(StudyError, match=says):
        read_bids(empty(tmp_path, *(f"sub-01/{name}" for name in names)), WANTED, "test")


def test_one_run_and_one_session_in_the_folder_alone_are_fine(tmp_path) -> None:
    names = ("run-1_PDw.nii.gz", "run-01_T1w.nii.gz")
    empty(tmp_path, *(f"sub-01/ses-1/anat/sub-01_{name}" for name in names))
    assert len(read_bids(tmp_path, WANTED, "test")) == 2


@pytest.mark.parametrize(
    "other", ["sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_PDw.nii.gz"]
)
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_one_file_is_not_two_images(tmp_path, other, link) -> None:
    first = empty(tmp_path, "sub-01/anat/sub-01_PDw.nii.gz") / "sub-01/anat/sub-01_PDw.nii.gz"
    (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
    link(first, tmp_path / other)
    with pytest.raises(StudyError, match=f"{other} is sub-01/anat/sub-01_PDw.nii.gz by another"):
        read_bids(tmp_path, WANTED, "test")


@pytest.mark.parametrize(
    "name",
    ["sub-02/anat/sub-02_t1w.nii.gz", "sub-02_old/anat/sub-02_old_T1w.nii.gz", "sub-02/func/x"],
)
def test_nobody_vanishes_in_silence(tmp_path, name, caplog) -> None:
    empty(tmp_path, name, "sub-01/anat/sub-01_T1w.nii.gz")
    person = name.split("/")[0]
    assert set(read_bids(tmp_path, WANTED, "test")["subject"]) == {"sub-01"}
    assert f"{person} has no image anat/sub-*_PDw|T1w.nii.gz and is left out" in caplog.text
    assert caplog.text.count("\n") == 1
    (tmp_path / "split.tsv").write_text("subject\tsplit\nsub-01\ttest\nsub-02\ttrain\n")
    (tmp_path / "sub-02").mkdir(exist_ok=True)
    with pytest.raises(StudyError, match=r"split.tsv: sub-02 has no image .* take the line out"):
        read_bids(tmp_path, WANTED, "split.tsv")
