"""The sample sheet: one line an image, checked before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lmidiff.common.errors import StudyError
from lmidiff.common.files import split_volume
from lmidiff.common.schema import columns
from lmidiff.data.identity import identity
from lmidiff.data.tsv import read_tsv

if TYPE_CHECKING:
    import pandas as pd

REQUIRED, OPTIONAL = columns("sheet")
FILE_COLUMNS = ("path", "labels", "mask", "lesions")
OF_ONE_PERSON = ("labels", "mask")


def read_sheet(
    path: str | Path, roots: Sequence[str | Path] = (), coming: Collection[str] = ()
) -> pd.DataFrame:
    """Read and check a sample sheet.

    The sheet is a UTF-8 TSV with a header line, and a row fits
    ``workflow/lmidiff/schemas/sheet.schema.yaml``. Columns, in any order: ``subject`` (``sub-01``
    or ``01``), ``modality`` (letters and digits, such as ``PDw``), ``path`` (a NIfTI), ``split``
    (train, val or test). ``~`` is the home folder, and ``scan.nii.gz#1`` the second volume of a
    file that holds several. Optional: ``labels`` (a NIfTI of 1 CSF, 2 GM, 3 WM), ``mask`` (a NIfTI,
    brain above 0.5) and ``lesions`` (a NIfTI, lesion above 0.5, on the grid of the first source),
    the same on every line of a subject, empty where it has none. Empty lines and lines that start
    with ``#`` are skipped.

    Args:
        path: the sheet.
        roots: folders in which relative paths are looked for, in this order, after the
            sheet's own folder.
        coming: relative paths that need not exist yet: they will be fetched into the first root.

    Returns:
        One row an image, in file order, with the string columns ``subject`` (with ``sub-``),
        ``modality``, ``path``, ``split``, ``labels``, ``mask``, ``lesions``. Paths exist or are
        coming; the last three are ``""`` where there is none.

    Raises:
        StudyError: one line that names the sheet, the line and the mend. Raised for an
            unreadable or empty sheet, an unknown, missing or repeated column, a wrong number of
            cells, an empty cell, a bad subject, modality or split, a missing file, a repeated
            subject and modality, an image used twice by whatever names, a scan given as ``labels``,
            ``mask`` or ``lesions``, ``labels`` or a ``mask`` given as ``lesions`` or of two
            subjects, a subject in two splits, and ``labels``, ``mask`` or ``lesions`` differing
            within a subject.
    """
    import pandas as pd  # for studies with a sheet alone

    sheet = Path(path)
    folders = [sheet.parent, *map(Path, roots)]
    rows: list[dict[str, str]] = []
    places: list[str] = []
    for place, row in read_tsv(sheet, "sheet", "sample sheet", _subject_of):
        row["subject"] = _subject_of(row)
        for column in FILE_COLUMNS:
            if row[column]:
                fetched = [Path(roots[0])] if roots and row[column] in coming else []
                row[column] = _find(
                    os.path.expanduser(row[column]), folders, f"{place}: {column}", fetched
                )
        rows.append(row)
        places.append(place)
    if not rows:
        raise StudyError(f"{sheet}: the sheet lists no image; add one line an image")
    _check_together(rows, places)
    return pd.DataFrame(rows, columns=[*REQUIRED, *OPTIONAL])


def _subject_of(row: Mapping[str, str]) -> str:
    """The row's subject with ``sub-``; "" if its cell is empty."""
    name = row["subject"]
    return "sub-" + name.removeprefix("sub-") if name else ""


def _find(name: str, folders: list[Path], place: str, fetched: list[Path]) -> str:
    """The first of ``folders`` that has the file ``name``, joined with it; else ``fetched``."""
    # An absolute name replaces the folder in the join, and so is tried as it is.
    for folder in folders:
        if os.path.isfile(split_volume(folder / name)[0]):
            return str(folder / name)
    if fetched:
        return str(fetched[0] / name)
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
    first_with(lambda row: identity(row["path"]), shared)
    _check_roles(rows, places)


def _check_roles(rows: list[dict[str, str]], places: list[str]) -> None:
    """A scan is no mask and no labels, these are of one person, and lesions are neither."""
    scans = {identity(row["path"]): place for row, place in zip(rows, places, strict=True)}
    owners: dict[object, tuple[str, str]] = {}
    for row, place in zip(rows, places, strict=True):
        for column in OF_ONE_PERSON:
            if row["lesions"] and row[column] and identity(row[column]) == identity(row["lesions"]):
                raise StudyError(
                    f"{place}: lesions {row['lesions']!r} is the {column} too; name the file of "
                    "the lesions, or leave the cell empty"
                )
        for column in OPTIONAL:
            if not row[column]:
                continue
            known = identity(row[column])
            if known in scans:
                raise StudyError(
                    f"{place}: {column} {row[column]!r} is a scan (see {scans[known]}); name the "
                    f"file of the {column}, or leave the cell empty"
                )
            owner, first = owners.setdefault((column, known), (row["subject"], place))
            if column in OF_ONE_PERSON and owner != row["subject"]:
                raise StudyError(
                    f"{place}: {column} {row[column]!r} is {owner}'s (see {first}); give each "
                    "subject its own"
                )
