"""A BIDS folder read as a sample sheet: ``sub-*/anat/sub-*_PDw.nii.gz`` and the like."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from lmidiff.common.errors import StudyError
from lmidiff.data.sheet import OPTIONAL, REQUIRED
from lmidiff.data.splits import SPLITS, read_split

_ENTITY = re.compile(r"^(sub-[A-Za-z0-9]+)(?:_[a-z]+-[A-Za-z0-9]+)*$")


def read_bids(
    folder: str | Path, modalities: Sequence[str], split: str, exclude: Collection[str] = ()
) -> pd.DataFrame:
    """The anatomical images of a BIDS data set.

    A modality is the suffix of the file name. Sessions are taken as they come, as long as a
    subject has one image of each modality; two are an error, because which is meant is not said.

    Args:
        folder: holds the ``sub-*`` folders.
        modalities: suffixes wanted; files of others are passed over.
        split: ``train``, ``val`` or ``test`` for everybody, or a TSV with the columns ``subject``
            and ``split``, relative to ``folder`` unless absolute; who is not in it is left out.
        exclude: subjects to pass over.

    Returns:
        A table as :func:`lmidiff.data.sheet.read_sheet` gives it, sorted by subject.

    Raises:
        StudyError: no such folder, no subject, two images of one modality, a bad split.
    """
    folder = Path(folder)
    people = sorted(path for path in folder.glob("sub-*") if path.is_dir())
    if not people:
        raise StudyError(f"{folder}: has no folder sub-*; give the top of a BIDS data set")
    splits = _splits(folder, split)
    rows = []
    for person in people:
        if person.name in exclude or (splits is not None and person.name not in splits):
            continue
        for modality in modalities:
            found = _images(person, modality)
            if len(found) > 1:
                names = ", ".join(str(path.relative_to(folder)) for path in found)
                raise StudyError(
                    f"{folder}: {person.name} has {len(found)} {modality} images ({names}); "
                    "name the one you mean in a sample sheet (kind: sheet)"
                )
            if found:
                where = split if splits is None else splits[person.name]
                rows.append((person.name, modality, str(found[0]), where, "", ""))
    if not rows:
        raise StudyError(
            f"{folder}: no subject has anat/sub-*_{modalities[0]}.nii.gz; check names and split"
        )
    return pd.DataFrame(rows, columns=[*REQUIRED, *OPTIONAL])


def _splits(folder: Path, split: str) -> dict[str, str] | None:
    """Subject to split, or None for everybody in one."""
    if split in SPLITS:
        return None
    path = folder / split
    if not path.is_file():
        raise StudyError(
            f"{path}: no such split file; give train, val or test, or a TSV of subject and split"
        )
    return {subject: name for name, members in read_split(path).items() for subject in members}


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
