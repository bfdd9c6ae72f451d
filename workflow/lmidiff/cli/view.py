"""``view``: volumes side by side in one page, in three planes with one cross-hair."""

import argparse
from pathlib import Path

from lmidiff.cli.arguments import file_path
from lmidiff.cli.scans import stem_of
from lmidiff.common.errors import StudyError
from lmidiff.common.outputs import check_outputs
from lmidiff.report.viewer import MOST, Volume, volume_of, write_viewer


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "view",
        help="write a page that shows volumes side by side",
        description="Write one HTML file that shows volumes side by side, in three planes with "
        "one cross-hair. It needs no network and asks for none. Grids may differ: places are "
        "matched in mm.",
    )
    parser.add_argument(
        "volumes", type=file_path, nargs="+", metavar="NIFTI", help=f"up to {MOST} in all"
    )
    parser.add_argument(
        "--labels",
        type=file_path,
        action="append",
        default=[],
        metavar="NIFTI",
        help="labels 1 CSF, 2 GM, 3 WM, as `segment` writes them; may be given again",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=file_path,
        default=Path("view.html"),
        metavar="HTML",
        help="default: %(default)s",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> None:
    """Write the page.

    Raises:
        StudyError: a file cannot be read as a volume, there are too many, or the page is one.
    """
    files = [*given.volumes, *given.labels]
    if len(files) > MOST:
        raise StudyError(f"view: shows up to {MOST} volumes, {len(files)} were given")
    if given.out.suffix.lower() not in (".html", ".htm"):
        raise StudyError(f"view: --out {given.out}: the page is HTML; name it *.html")
    check_outputs([given.out], files)
    shown = [_volume(file, "image") for file in given.volumes]
    shown += [_volume(file, "labels") for file in given.labels]
    names = ", ".join(file.name for file in files)
    write_viewer(shown, given.out, names, "Each volume has its own window; black to white.")
    print(f"Open {given.out}")


def _volume(file: Path, kind: str) -> Volume:
    return volume_of(file, stem_of(file), kind)
