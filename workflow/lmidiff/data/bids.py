"""A BIDS folder read as a sample sheet: ``sub-*/anat/sub-*_PDw.nii.gz`` and the like."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lmidiff.common.errors import StudyError
from lmidiff.data.identity import identity
from lmidiff.data.sheet import OPTIONAL, REQUIRED
from lmidiff.data.splits import SPLITS, read_split

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("lmidiff")

_ENTITY = re.compile(r"^(sub-[A-Za-z0-9]+)(?:_[a-z]+-[A-Za-z0-9]+)*$")
_SESSION = re.compile(r"_(ses-[A-Za-z0-9]+)_")
_RUN = re.compile(r"_run-([0-9]+)_")
_PART = re.compile(r"_part-([A-Za-z0-9]+)_")
TOGETHER = {"PDT2": ("PDw", "T2w")}
"""Suffixes of files that hold several contrasts, and what they are."""


def read_bids(
    folder: str | Path, modalities: Sequence[str], split: str, exclude: Collection[str] = ()
) -> pd.DataFrame:
    """The anatomical images of a BIDS data set.

    A modality is the suffix of the file name. Sessions are taken as they come, as long as a
    subject has one image of each modality, all of one session and run; two are an error, because
    which is meant is not said. Of an image in parts the magnitude is taken. Who has no image of any
    is named in the log.

    Args:
        folder: holds the ``sub-*`` folders.
        modalities: suffixes wanted; files of others are passed over.
        split: ``train``, ``val`` or ``test`` for everybody, or a TSV with the columns ``subject``
            and ``split``, relative to ``folder`` unless absolute; who is not in it is left out,
            and who is in it alone is an error.
        exclude: subjects to pass over.

    Returns:
        A table as :func:`lmidiff.data.sheet.read_sheet` gives it, sorted by subject.

    Raises:
        StudyError: no such folder, no subject, two images of one modality, images of two
            sessions or runs, a session that folder and file name differ in, one file for two
            images, an image of which only the phase is there, a bad split, nothing of somebody whom
            the split names.
    """
    import pandas as pd  # for studies of a BIDS folder alone

    folder = Path(folder)
    people = sorted(path for path in folder.glob("sub-*") if path.is_dir())
    if not people:
        raise StudyError(f"{folder}: has no folder sub-*; give the top of a BIDS data set")
    splits = _splits(folder, split)
    if splits is not None:
        _check_known(splits, {person.name for person in people}, folder, split)
    rows, without = [], []
    for person in people:
        if person.name in exclude or (splits is not None and person.name not in splits):
            continue
        chosen: dict[str, Path] = {}
        for modality in modalities:
            found = _images(person, modality)
            _check_parts(person, modality, found, folder)
            found = [path for path in found if _part(path) in ("", "mag")]
            if not found:
                _check_together(person, modality, folder)
            if len(found) > 1:
                names = ", ".join(str(path.relative_to(folder)) for path in found)
                raise StudyError(
                    f"{folder}: {person.name} has {len(found)} {modality} images ({names}); "
                    "name the one you mean in a sample sheet (kind: sheet)"
                )
            if found:
                chosen[modality] = found[0]
        if not chosen:
            without.append(person.name)
        _check_sessions(person.name, chosen, folder)
        where = split if splits is None else splits[person.name]
        nothing = [""] * len(OPTIONAL)
        rows += [(person.name, name, str(path), where, *nothing) for name, path in chosen.items()]
    if not rows:
        raise StudyError(
            f"{folder}: no subject has anat/sub-*_{modalities[0]}.nii.gz; check names and split"
        )
    _tell_of_none(without, modalities, folder, split, named=splits is not None)
    _check_distinct([row[2] for row in rows], folder)
    return pd.DataFrame(rows, columns=[*REQUIRED, *OPTIONAL])


def _tell_of_none(
    people: list[str], modalities: Sequence[str], folder: Path, split: str, named: bool
) -> None:
    """Say who has no image; raise StudyError where the split file names them."""
    if not people:
        return
    some = ", ".join(people[:5]) + (f" and {len(people) - 5} more" if len(people) > 5 else "")
    verb = "has" if len(people) == 1 else "have"
    said = f"{some} {verb} no image anat/sub-*_{'|'.join(modalities)}.nii.gz"
    if named:
        raise StudyError(
            f"{folder / split}: {said} in {folder}; correct the file names (upper and lower case "
            "count), or take the line out"
        )
    logger.warning("WARNING %s: %s and is left out; look at the file names", folder, said)


def _check_distinct(paths: list[str], folder: Path) -> None:
    """Raise StudyError where two names lead to one file."""
    seen: dict[object, str] = {}
    for path in paths:
        first = seen.setdefault(identity(path), path)
        if first != path:
            one, other = (str(Path(name).relative_to(folder)) for name in (first, path))
            raise StudyError(
                f"{folder}: {other} is {one} by another name; give each image its own file"
            )


def _splits(folder: Path, split: str) -> dict[str, str] | None:
    """Subject to split, or None for everybody in one."""
    if split in SPLITS:
        return None
    path = folder / split
    if not os.path.isfile(path):
        raise StudyError(
            f"{path}: no such split file; give train, val or test, or a TSV of subject and split"
        )
    return {subject: name for name, members in read_split(path).items() for subject in members}


def _check_known(splits: dict[str, str], people: set[str], folder: Path, split: str) -> None:
    unknown = sorted(splits.keys() - people)
    if unknown:
        raise StudyError(
            f"{folder / split}: {', '.join(unknown[:5])} {'is' if len(unknown) == 1 else 'are'} "
            f"not in {folder}; correct the name, or take the line out"
        )


def _part(path: Path) -> str:
    return "-".join(_PART.findall(path.name.replace("_", "__")))


def _check_parts(person: Path, modality: str, found: list[Path], folder: Path) -> None:
    """Raise StudyError where an image is there only in parts that are no magnitude."""
    if found and all(_part(path) not in ("", "mag") for path in found):
        raise StudyError(
            f"{folder}: of {person.name}'s {modality} there is only "
            f"{', '.join(path.name for path in found)}, which is no magnitude image; add part-mag"
        )


def _check_together(person: Path, modality: str, folder: Path) -> None:
    """Raise StudyError where a contrast that is missing lies in a file of several."""
    for suffix, held in TOGETHER.items():
        found = _images(person, suffix) if modality in held else []
        if found:
            path = found[0].relative_to(folder)
            each = ", ".join(f"{path}#{number}" for number, _ in enumerate(held))
            raise StudyError(
                f"{folder}: {person.name} has no {modality}, but {path} holds "
                f"{' and '.join(held)}; name its volumes in a sample sheet (kind: sheet): {each}"
            )


def _check_sessions(subject: str, chosen: dict[str, Path], folder: Path) -> None:
    sessions = {_session(path, folder) for path in chosen.values()}
    where = ", ".join(f"{path.relative_to(folder)}" for path in chosen.values())
    if len(sessions) > 1:
        raise StudyError(
            f"{folder}: {subject}'s images are of different sessions ({where}), perhaps months "
            "apart; name a pair of one session in a sample sheet (kind: sheet)"
        )
    runs = {int(run[1]) for path in chosen.values() if (run := _RUN.search(path.name))}
    if len(runs) > 1:
        raise StudyError(
            f"{folder}: {subject}'s images are of different runs ({where}); if they belong "
            "together, name them in a sample sheet (kind: sheet)"
        )


def _session(path: Path, folder: Path) -> str:
    """The session that a file is of, by its folder or its name; "" if neither says one."""
    found = _SESSION.search(path.name)
    named, above = found[1] if found else "", path.parent.parent.name
    above = above if above.startswith("ses-") else ""
    if named and above and named != above:
        raise StudyError(
            f"{folder}: {path.relative_to(folder)} is {named} by its name and {above} by its "
            "folder; correct one of them"
        )
    return named or above


def _images(person: Path, modality: str) -> list[Path]:
    """The person's images of a modality, of all sessions; parts of other runs do not match."""
    found = []
    for place in ("anat", "ses-*/anat"):
        for kind in (".nii.gz", ".nii"):
            for path in person.glob(f"{place}/*_{modality}{kind}"):
                entities = _ENTITY.match(path.name.removesuffix(kind).removesuffix(f"_{modality}"))
                if entities and entities[1] == person.name:
                    found.append(path)
    return sorted(found)
