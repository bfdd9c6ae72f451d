"""The split manifest: which subject is in train, val or test. A subject is in one of them only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from lmidiff.common.errors import StudyError
from lmidiff.common.files import write_text

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("train", "val", "test")
"""The vocabulary, in the order the manifest lists it."""

HEADER = "subject\tsplit"

_SUBJECT = re.compile("sub-[A-Za-z0-9]+")


def write_split(table: pd.DataFrame, path: str | Path) -> None:
    """Write the manifest of ``table``: a TSV of ``subject, split``, one line a subject.

    Args:
        table: any frame with columns ``subject`` and ``split``, such as a sample sheet; several
            rows of one subject become one line. The order of its rows does not matter.
        path: the TSV, written atomically.

    Raises:
        StudyError: no subject, a subject in two splits, an unknown split, an unwritable path.
    """
    pairs = list(zip(table["subject"], table["split"], strict=True))
    assigned = _assign([(f"{path} ({subject})", subject, split) for subject, split in pairs], path)
    lines = [HEADER]
    for split in SPLITS:
        lines += [f"{subject}\t{split}" for subject in sorted(assigned[split])]
    write_text(path, "\n".join(lines) + "\n")


def read_split(path: str | Path) -> dict[str, list[str]]:
    """Read a manifest written by :func:`write_split`, or by a person.

    Columns are in any order, others beside them are passed over, and ``01`` is ``sub-01``.

    Returns:
        For each of ``train``, ``val``, ``test``, its subjects in file order; a split nobody is
        in is an empty list.

    Raises:
        StudyError: the file is missing or no such TSV, it lists no subject, a split is unknown,
            or a subject is in two splits.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StudyError(f"{path}: split manifest cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: split manifest is not UTF-8 text; save it as a TSV") from error
    header, *lines = text.split("\n")
    columns = [name.strip().lower() for name in header.split("\t")]
    if {"subject", "split"} - set(columns) or len(set(columns)) < len(columns):
        raise StudyError(
            f"{path}, line 1: the header is {header.strip()!r}; it must have the columns subject "
            "and split, with a tab between them"
        )
    places = columns.index("subject"), columns.index("split")
    rows = []
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != len(columns) or not all(cells[place] for place in places):
            raise StudyError(
                f"{path}, line {number}: write a cell for each of {', '.join(columns)}, with tabs"
            )
        subject, split = (cells[place] for place in places)
        subject = f"sub-{subject.removeprefix('sub-')}"
        rows.append((f"{path}, line {number} ({subject})", subject, split))
    return _assign(rows, path)


def _assign(rows: list[tuple[str, str, str]], path: str | Path) -> dict[str, list[str]]:
    """Subjects by split from (where, subject, split) rows."""
    found: dict[str, str] = {}
    for where, subject, split in rows:
        if not _SUBJECT.fullmatch(subject):
            raise StudyError(f"{where}: {subject!r}: use letters and digits, such as sub-01")
        if split not in SPLITS:
            raise StudyError(f"{where}: split {split!r} is unknown; use {', '.join(SPLITS)}")
        if found.setdefault(subject, split) != split:
            raise StudyError(
                f"{where}: subject is in splits {found[subject]} and {split}; keep it in one"
            )
    if not found:
        raise StudyError(f"{path}: the split has no subject; list at least one")
    return {split: [s for s, of in found.items() if of == split] for split in SPLITS}
