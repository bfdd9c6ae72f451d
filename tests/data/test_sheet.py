"""The sample sheet and the split manifest: what is read, and what each mistake says."""

from pathlib import Path

import pandas as pd
import pytest

from lmidiff.common.errors import StudyError
from lmidiff.common.schema import check
from lmidiff.data.sheet import OPTIONAL, REQUIRED, read_sheet
from lmidiff.data.splits import SPLITS, read_split, write_split

HEADER = "subject\tmodality\tpath\tsplit"
FULL = HEADER + "\tlabels\tmask\tlesions"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the images that the sheets below name; the sheet does not open them."""
    for name in ("a.nii.gz", "b.nii.gz", "c.nii.gz", "seg.nii.gz", "seg2.nii.gz", "mask.nii.gz"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def sheet_of(folder: Path, *lines: str) -> Path:
    path = folder / "sheet.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def message_of(path: Path, roots: tuple[Path, ...] = ()) -> str:
    with pytest.raises(StudyError) as caught:
        read_sheet(path, roots)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def test_the_schema_names_the_columns_and_splits() -> None:
    assert [*REQUIRED, *OPTIONAL] == FULL.split("\t")
    row = dict.fromkeys(REQUIRED, "x")
    for split in SPLITS:
        check(row | {"split": split}, "sheet", "sheet.tsv")
    with pytest.raises(StudyError, match=f"use {', '.join(SPLITS)}"):
        check(row, "sheet", "sheet.tsv")
    with pytest.raises(StudyError, match="age is not a known key"):
        check(row | {"split": "test", "age": "9"}, "sheet", "sheet.tsv")


def test_reads_rows_in_file_order_with_normalised_subjects(files: Path) -> None:
    table = read_sheet(
        sheet_of(
            files,
            FULL,
            "# a comment",
            "sub-02\tPDw\ta.nii.gz\ttest\tseg.nii.gz\tmask.nii.gz",
            "",
            "02\tT1w\tb.nii.gz\ttest\tseg.nii.gz\tmask.nii.gz",
            "01\tT1w\tc.nii.gz\ttrain",
        )
    )
    assert list(table.columns) == [
        "subject",
        "modality",
        "path",
        "split",
        "labels",
        "mask",
        "lesions",
    ]
    assert table["subject"].tolist() == ["sub-02", "sub-02", "sub-01"]
    assert table["path"].tolist() == [str(files / f"{name}.nii.gz") for name in "abc"]
    assert table["labels"].tolist() == [str(files / "seg.nii.gz")] * 2 + [""]
    assert table["mask"].tolist() == [str(files / "mask.nii.gz")] * 2 + [""]


def test_optional_columns_and_column_order_are_free(files: Path) -> None:
    table = read_sheet(sheet_of(files, "split\tpath\tmodality\tsubject", "val\ta.nii.gz\tT1w\t7"))
    assert table.iloc[0].tolist() == ["sub-7", "T1w", str(files / "a.nii.gz"), "val", "", "", ""]


def test_spreadsheet_habits_are_forgiven(files: Path) -> None:
    path = files / "sheet.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + f'{HEADER}\r\n"01"\tT1w \t"a.nii.gz"\ttest\r\n'.encode())
    assert read_sheet(path)["subject"].tolist() == ["sub-01"]


def test_paths_are_looked_for_beside_the_sheet_then_in_the_roots(files: Path) -> None:
    roots = (files / "first", files / "second")
    for root in roots:
        root.mkdir()
        (root / "only-roots.nii.gz").write_bytes(b"x")
        (root / "a.nii.gz").write_bytes(b"x")
    sheet = sheet_of(
        files,
        HEADER,
        "01\tT1w\ta.nii.gz\ttest",
        "01\tPDw\tonly-roots.nii.gz\ttest",
        f"01\tT2w\t{files / 'b.nii.gz'}\ttest",
    )
    found = read_sheet(sheet, roots)["path"].tolist()
    assert found == [
        str(files / "a.nii.gz"),
        str(roots[0] / "only-roots.nii.gz"),
        str(files / "b.nii.gz"),
    ]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["subject\tmodality\tpath\tsplit\tage", "1\tT1w\ta.nii.gz\ttest\t9"], "'age'"),
        (["subject\tmodality\tpath", "1\tT1w\ta.nii.gz"], "'split' is missing"),
        ([HEADER + "\tsplit", "1\tT1w\ta.nii.gz\ttest\ttest"], "'split' is there twice"),
        (["subject,modality,path,split", "1,T1w,a.nii.gz,test"], "commas"),
        ([HEADER], "lists no image"),
        ([""], "is empty"),
        ([HEADER, "1\tT1w\ta.nii.gz\ttest\textra"], "line 2: 5 cells under 4"),
        ([HEADER, "1\tT1w\t\ttest"], "line 2 (sub-1): cell 'path' is empty"),
        ([HEADER, "\tT1w\ta.nii.gz\ttest"], "line 2: cell 'subject' is empty"),
        ([HEADER, "1\tT1w\ta.nii.gz"], "line 2 (sub-1): cell 'split' is empty"),
        ([HEADER, "", "1\tT1w\tgone.nii.gz\ttest"], "line 3 (sub-1): path 'gone.nii.gz' is no"),
        ([FULL, "1\tT1w\ta.nii.gz\ttest\tgone.nii"], "(sub-1): labels 'gone.nii' is no file"),
        ([FULL, "1\tT1w\ta.nii.gz\ttest\t\tgone.nii"], "(sub-1): mask 'gone.nii' is no file"),
        ([HEADER, "1\tT1w\t.\ttest"], "path '.' is no file"),
        ([HEADER, "1\tT1w\t/gone.nii.gz\ttest"], "path '/gone.nii.gz' is no file;"),
        ([HEADER, "1\tT1w\ta.nii.gz\ttesting"], "(sub-1): split 'testing' is unknown"),
        ([HEADER, "1\tT1w/x\ta.nii.gz\ttest"], "modality 'T1w/x'"),
        ([HEADER, "1\tdseg\ta.nii.gz\ttest"], "modality 'dseg'"),
        ([HEADER, "1\tmask\ta.nii.gz\ttest"], "modality 'mask'"),
        ([HEADER, "sub-0_1\tT1w\ta.nii.gz\ttest"], "subject 'sub-0_1'"),
        ([HEADER, "sub-\tT1w\ta.nii.gz\ttest"], "subject 'sub-'"),
        (
            [HEADER, "1\tT1w\ta.nii.gz\ttest", "sub-1\tT1w\tb.nii.gz\ttest"],
            "line 3 (sub-1): a second line for T1w",
        ),
        (
            [HEADER, "1\tT1w\ta.nii.gz\ttest", "sub-1\tPDw\tb.nii.gz\ttrain"],
            "line 3 (sub-1): split is 'train' here and 'test' before",
        ),
        (
            [HEADER, "1\tT1w\ta.nii.gz\ttest", "2\tT1w\t./a.nii.gz\ttrain"],
            "a.nii.gz' is used twice",
        ),
        (
            [FULL, "1\tT1w\ta.nii.gz\ttest\tseg.nii.gz", "1\tPDw\tb.nii.gz\ttest\tseg2.nii.gz"],
            "line 3 (sub-1): labels is",
        ),
        (
            [FULL, "1\tT1w\ta.nii.gz\ttest\tseg.nii.gz", "1\tPDw\tb.nii.gz\ttest"],
            "line 3 (sub-1): labels is ''",
        ),
        (
            [FULL, "1\tT1w\ta.nii.gz\ttest\t\tmask.nii.gz", "1\tPDw\tb.nii.gz\ttest"],
            "line 3 (sub-1): mask is ''",
        ),
    ],
)
def test_each_mistake_is_one_line_that_says_where(files: Path, lines: list[str], says: str) -> None:
    assert says in message_of(sheet_of(files, *lines))


ONCE = "1\tT1w\ta.nii.gz"
TWICE = {
    "hard": "hard.nii.gz",
    "symbolic": "symbolic.nii.gz",
    "first volume": "a.nii.gz#0",
    "first volume of a link": "symbolic.nii.gz#00",
}


@pytest.mark.parametrize("how", TWICE)
def test_one_image_by_two_names(files: Path, how: str) -> None:
    (files / "hard.nii.gz").hardlink_to(files / "a.nii.gz")
    (files / "symbolic.nii.gz").symlink_to("a.nii.gz")
    other = f"1\tPDw\t{TWICE[how]}\ttest"
    assert "is used twice" in message_of(sheet_of(files, HEADER, ONCE + "\ttest", other))
    rows = [f"1\t{m}\t{name}\ttest" for m, name in (("T1w", "a.nii.gz#1"), ("PDw", TWICE[how]))]
    assert len(read_sheet(sheet_of(files, HEADER, *rows))) == 2
    rows[1] = "1\tPDw\tsymbolic.nii.gz#01\ttest"
    assert "is used twice" in message_of(sheet_of(files, HEADER, *rows))


def test_the_two_halves_of_a_pair_are_one_image(files: Path) -> None:
    for name in ("x.img", "x.hdr"):
        (files / name).write_bytes(b"x")
    rows = ("1\tT1w\tx.img\ttest", "1\tPDw\tx.hdr\ttest")
    assert "is used twice" in message_of(sheet_of(files, HEADER, *rows))


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (("", "a.nii.gz"), "a.nii.gz' is a scan (see"),
        (("./a.nii.gz", ""), "is a scan"),
        (("", "", "a.nii.gz#0"), "is a scan"),
        (("seg.nii.gz", ""), "is sub-1's (see"),
        (("", "mask.nii.gz"), "is sub-1's"),
        (("", "mask.nii.gz", "./mask.nii.gz"), "is the mask too"),
        (("seg.nii.gz", "", "seg.nii.gz"), "is the labels too"),
    ],
)
def test_a_scan_is_no_mask_and_a_mask_is_of_one_person(files: Path, cells, says) -> None:
    end = "\ttest\t" + "\t".join(cells)
    rows = (ONCE + end, "2\tT1w\tb.nii.gz" + end)
    assert says in message_of(sheet_of(files, FULL, *rows))


def test_unreadable_sheets(tmp_path: Path) -> None:
    assert "cannot be read" in message_of(tmp_path / "gone.tsv")
    assert "cannot be read" in message_of(tmp_path)
    utf16 = tmp_path / "utf16.tsv"
    utf16.write_text(HEADER, encoding="utf-16")
    assert "not UTF-8" in message_of(utf16)


def test_missing_file_names_the_folders_searched(files: Path) -> None:
    text = message_of(sheet_of(files, HEADER, "1\tT1w\tgone.nii\ttest"), (files / "root",))
    assert f"in {files}, {files / 'root'};" in text


def test_split_round_trip_is_sorted_and_complete(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "subject": ["sub-3", "sub-2", "sub-1", "sub-3"],
            "split": ["test", "train", "train", "test"],
        }
    )
    path = tmp_path / "split.tsv"
    write_split(table, path)
    assert path.read_text() == "subject\tsplit\nsub-1\ttrain\nsub-2\ttrain\nsub-3\ttest\n"
    assert read_split(path) == {"train": ["sub-1", "sub-2"], "val": [], "test": ["sub-3"]}
    write_split(table.iloc[::-1], tmp_path / "again.tsv")
    assert (tmp_path / "again.tsv").read_bytes() == path.read_bytes()


def test_split_of_a_sheet(files: Path) -> None:
    lines = ("1\tT1w\ta.nii.gz\ttest", "1\tPDw\tb.nii.gz\ttest", "2\tT1w\tc.nii.gz\tval")
    write_split(read_sheet(sheet_of(files, HEADER, *lines)), files / "split.tsv")
    assert read_split(files / "split.tsv") == {"train": [], "val": ["sub-2"], "test": ["sub-1"]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("subject\tsplit\nsub-1\ttrain\nsub-1\ttest\n", "line 3 (sub-1): subject is in splits"),
        ("subject\tsplit\nsub-1\tdev\n", "line 2 (sub-1): split 'dev' is unknown"),
        ("subject\tsplit\nsub-1\n", "line 2: write a cell for each"),
        ("subject,split\nsub-1,train\n", "line 1: the header"),
        ("subject\tsplit\n", "no subject"),
        ("", "line 1: the header"),
    ],
)
def test_bad_manifests(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "split.tsv"
    path.write_text(text)
    with pytest.raises(StudyError) as caught:
        read_split(path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_subject_in_two_splits_is_not_written(tmp_path: Path) -> None:
    table = pd.DataFrame({"subject": ["sub-1", "sub-1"], "split": ["train", "test"]})
    with pytest.raises(StudyError, match=r"sub-1.*train and test"):
        write_split(table, tmp_path / "split.tsv")
    assert not list(tmp_path.iterdir())
    with pytest.raises(StudyError, match=r"gone\.tsv: split manifest cannot be read"):
        read_split(tmp_path / "gone.tsv")


@pytest.mark.parametrize(
    ("header", "number"), [("subject\tmodality\tpath\tsplit\t", 5), ("\tsubject", 1)]
)
def test_an_empty_column_is_called_that(header, number, tmp_path):
    sheet = tmp_path / "sheet.tsv"
    sheet.write_text(header + "\n")
    with pytest.raises(StudyError, match=f"line 1: column {number} is empty; take it out"):
        read_sheet(sheet)
