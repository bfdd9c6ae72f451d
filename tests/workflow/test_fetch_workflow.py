"""Fetching and extracting through Snakemake, from a server on loopback that fails at first."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ixi_archive import NAMES, Truth, subject
from ixi_project import IxiProject, ixi_project
from workflows import run

pytestmark = pytest.mark.variant

NOTHING = "Nothing to be done"
PEOPLE = dict(zip(NAMES[:2], ("train", "test"), strict=True))


@pytest.fixture(scope="module")
def truths() -> list[Truth]:
    # One head for all: these tests look at bytes.
    return [subject(name, voxel_mm=6.0) for name in NAMES[:3]]


@pytest.fixture
def project(tmp_path: Path, truths: list[Truth]) -> Iterator[IxiProject]:
    with ixi_project(tmp_path, truths, PEOPLE) as made:
        yield made


def test_from_a_failing_server_to_the_scans_of_the_split(
    project: IxiProject, truths: list[Truth], tmp_path: Path
) -> None:
    folder, server = project.folder, project.server
    server.plan = {"IXI-PD.tar": ["cut"], "IXI-T1.tar": ["500"], "IXI-T2.tar": ["wrong"]}
    server.files["first/IXI-T2.tar"] = server.files["IXI-T2.tar"]
    wanted = project.scans(*PEOPLE)
    printed = run(folder, *wanted, *project.arguments)
    for path in wanted:
        made = tmp_path / "made" / "unpacked" / Path(path).name
        assert (folder / path).read_bytes() == made.read_bytes()
    # Only the split's subjects, and no name but the study's own.
    found = sorted(str(p.relative_to(folder)) for p in folder.glob("resources/ixi/scans/*"))
    assert found == sorted(wanted)
    assert truths[2].name not in "".join(found)
    assert "the connection was cut" in printed
    assert "fetch IXI-T1.tar [####################] " in printed
    asked = [(r.path, r.range != "") for r in server.asked]
    assert asked.count(("IXI-PD.tar", False)) == asked.count(("IXI-PD.tar", True)) == 1
    assert asked.count(("first/IXI-T2.tar", False)) == 1
    assert len(asked) == 6

    # Offline, and with another mirror: what is here is here.
    server.asked.clear()
    assert NOTHING in run(folder, *wanted, *project.overlay("other", "/nowhere"))
    # Another split takes out more and fetches nothing; but an archive that has changed since it
    # was verified is not read again.
    project.write_split({**PEOPLE, truths[2].name: "test"})
    more = project.scans(*PEOPLE, truths[2].name)
    archive = folder / "resources" / "ixi" / "IXI-PD.tar"
    archive.write_bytes(archive.read_bytes().replace(b"IXI", b"IXJ"))
    printed = run(folder, *more, *project.arguments, ok=False)
    lines = [line for line in printed.splitlines() if "ERROR resources/ixi/IXI-PD.tar: md5" in line]
    assert lines, printed
    assert "delete it and fetch it again" in lines[0]
    assert "Traceback" not in printed
    assert not (folder / more[-1]).exists()
    assert server.asked == []


def test_when_all_addresses_fail_one_line_says_where_to_put_the_file(project: IxiProject) -> None:
    folder, server = project.folder, project.server
    server.plan = {"IXI-T1.tar": ["html"]}
    printed = run(folder, *project.scans(NAMES[0]), *project.arguments, "-k", ok=False)
    (line,) = {
        line.split("ERROR ")[1] for line in printed.splitlines() if "could not be fetched" in line
    }
    place = folder / "resources" / "ixi" / "IXI-T1.tar"
    assert line == (
        f"IXI-T1.tar of ixi could not be fetched: {server.url}/IXI-T1.tar sends a web page instead "
        f"of the file; {server.url}/first/IXI-T1.tar answers 404 Not Found. Download it by hand "
        f"from {server.url}/first/IXI-T1.tar and put it at {place}"
    )
    assert "Traceback" not in printed
    # Done as told, without the server.
    place.write_bytes(project.archives["T1w"].read_bytes())
    server.files.clear()
    run(folder, *project.scans(NAMES[0]), *project.arguments)
    assert all((folder / path).exists() for path in project.scans(NAMES[0]))
