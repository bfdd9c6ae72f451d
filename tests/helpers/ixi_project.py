"""A copy of the project whose ledger describes made-up IXI archives on a server of its own."""

import csv
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from file_server import FileServer, file_server
from ixi_archive import SUFFIXES, Truth, write_archives
from workflows import copy_project


@dataclass
class IxiProject:
    """A project that can run ``config/ixi.yaml``, small, against its own server.

    Attributes:
        folder: the copy.
        server: serves the archives; ``server.plan`` makes it fail.
        archives: modality to archive on disk; the members lie beside it in ``unpacked``.
        arguments: of Snakemake: the smoke study, IXI and the small split laid over it.
    """

    folder: Path
    server: FileServer
    archives: dict[str, Path]
    arguments: tuple[str, ...] = ()

    def scans(self, *names: str) -> list[str]:
        """Where the scans of these subjects are taken out to."""
        return [
            f"resources/ixi/scans/{name}-{suffix}.nii.gz"
            for name in names
            for suffix in SUFFIXES.values()
        ]

    def overlay(self, name: str, mirror: str) -> tuple[str, ...]:
        """Arguments that use the small split and look for the archives at ``mirror`` first."""
        settings = {
            "data": {"mirror": mirror, "cohorts": {"ixi": {"split": "split.tsv"}}},
            "methods": {"synth_regression": None},  # IXI has no label maps
        }
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(settings))
        return ("--configfile", "config/ixi.yaml", "config/smoke.yaml", f"{name}.yaml")

    def write_split(self, people: Mapping[str, str]) -> None:
        """Write who (``IXI012-HH-1211``) is in which split."""
        lines = ["subject\tsite\tscan\tsplit"]
        for name, split in people.items():
            number, site, scan = name.split("-")
            lines.append(f"sub-{number}\t{site}\t{scan}\t{split}")
        (self.folder / "split.tsv").write_text("\n".join(lines) + "\n")


@contextmanager
def ixi_project(
    folder: Path, truths: list[Truth], people: Mapping[str, str]
) -> Iterator[IxiProject]:
    """Set up the project and run its server until the block ends."""
    archives = write_archives(truths, folder / "made")
    project = copy_project(folder / "a project")
    with file_server({path.name: path.read_bytes() for path in archives.values()}) as server:
        made = IxiProject(project, server, archives)
        made.write_split(people)
        made.arguments = made.overlay("mine", server.url)
        _write_ledger(project / "config" / "datasets.tsv", server)
        yield made


def _write_ledger(path: Path, server: FileServer) -> None:
    """The committed ledger, with the server's checksums and addresses for what it serves."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    for row in rows:
        if row["file"] in server.files:
            digest = hashlib.md5(server.files[row["file"]]).hexdigest()
            row |= {"checksum": f"md5:{digest}", "url": f"{server.url}/first/{row['file']}"}
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0], delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
