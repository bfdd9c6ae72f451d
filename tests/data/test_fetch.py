"""Fetching against a real server that stalls, cuts, lies and fails; nothing wrong gets through."""

import errno
import fcntl
import hashlib
import logging
import multiprocessing
import os
import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from file_server import FileServer, file_server
from lmidiff.common.errors import StudyError
from lmidiff.data.download import Patience
from lmidiff.data.fetch import addresses, fetch, is_verified, require_verified
from lmidiff.data.ledger import Entry

BODY = random.Random(1).randbytes(3_000_000)
OTHER = random.Random(2).randbytes(3_000_000)
QUICK = Patience(connect=2, stall=1.0, attempts=3, pause=0.01)
NAME = "IXI-PD.tar"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server({NAME: BODY}) as running:
        yield running


def entry_of(server: FileServer, **changes: object) -> Entry:
    checksum = "md5:" + hashlib.md5(BODY).hexdigest()
    first = Entry(
        "ixi", NAME, f"{server.url}/{NAME}", "", len(BODY), checksum, "CC0", "Nobody 1999"
    )
    return replace(first, **changes)


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    """Where the file goes, and its receipt."""
    return tmp_path / "ixi" / NAME, tmp_path / "ixi" / f"{NAME}.verified"


def got(entry: Entry, place: tuple[Path, Path], **settings: object) -> bytes:
    """Fetch, and what is there then; the folder holds nothing but file, receipt and lock."""
    path, receipt = place
    fetch(entry, path, receipt, patience=QUICK, **settings)
    assert is_verified(entry, path, receipt)
    names = {p.name for p in path.parent.iterdir() if not p.name.endswith(".again")}
    assert names == {NAME, f"{NAME}.verified", f".{NAME}.verified.lock"}
    return path.read_bytes()


def refused(entry: Entry, place: tuple[Path, Path], **settings: object) -> str:
    """Why a fetch failed: one line; nothing is published."""
    with pytest.raises(StudyError) as caught:
        fetch(entry, *place, patience=QUICK, **settings)
    assert not place[0].exists()
    assert not place[1].exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- what passes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [len(BODY), None])
@pytest.mark.parametrize(
    ("faults", "requests"),
    [
        ([], 1),
        (["cut"], 2),
        (["cut", "cut", "cut", "cut", "cut"], 6),
        (["stall"], 2),
        (["500"], 2),
        (["503"], 2),
        (["cut", "ignore_range"], 2),
        (["cut", "wrong_range"], 3),
        (["cut", "404"], 2),
        (["longer"], 2),
        (["chunked"], 1),
        (["chunked_cut"], 2),
    ],
)
def test_what_passes_is_the_file(
    server: FileServer, place, size: int | None, faults: list[str], requests: int
) -> None:
    server.plan[NAME] = list(faults)
    server.files["again"] = BODY
    mirror = f"{server.url}/again" if "404" in faults or "longer" in faults else ""
    assert got(entry_of(server, bytes=size, mirror=mirror), place) == BODY
    asked = [request for request in server.asked if request.path == NAME]
    assert len(asked) == (requests if mirror == "" else 2 - ("longer" in faults and bool(size)))


def test_a_cut_download_goes_on_where_it_stopped(server: FileServer, place) -> None:
    server.plan[NAME] = ["cut", "cut"]
    assert got(entry_of(server), place) == BODY
    ranges = [request.range for request in server.asked]
    assert ranges == ["", f"bytes={len(BODY) // 2}-", f"bytes={len(BODY) * 3 // 4}-"]
    assert [request.if_range for request in server.asked] == ["", '"1"', '"1"']


def test_a_killed_fetch_goes_on_where_it_stopped(server: FileServer, place) -> None:
    server.plan[NAME] = ["stall"]
    server.patience = 60
    process = multiprocessing.get_context("spawn").Process(
        target=fetch, args=(entry_of(server), *place)
    )
    process.start()
    part = place[0].with_name(NAME + ".part")
    deadline = time.monotonic() + 30
    while not part.exists() or part.stat().st_size < len(BODY) // 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.join()
    held = part.stat().st_size
    assert got(entry_of(server), place) == BODY
    assert server.asked[-1].range == f"bytes={held}-"


def test_a_file_that_changed_on_the_server_is_begun_again(server: FileServer, place) -> None:
    part = place[0].with_name(NAME + ".part")
    server.files[NAME] = OTHER
    server.plan[NAME] = ["cut", "404"]
    refused(entry_of(server), place)
    assert part.read_bytes() == OTHER[: len(BODY) // 2]
    server.files[NAME], server.etag = BODY, '"2"'
    server.asked.clear()
    assert got(entry_of(server), place) == BODY
    assert [(r.range != "", r.if_range) for r in server.asked] == [(True, '"1"')]


def test_the_start_of_another_file_is_thrown_away(server: FileServer, place) -> None:
    # No ETag: the server cannot tell that what is here is not the beginning of its file.
    server.etag = ""
    part = place[0].with_name(NAME + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(OTHER[:1_000_000])
    assert got(entry_of(server), place) == BODY
    assert [request.range for request in server.asked] == ["bytes=1000000-", ""]


@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_whole_part_is_not_fetched_again(server: FileServer, place, size: int | None) -> None:
    part = place[0].with_name(NAME + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY)
    assert got(entry_of(server, bytes=size), place) == BODY
    assert all(request.range == f"bytes={len(BODY)}-" for request in server.asked)
    assert len(server.asked) == (0 if size else 1)


def test_redirects_are_followed(server: FileServer, place) -> None:
    server.plan["old.tar"] = [f"redirect:/{NAME}"]
    assert got(entry_of(server, url=f"{server.url}/old.tar"), place) == BODY


def test_the_mirrors_are_tried_in_order(server: FileServer, place) -> None:
    server.files["second/" + NAME] = BODY
    entry = entry_of(server, url=f"{server.url}/gone.tar", mirror=f"{server.url}/second/{NAME}")
    mirror = f"{server.url}/first"
    assert addresses(entry, mirror) == [f"{mirror}/{NAME}", entry.url, entry.mirror]
    assert got(entry, place, mirror=mirror) == BODY
    assert [request.path for request in server.asked] == [
        f"first/{NAME}",
        "gone.tar",
        f"second/{NAME}",
    ]


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}"])
def test_a_folder_is_a_mirror(server: FileServer, place, tmp_path: Path, form: str) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / NAME).write_bytes(BODY)
    address = str(folder) if form == "{}" else str(folder).replace(" ", "%20")
    assert got(entry_of(server), place, mirror=form.format(address)) == BODY
    assert server.asked == []
    assert (folder / NAME).read_bytes() == BODY


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("404", "answers 404"),
        ("403", "answers 403"),
        ("500", "answers 500 Internal Server Error, 3 times in a row"),
        ("mute", "no answer in time, 3 times in a row"),
        ("hang", "stalled for 1 s, 3 times in a row"),
        ("trickle", " bytes in 1"),
        ("html", "sends a web page instead of the file"),
        ("bare_html", "offers 61 bytes, the ledger says 3000000"),
        ("wrong", "gives another file (md5 is"),
        ("shorter", "offers 2999993 bytes, the ledger says 3000000"),
        ("redirect:/IXI-PD.tar", "Exceeded 30 redirects"),
        ("redirect:file:///etc/passwd", "No connection adapters"),
    ],
)
def test_what_is_refused_says_why_and_where_to_put_the_file(
    server: FileServer, place, fault: str, says: str
) -> None:
    server.plan[NAME] = [fault] * 50
    entry = entry_of(server)
    text = refused(entry, place)
    assert says in text
    assert f"{entry.url} " in text
    assert text.endswith(f"by hand from {entry.url} and put it at {place[0]}")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("bare_html", "sends a web page instead of the file"),
        ("wrong", "gives another file (md5 is"),
        ("cut_again", "the connection was cut, 3 times in a row"),
        ("chunked_cut", "the connection was cut, 3 times in a row"),
    ],
)
def test_refused_also_where_the_ledger_has_no_size(
    server: FileServer, place, fault: str, says: str
) -> None:
    server.plan[NAME] = [fault] * 50
    assert says in refused(entry_of(server, bytes=None), place)


def test_no_server_at_all(place) -> None:
    with file_server() as server:
        entry = entry_of(server)
    assert "no connection, 3 times in a row" in refused(entry, place)


def test_every_address_is_named_when_all_fail(server: FileServer, place, tmp_path: Path) -> None:
    server.plan[NAME] = ["404"]
    server.plan["second.tar"] = ["html"]
    entry = entry_of(server, mirror=f"{server.url}/second.tar")
    text = refused(entry, place, mirror=str(tmp_path / "usb"))
    assert f"{tmp_path}/usb/{NAME} cannot be read (No such file or directory)" in text
    assert f"{entry.url} answers 404" in text
    assert f"{entry.mirror} sends a web page" in text


def test_a_wrong_local_copy_is_refused(server: FileServer, place, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(OTHER)
    server.plan[NAME] = ["404", "404"]
    assert "gives another file (md5 is" in refused(entry_of(server), place, mirror=str(tmp_path))
    assert "is for this machine" in refused(entry_of(server), place, mirror="file://elsewhere/data")


# -- what is there already ------------------------------------------------------------------------


def test_a_file_put_there_by_hand_is_verified_and_nothing_is_fetched(
    server: FileServer, place
) -> None:
    path, receipt = place
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    assert got(entry_of(server), place) == BODY
    assert server.asked == []
    path.write_bytes(OTHER)
    receipt.unlink()
    with pytest.raises(StudyError, match=r"md5 is .* delete it and fetch it again from http"):
        fetch(entry_of(server), path, receipt)
    assert path.read_bytes() == OTHER
    assert not receipt.exists()


def test_verification_is_remembered_and_a_changed_file_is_noticed(
    server: FileServer, place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, receipt = place
    entry = entry_of(server)
    assert got(entry, place) == BODY
    before = receipt.read_bytes()

    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("computed again"))
        fetch(entry, path, receipt)
        require_verified(entry, path, receipt)
    assert receipt.read_bytes() == before
    assert len(server.asked) == 1

    os.utime(path)  # touched: checked anew, and right, which is remembered too
    assert not is_verified(entry, path, receipt)
    require_verified(entry, path, receipt)
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("computed again"))
        require_verified(entry, path, receipt)
    assert receipt.read_bytes() == before

    with path.open("r+b") as stream:
        stream.seek(1_500_000)
        stream.write(b"!")
    with pytest.raises(StudyError, match="md5 is"):
        require_verified(entry, path, receipt)
    with pytest.raises(StudyError, match="md5 is"):
        fetch(entry, path, receipt)
    assert not is_verified(replace(entry, checksum="md5:" + "0" * 32), path, receipt)

    path.unlink()
    with pytest.raises(StudyError, match="is gone since it was verified; put it back, or delete"):
        require_verified(entry, path, receipt)
    receipt.write_text("torn")
    assert got(entry, place) == BODY


# -- two at once, full disks ----------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_it_is_fetched_all_the_same(
    server: FileServer, place, monkeypatch, caplog, number: int
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    entry = entry_of(server)
    assert got(entry, place)
    assert "has no locks" in caplog.text


def test_two_at_once_fetch_once(server: FileServer, place) -> None:
    server.plan[NAME] = ["stall"]
    server.patience = 1.0
    context = multiprocessing.get_context("spawn")
    patient = {"patience": Patience(connect=2, stall=20, attempts=3, pause=0.01)}
    both = [
        context.Process(target=fetch, args=(entry_of(server), *place), kwargs=patient)
        for _ in range(2)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    assert place[0].read_bytes() == BODY
    # The stalled request, which the server then cuts, and the one that goes on from there.
    assert [request.range for request in server.asked] == ["", f"bytes={len(BODY) // 2}-"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_no_room(server: FileServer, small_disk: Path) -> None:
    place = small_disk / NAME, small_disk / f"{NAME}.verified"
    text = refused(entry_of(server), place)
    assert f"no room for {NAME}, which needs 0.003 GB more and has 0.00" in text
    # Unannounced, the size shows only when the disk is full; what has come is kept.
    server.plan[NAME] = ["chunked"]
    text = refused(entry_of(server, bytes=None), place)
    assert f"{NAME}.part: cannot be written (No space left on device)" in text
    part = small_disk / f"{NAME}.part"
    held = part.stat().st_size
    assert part.read_bytes() == BODY[:held]
    subprocess.run(["mount", "-o", "remount,size=9m", str(small_disk)], check=True)
    assert got(entry_of(server, bytes=None), place) == BODY
    assert server.asked[-1].range == f"bytes={held}-"


def test_a_read_only_folder(server: FileServer, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    text = refused(entry_of(server), (small_disk / NAME, small_disk / "receipt"))
    assert "cannot be written (Read-only file system)" in text


# -- the progress line ----------------------------------------------------------------------------


def test_progress_has_bytes_rate_and_estimate(
    server: FileServer, place, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "lmidiff"):
        got(entry_of(server), place)
    lines = [line for line in caplog.messages if line.startswith(f"fetch {NAME} [")]
    assert "] 3.00MB/3.00MB, " in lines[-1]
    assert "B/s, 00:00 left" in lines[-1]
    assert lines[-1].startswith(f"fetch {NAME} [####################]")
