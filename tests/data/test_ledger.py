"""The data ledger: the committed one, what each mistake says, and checking files against it."""

import hashlib
from dataclasses import fields, replace
from pathlib import Path

import pytest

import real_ledger
from lmidiff.common.errors import StudyError
from lmidiff.common.schema import columns
from lmidiff.data.ledger import Entry, read_ledger, verify

LEDGER = Path(__file__).parents[2] / "config" / "datasets.tsv"
SHARED = Path(__file__).parents[3] / "shared" / "data"
HEADER = "dataset\tfile\turl\tmirror\tbytes\tchecksum\tlicence\tcitation"
MD5 = "md5:" + "0" * 32
ROW = ("a", "b.tar", "https://x.org/b.tar", "", "7", MD5, "CC0", "Nobody 1999")


def row(**changes: str) -> str:
    return "\t".join((dict(zip(HEADER.split("\t"), ROW, strict=True)) | changes).values())


def message_of(folder: Path, *lines: str) -> str:
    path = folder / "ledger.tsv"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(StudyError) as caught:
        read_ledger(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(path))
    return text


def test_the_committed_ledger() -> None:
    entries = read_ledger(LEDGER)
    by_set: dict[str, list[Entry]] = {}
    for entry in entries:
        by_set.setdefault(entry.dataset, []).append(entry)
    assert {name: len(files) for name, files in by_set.items()} == {
        "ixi": 3,
        "sri24": 4,
        "anatomies": 16,
        "ixi_hh_2mm": 260,
        "t1_flair_2mm": 72,
        "avg152": 3,
        "meshnet": 9,
        "ms_patient07": 3,
    }
    names = [(entry.dataset, entry.file) for entry in entries]
    assert names == sorted(names)
    assert len({entry.url for entry in entries}) == len(entries)
    assert len({entry.checksum for entry in entries}) == len(entries)
    assert all(entry.bytes is None for entry in by_set["ixi"])
    assert all(entry.bytes for entry in by_set["sri24"] + by_set["anatomies"])
    assert {entry.bytes is None for entry in entries if entry.dataset != "ixi"} == {False}
    assert {entry.file for entry in entries if entry.member_bytes} == {
        entry.file for entry in entries if entry.file.endswith(".tar")
    }


@pytest.mark.parametrize(
    "entry", [e for e in read_ledger(LEDGER) if e.dataset != "ixi"], ids=lambda e: e.file
)
def test_the_ledger_tells_the_truth_of_files_that_are_at_hand(entry: Entry) -> None:
    path = SHARED / entry.dataset / entry.file
    if not path.exists():
        pytest.skip(f"{path} is not here")
    verify(entry, path)


@pytest.mark.parametrize("dataset", real_ledger.DATASETS)
def test_the_lines_of_the_real_people_follow_from_their_files(dataset: str) -> None:
    if not (SHARED / dataset).is_dir():
        pytest.skip(f"{SHARED / dataset} is not here")
    committed = [one for one in LEDGER.read_text().split("\n") if one.startswith(f"{dataset}\t")]
    derived = [one for one in real_ledger.lines(SHARED) if one.startswith(f"{dataset}\t")]
    assert committed == derived


def test_the_schema_the_dataclass_and_the_header_agree() -> None:
    required, optional = columns("ledger")
    assert required + optional == [field.name for field in fields(Entry)]
    assert LEDGER.read_text().split("\n")[0] == HEADER + "\tmember_bytes"


def test_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.tsv"
    path.write_text("\n".join([HEADER, "# a comment", row(), row(file="c.tar", bytes="")]) + "\n")
    first, second = read_ledger(path)
    assert first == Entry(*ROW[:4], 7, *ROW[5:])
    assert second == replace(first, file="c.tar", bytes=None)
    path.write_text(f"{HEADER}\tmember_bytes\n{row()}\t512\n{row(file='c.tar')}\n")
    bounded, free = read_ledger(path)
    assert bounded == replace(first, member_bytes=512)
    assert free.member_bytes is None


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([HEADER + "\tage", row() + "\t9"], "line 1: unknown column 'age'"),
        ([HEADER.replace("\tmirror", ""), row()], "line 1: column 'mirror' is missing"),
        ([HEADER], "lists no file"),
        ([""], "is empty"),
        ([HEADER, row(licence="")], "line 2 (b.tar): cell 'licence' is empty"),
        ([HEADER, row(file="")], "line 2: cell 'file' is empty"),
        ([HEADER, row(file="../b.tar")], "file '../b.tar' is not a name below"),
        ([HEADER, row(file="a/../b.tar")], "file 'a/../b.tar' is not a name below"),
        ([HEADER, row(file="/b.tar")], "file '/b.tar' is not a name below"),
        ([HEADER, row(dataset="A B")], "dataset 'A B' is not a plain name"),
        ([HEADER, row(url="x.org/b.tar")], "url 'x.org/b.tar' does not start with"),
        ([HEADER, row(mirror="ftp://x")], "mirror 'ftp://x' does not start with"),
        ([HEADER, row(bytes="7 MB")], "bytes '7 MB' is not a number"),
        ([HEADER, row(bytes="0")], "bytes '0' is not a number"),
        ([HEADER + "\tmember_bytes", row() + "\tbig"], "member_bytes 'big' is not a number"),
        ([HEADER, row(checksum="0" * 32)], "checksum '00000000000000000000000000000000' is"),
        ([HEADER, row(checksum="sha256:" + "0" * 32)], "is neither md5:"),
        ([HEADER, row(checksum=MD5.upper())], "is neither md5:"),
        ([HEADER, row() + "\textra"], "line 2: 9 cells under 8 columns"),
        ([HEADER, row(), "", row()], "line 4 (b.tar): a second line for b.tar of a; keep one"),
    ],
)
def test_each_mistake_is_one_line_that_says_where(
    tmp_path: Path, lines: list[str], says: str
) -> None:
    assert says in message_of(tmp_path, *lines)


def test_a_missing_ledger(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="data ledger cannot be read"):
        read_ledger(tmp_path / "gone.tsv")


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_verify(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "elsewhere.tar"
    path.write_bytes(b"content")
    digest = hashlib.new(kind, b"content").hexdigest()
    entry = Entry(*ROW[:4], 7, f"{kind}:{digest}", *ROW[6:])
    verify(entry, path)
    verify(replace(entry, bytes=None), path)
    path.write_bytes(b"c0ntent")
    with pytest.raises(StudyError, match=rf"{kind} is [0-9a-f]+, that of b.tar of a is {digest}"):
        verify(entry, path)
    path.write_bytes(b"cont")
    with pytest.raises(StudyError, match=r"has 4 bytes, b\.tar of a has 7; delete it and fetch"):
        verify(entry, path)
    with pytest.raises(StudyError, match=kind):
        verify(replace(entry, bytes=None), path)
    path.unlink()
    with pytest.raises(StudyError, match=r"cannot be read \(No such file or directory\); fetch"):
        verify(entry, path)
