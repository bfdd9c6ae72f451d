"""The split manifest: which subject is in train, val or test. A subject is in one of them only.

With folds, a subject has one split in each fold, and is tested in one fold at most.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lmidiff.common.errors import StudyError
from lmidiff.common.files import write_text

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("train", "val", "test")
"""The vocabulary, in the order the manifest lists it."""

HEADER = "subject\tsplit"
FOLDED_HEADER = f"{HEADER}\tfold"

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


def rotated(splits: Sequence[str], folds: int) -> list[tuple[str, ...]]:
    """Each person's split by fold, so that everybody is tested in exactly one.

    The first fold is the splits as given. In each fold after it, everybody takes the place of
    whoever stands as many places further on, in a ring, as people are tested at a time: other
    people are tested, as many validate, and all the rest train.

    Args:
        splits: by person, in order, the test people side by side.
        folds: their number times the number of test people is the number of people.

    Raises:
        ValueError: it is not.
    """
    people, step = len(splits), splits.count("test")
    if step * folds != people:
        raise ValueError(f"{folds} folds of {step} test people are not {people} people")
    return [
        tuple(splits[(person + fold * step) % people] for fold in range(folds))
        for person in range(people)
    ]


def write_folds(tables: Sequence[pd.DataFrame], path: str | Path) -> None:
    """Write the manifest of a study with a table of splits for each fold.

    For one fold as :func:`write_split` does; for several with a third column, ``fold``, and the
    people of each fold in the order of its table.

    Raises:
        StudyError: as :func:`write_split`; or a subject is tested in two folds.
    """
    if len(tables) == 1:
        return write_split(tables[0], path)
    rows = [
        (f"{path}, fold {fold} ({subject})", subject, split, str(fold))
        for fold, table in enumerate(tables, start=1)
        for subject, split in zip(table["subject"], table["split"], strict=True)
    ]
    lines = [FOLDED_HEADER]
    for fold, splits in enumerate(_assign_folds(rows, path), start=1):
        lines += [f"{subject}\t{split}\t{fold}" for subject, split in splits.items()]
    write_text(path, "\n".join(lines) + "\n")
    return None


def read_folds(path: str | Path) -> list[dict[str, str]]:
    """Subject to split for each fold of a manifest of :func:`write_folds`, in the file's order.

    Raises:
        StudyError: as :func:`read_split`; a subject is tested in two folds, or folds are of
            different people.
    """
    rows = _read_rows(path)
    if all(fold is None for *_, fold in rows):
        return [{s: split for split, people in read_split(path).items() for s in people}]
    return _assign_folds(rows, path)


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
    return _assign([row[:3] for row in _read_rows(path)], path)


def _read_rows(path: str | Path) -> list[tuple[str, str, str, str | None]]:
    """(where, subject, split, fold) of each line; no fold where there is no such column."""
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
        fold = cells[columns.index("fold")] if "fold" in columns else None
        rows.append((f"{path}, line {number} ({subject})", subject, split, fold))
    return rows


def _assign_folds(
    rows: Sequence[tuple[str, str, str, str | None]], path: str | Path
) -> list[dict[str, str]]:
    """Subject to split by fold, in the order of the rows, checked."""
    folds = list(dict.fromkeys(fold for *_, fold in rows))
    found = []
    for fold in folds:
        own = [row[:3] for row in rows if row[3] == fold]
        _assign(own, path)
        found.append({subject: split for _, subject, split in own})
    if folds != [str(number + 1) for number in range(len(folds))]:
        raise StudyError(f"{path}: folds are {', '.join(map(str, folds))}; count them from 1")
    for fold, splits in zip(folds, found, strict=True):
        for subject in sorted(set(found[0]) ^ set(splits)):
            raise StudyError(f"{path}: {subject} is not in both fold 1 and fold {fold}")
    for subject in found[0]:
        tested = [f for f, splits in zip(folds, found, strict=True) if splits[subject] == "test"]
        if len(tested) > 1:
            raise StudyError(
                f"{path}: {subject} is tested in folds {' and '.join(tested)}; test it in one"
            )
    return found


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


def kept_slices(slices: int, every: int) -> range:
    """The middle one of every so many slices, by their numbers in the stack.

    Raises:
        StudyError: that is none.
    """
    kept = range((every - 1) // 2, slices, every)
    if not kept:
        raise StudyError(
            f"config: data.test_every is {every}, and the grid has {slices} slices; "
            "take a smaller number"
        )
    return kept
