"""A BIDS folder as a sheet: what is taken, and what each mistake says."""

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
