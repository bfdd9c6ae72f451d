"""Reading archives: what IXI's look like passes, every attack ends before a byte is written."""

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lmidiff.common.errors import StudyError
from lmidiff.data.archive import extract, members

WANTED = "IXI012-HH-1211-PD.nii.gz"
CONTENT = bytes(range(256)) * 40


def info_of(name: str = WANTED, size: int = len(CONTENT), **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def tar(path: Path, *infos: tarfile.TarInfo, kind: int = tarfile.GNU_FORMAT) -> Path:
    """A tar of these members after the wanted one; regular files hold CONTENT."""
    with tarfile.open(path, "w", format=kind) as archive:
        archive.addfile(info_of(), io.BytesIO(CONTENT))
        for info in infos:
            archive.addfile(info, io.BytesIO(CONTENT) if info.isreg() else None)
    return path


def refused(path: Path, member_bytes: int | None = None) -> str:
    """Why an archive is refused: one line that names it; and nothing was written."""
    folder = path.parent / "out"
    with pytest.raises(StudyError) as caught:
        extract(path, {WANTED: folder / WANTED}, member_bytes)
    assert not folder.exists()
    with pytest.raises(StudyError):
        members(path, member_bytes)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("prefix", ["", "./", "IXI-PD/"])
def test_only_the_wanted_members_come_out(tmp_path: Path, kind: int, prefix: str) -> None:
    path = tmp_path / "IXI-PD.tar"
    folder = info_of(prefix or "./", 0, type=tarfile.DIRTYPE)
    long = "IXI999-HH-9999-" + "x" * 150
    with tarfile.open(path, "w", format=kind) as archive:
        archive.addfile(folder)
        for name in ("IXI002-Guys-0828-PD.nii.gz", WANTED, ".DS_Store"):
            archive.addfile(info_of(prefix + name), io.BytesIO(CONTENT))
        if kind != tarfile.USTAR_FORMAT:
            archive.addfile(info_of(prefix + long), io.BytesIO(CONTENT))
    assert list(members(path))[:3] == ["IXI002-Guys-0828-PD.nii.gz", WANTED, ".DS_Store"]
    target = tmp_path / "out" / "scan.nii.gz"
    extract(path, {WANTED: target})
    assert target.read_bytes() == CONTENT
    assert [p.name for p in target.parent.iterdir()] == ["scan.nii.gz"]


def test_a_tar_of_another_program_passes(tmp_path: Path) -> None:
    (tmp_path / WANTED).write_bytes(CONTENT)
    path = tmp_path / "IXI-PD.tar"
    assert os.spawnlp(os.P_WAIT, "tar", "tar", "-C", str(tmp_path), "-cf", str(path), WANTED) == 0
    extract(path, {WANTED: tmp_path / "out"})
    assert (tmp_path / "out").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("info", "says"),
    [
        (info_of("/etc/passwd"), "'/etc/passwd' has an absolute name"),
        (info_of("C:\\scan.nii.gz"), "has an absolute name"),
        (info_of("../scan.nii.gz"), "'../scan.nii.gz' has a name that leads out of its folder"),
        (info_of("a/../../scan.nii.gz"), "has a name that leads out"),
        (info_of("..\\scan.nii.gz"), "has a name that leads out"),
        (info_of("a", 0, type=tarfile.SYMTYPE, linkname="/etc"), "'a' is a symbolic link"),
        (info_of("a", 0, type=tarfile.LNKTYPE, linkname=WANTED), "'a' is a hard link"),
        (info_of("a", 0, type=tarfile.CHRTYPE, devmajor=1, devminor=3), "is a character device"),
        (info_of("a", 0, type=tarfile.BLKTYPE, devmajor=8), "'a' is a block device"),
        (info_of("a", 0, type=tarfile.FIFOTYPE), "'a' is a pipe"),
        (info_of("a", 0, type=b"V"), "'a' is of an unknown kind"),
        (info_of(), f"member '{WANTED}' is there twice"),
        (info_of("other/" + WANTED), f"member '{WANTED}' is there twice"),
        (info_of("a", len(CONTENT) * 2), "has 20480 bytes, more than the 15000 that the ledger"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_bad_member_condemns_the_archive(
    tmp_path: Path, info: tarfile.TarInfo, says: str
) -> None:
    path = tmp_path / "IXI-PD.tar"
    if info.size > len(CONTENT):
        with tarfile.open(path, "w") as archive:
            archive.addfile(info_of(), io.BytesIO(CONTENT))
            archive.addfile(info, io.BytesIO(CONTENT * 2))
    else:
        tar(path, info)
    assert says in refused(path, 15_000)


def test_a_sparse_file_is_no_way_to_hide_a_bomb(tmp_path: Path) -> None:
    with open(tmp_path / "zeros", "wb") as stream:
        stream.truncate(1 << 30)
        stream.write(b"x")
    path = tmp_path / "IXI-PD.tar"
    (tmp_path / WANTED).write_bytes(CONTENT)
    for kind in ("gnu", "posix"):
        command = ["tar", f"--format={kind}", "-S", "-C", str(tmp_path), "-cf", str(path)]
        assert os.spawnvp(os.P_WAIT, "tar", [*command, WANTED, "zeros"]) == 0
        assert path.stat().st_size < 100_000
        assert "is a sparse file" in refused(path, 1 << 40)


def test_a_member_that_claims_more_than_the_archive_holds(tmp_path: Path) -> None:
    path = tmp_path / "IXI-PD.tar"
    tar(path)
    with path.open("r+b") as stream:
        stream.seek(0, io.SEEK_END)
        stream.truncate(stream.tell() - 8192)
        stream.seek(10752)
        stream.write(info_of("IXI013-HH-1212-PD.nii.gz", 1 << 33).tobuf())
    assert "more than the archive holds: it is truncated" in refused(path, 1 << 40)
    assert "more than the 268435456 that the ledger allows" in refused(path)


def test_a_negative_size(tmp_path: Path) -> None:
    path = tmp_path / "IXI-PD.tar"
    header = bytearray(info_of("a", 0).tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xf0\x00"  # base 256: -4096
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(bytes(header) + b"\0" * 8192)
    refused(path)


def cut(path: Path, keep: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(keep(path.read_bytes()))
    return path


@pytest.mark.parametrize("left", [0, 1, 300, 512, 5000, 10752, 10752 + 300, 21503, 21504])
def test_truncated_anywhere(tmp_path: Path, left: int) -> None:
    # Two members: headers at 0 and 10752, the end of the archive at 21504.
    path = tar(tmp_path / "IXI-PD.tar", info_of("IXI013-HH-1212-PD.nii.gz"))
    cut(path, lambda data: data[:left])
    assert "truncated" in refused(path)


def test_damaged_in_the_middle(tmp_path: Path) -> None:
    path = tar(tmp_path / "IXI-PD.tar", info_of("IXI013-HH-1212-PD.nii.gz"))
    cut(path, lambda data: data[:10_760] + b"\xff" * 50 + data[10_810:])
    assert "truncated" in refused(path)


def test_data_behind_the_end(tmp_path: Path) -> None:
    path = tar(tmp_path / "IXI-PD.tar")
    cut(path, lambda data: data + data)
    assert "has data behind its end" in refused(path)


@pytest.mark.parametrize("content", [b"<html>", b"\x1f\x8b" + b"\0" * 2000])
def test_no_tar(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "IXI-PD.tar"
    path.write_bytes(content)
    assert "is truncated or no tar archive" in refused(path)


def test_an_empty_archive_lacks_what_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "IXI-PD.tar"
    path.write_bytes(b"\0" * 10240)
    assert members(path) == {}
    with pytest.raises(StudyError, match="has no member IXI012"):
        extract(path, {WANTED: tmp_path / "a"})


def test_a_compressed_archive_is_not_unpacked(tmp_path: Path) -> None:
    path = tar(tmp_path / "IXI-PD.tar")
    cut(path, gzip.compress)
    assert "is truncated or no tar archive" in refused(path)


def test_a_missing_member_or_archive(tmp_path: Path) -> None:
    path = tar(tmp_path / "IXI-PD.tar")
    with pytest.raises(StudyError, match=r"IXI-PD\.tar: has no member IXI9\.nii\.gz; take its"):
        extract(path, {WANTED: tmp_path / "a", "IXI9.nii.gz": tmp_path / "b"})
    assert not (tmp_path / "a").exists()
    with pytest.raises(StudyError, match=r"archive cannot be read \(No such file"):
        members(tmp_path / "gone.tar")


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    path = tar(tmp_path / "IXI-PD.tar")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StudyError, match="cannot be written"):
        extract(path, {WANTED: tmp_path / "file" / WANTED})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["IXI-PD.tar", "file"]
