"""The sample sheet: one line an image, checked before anything is computed."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from lmidiff.data.splits import SPLITS
from lmidiff.errors import StudyError

REQUIRED = ("subject", "modality", "path", "split")
OPTIONAL = ("labels", "mask")
FILE_COLUMNS = ("path", "labels", "mask")

_SUBJECT = re.compile(r"sub-[A-Za-z0-9]+")
_MODALITY = re.compile(r"[A-Za-z][A-Za-z0-9]*")
# A modality becomes a file name, and this one is the tissue labels'.
_RESERVED = frozenset({"dseg"})


def read_sheet(path: str | Path, roots: Sequence[str | Path] = ()) -> pd.DataFrame:
    """Read and check a sample sheet.

    The sheet is a UTF-8 TSV with a header line. Columns, in any order: ``subject`` (``sub-01``
    or ``01``), ``modality`` (letters and digits, such as ``PDw``), ``path`` (a NIfTI), ``split``
    (train, val or test); optional ``labels`` (a NIfTI of 1 CSF, 2 GM, 3 WM) and ``mask`` (a NIfTI,
    brain above 0.5), the same on every line of a subject, empty where it has none. Empty lines
    and lines that start with ``#`` are skipped.

    Args:
        path: the sheet.
        roots: folders in which relative paths are looked for, in this order, after the
            sheet's own folder.

    Returns:
        One row an image, in file order, with the string columns ``subject`` (with ``sub-``),
        ``modality``, ``path``, ``split``, ``labels``, ``mask``. Paths exist; ``labels`` and
        ``mask`` are ``""`` where there is none.

    Raises:
        StudyError: one line that names the sheet, the line and the mend. Raised for an
            unreadable or empty sheet, an unknown, missing or repeated column, a wrong number of
            cells, an empty cell, a bad subject, modality or split, a missing file, a repeated
            subject and modality, a file used for two images, a subject in two splits, and
            ``labels`` or ``mask`` differing within a subject.
    """
    sheet = Path(path)
    folders = [sheet.parent, *map(Path, roots)]
    rows: list[dict[str, str]] = []
    places: list[str] = []
    for number, cells in _parse(sheet):
        place = f"{sheet}, line {number}"
        row = _check_cells(cells, place)
        place = f"{place} ({row['subject']})"
        for column in FILE_COLUMNS:
            if row[column]:
                row[column] = _find(row[column], folders, f"{place}: {column}")
        rows.append(row)
        places.append(place)
    if not rows:
        raise StudyError(f"{sheet}: the sheet lists no image; add one line an image")
    _check_together(rows, places)
    return pd.DataFrame(rows, columns=[*REQUIRED, *OPTIONAL])


def _parse(sheet: Path) -> list[tuple[int, dict[str, str]]]:
    """(line number, cells by column) of every line with content after the header."""
    try:
        text = sheet.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StudyError(f"{sheet}: sample sheet cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise StudyError(
            f"{sheet}: sample sheet is not UTF-8 text; save it as tab-separated UTF-8"
        ) from error
    lines = [
        (number, [cell.strip().strip('"').strip() for cell in line.split("\t")])
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise StudyError(f"{sheet}: the sheet is empty; its header is {', '.join(REQUIRED)}")
    number, header = lines[0]
    _check_header(header, f"{sheet}, line {number}")
    parsed = []
    for number, cells in lines[1:]:
        # Spreadsheets drop the tabs of trailing empty cells.
        cells += [""] * (len(header) - len(cells))
        if len(cells) > len(header):
            raise StudyError(
                f"{sheet}, line {number}: {len(cells)} cells under {len(header)} columns; "
                "take out the extra tab"
            )
        parsed.append((number, dict(zip(header, cells, strict=True))))
    return parsed


def _check_header(header: list[str], place: str) -> None:
    if len(header) == 1 and "," in header[0]:
        raise StudyError(f"{place}: columns are separated by commas; save the sheet with tabs")
    known = ", ".join([*REQUIRED, *OPTIONAL])
    for column in header:
        if column not in REQUIRED + OPTIONAL:
            raise StudyError(f"{place}: unknown column {column!r}; columns are {known}")
        if header.count(column) > 1:
            raise StudyError(f"{place}: column {column!r} is there twice; keep one")
    for column in REQUIRED:
        if column not in header:
            raise StudyError(f"{place}: column {column!r} is missing; add it ({known})")


def _check_cells(cells: dict[str, str], place: str) -> dict[str, str]:
    """The row with every column and a normalised subject; cells checked one by one."""
    for column in REQUIRED:
        if not cells[column]:
            who = f" ({cells['subject']})" if cells["subject"] else ""
            raise StudyError(f"{place}{who}: cell {column!r} is empty; fill it in")
    row = {column: cells.get(column, "") for column in (*REQUIRED, *OPTIONAL)}
    subject = row["subject"] if row["subject"].startswith("sub-") else "sub-" + row["subject"]
    if not _SUBJECT.fullmatch(subject):
        raise StudyError(
            f"{place}: subject {row['subject']!r} is not sub- with letters and digits; "
            "rename it, for example sub-01"
        )
    place = f"{place} ({subject})"
    if not _MODALITY.fullmatch(row["modality"]) or row["modality"] in _RESERVED:
        raise StudyError(
            f"{place}: modality {row['modality']!r} is not a plain name; "
            "use letters and digits, for example PDw"
        )
    if row["split"] not in SPLITS:
        raise StudyError(f"{place}: split {row['split']!r} is unknown; use {', '.join(SPLITS)}")
    return row | {"subject": subject}


def _find(name: str, folders: list[Path], place: str) -> str:
    """The first of ``folders`` that has the file ``name``, joined with it."""
    # An absolute name replaces the folder in the join, and so is tried as it is.
    for folder in folders:
        if os.path.isfile(folder / name):
            return str(folder / name)
    looked = "" if Path(name).is_absolute() else f" in {', '.join(map(str, folders))}"
    raise StudyError(f"{place} {name!r} is no file{looked}; correct the path or fetch the data")


def _check_together(rows: list[dict[str, str]], places: list[str]) -> None:
    """Rules that take more than one line to break."""

    def first_with(key: Callable[[dict[str, str]], object], complain: Callable) -> None:
        seen: dict[object, int] = {}
        for now, row in enumerate(rows):
            before = seen.setdefault(key(row), now)
            if message := complain(rows[before], row, before != now):
                raise StudyError(f"{places[now]}: {message} (see {places[before]})")

    def repeated(_: dict, row: dict, again: bool) -> str:
        return f"a second line for {row['modality']}; keep one" if again else ""

    def shared(_: dict, row: dict, again: bool) -> str:
        return f"path {row['path']!r} is used twice; give each image its own file" if again else ""

    def differing(column: str) -> Callable:
        def complain(before: dict, row: dict, _: bool) -> str:
            if before[column] == row[column]:
                return ""
            mend = "keep a subject in one" if column == "split" else "give every line the same"
            return f"{column} is {row[column]!r} here and {before[column]!r} before; {mend}"

        return complain

    for column in ("split", *OPTIONAL):
        first_with(lambda row: row["subject"], differing(column))
    first_with(lambda row: (row["subject"], row["modality"]), repeated)
    first_with(lambda row: os.path.realpath(row["path"]), shared)
