"""Who is in a study: the cohorts of the config turned into subjects with a split each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmidiff.common.errors import StudyError
from lmidiff.data import ixi
from lmidiff.data.bids import read_bids
from lmidiff.data.downloads import Downloads
from lmidiff.data.sheet import read_sheet
from lmidiff.data.splits import SPLITS, read_folds, rotated

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Subject:
    """One person of a study.

    Attributes:
        id: ``sub-...``.
        split: train, val or test; with folds, that of the first.
        cohort: name of the cohort in the config.
        labels: whether true tissue labels exist.
        scans: modality (or "labels", "mask", "lesions") to path, for scans that exist on disk.
        anatomy: the label map a simulated subject is made from, if any.
        raw: whether the scans are as the scanner gave them: neither aligned nor skull-stripped.
        simulated: modalities that are simulated from the labels, the target being real.
        later: splits in the folds after the first; none where it is the same in all.
    """

    id: str
    split: str
    cohort: str
    labels: bool
    scans: Mapping[str, str] = field(default_factory=dict)
    anatomy: str = ""
    raw: bool = False
    simulated: tuple[str, ...] = ()
    later: tuple[str, ...] = ()

    def split_in(self, fold: int) -> str:
        """The split in a fold, counted from 1."""
        return (self.split, *self.later)[fold - 1] if self.later else self.split


def subjects_of(
    cohorts: Mapping[str, Mapping[str, Any]],
    modalities: Sequence[str],
    downloads: Downloads,
    exclude: Collection[str] = (),
    folds: int = 1,
) -> list[Subject]:
    """Every subject of every cohort.

    Args:
        cohorts: the config's ``data.cohorts``.
        modalities: target and sources. A test subject of a sheet has all of them; who is trained
            or tuned on needs the target alone.
        downloads: the ledger's files, and the folders in which relative paths are looked for.
        exclude: ids that are left out; their images are not looked at.
        folds: in which the people of a cohort that is tested are tested in turn, each once.

    Raises:
        StudyError: a sheet or folder is missing or faulty, an id is in two cohorts, or a cohort
            cannot be dealt out to the folds.
    """
    makers = {
        "simulated": _simulated,
        "labels": _labels,
        "sheet": _sheet,
        "bids": _bids,
        "ixi": _ixi,
    }
    found = {
        name: makers[cohort["kind"]](name, cohort, modalities, downloads, exclude)
        for name, cohort in cohorts.items()
    }
    _name_apart(found, cohorts)
    members: list[Subject] = []
    for name, people in found.items():
        for member in _dealt(people, name, cohorts[name]["kind"], folds):
            if member.id in exclude:
                continue
            clash = next((other for other in members if other.id == member.id), None)
            if clash:
                raise StudyError(
                    f"config: {member.id} is in cohort {clash.cohort} ({clash.split}) and in "
                    f"cohort {name} ({member.split}); give one of them another id"
                )
            members.append(member)
    return members


def _name_apart(found: dict[str, list[Subject]], cohorts: Mapping[str, Mapping[str, Any]]) -> None:
    """Where a simulated person has a real one's name, name that cohort's people after it."""
    real = {
        member.id
        for name, people in found.items()
        if cohorts[name]["kind"] != "simulated"
        for member in people
    }
    for name, people in found.items():
        if cohorts[name]["kind"] == "simulated" and any(member.id in real for member in people):
            kind = "".join(filter(str.isalnum, name))
            found[name] = [replace(m, id=f"sub-{kind}{m.id.removeprefix('sub-')}") for m in people]


def _dealt(people: list[Subject], name: str, kind: str, folds: int) -> list[Subject]:
    """People with their splits in all folds; where nobody is tested, they are the same in all."""
    splits = [member.split for member in people]
    if folds == 1 or "test" not in splits:
        return people
    if kind not in ("simulated", "labels"):
        raise StudyError(
            f"config: folds: {folds} tests people of a cohort in turn, but data.cohorts.{name} of "
            f"kind {kind} says itself who is tested; set folds to 1"
        )
    share, rest = divmod(len(people), folds)
    if rest or splits.count("test") != share:
        mend = (
            f"their number must be a multiple of {folds}"
            if rest
            else f"subjects.test must be {share} of them, not {splits.count('test')}"
        )
        raise StudyError(
            f"config: folds: {folds} tests each of the {len(people)} people of data.cohorts.{name} "
            f"once, so {mend}"
        )
    return [
        replace(member, later=each[1:])
        for member, each in zip(people, rotated(splits, folds), strict=True)
    ]


def _counts(cohort: Mapping[str, Any]) -> list[str]:
    return [split for split in SPLITS for _ in range(cohort["subjects"][split])]


def _simulated(name, cohort, modalities, downloads, exclude) -> list[Subject]:  # noqa: ARG001
    splits = _counts(cohort)
    return [Subject(f"sub-{i + 1:02d}", split, name, True) for i, split in enumerate(splits)]


def _found(cohort: Mapping[str, Any], downloads: Downloads) -> Path | None:
    """The folder of a cohort, absolute, or here or below the first data root that has it."""
    folders = (root / cohort["folder"] for root in (Path(), *downloads.roots))
    return next((folder for folder in folders if folder.is_dir()), None)


def _labels(name, cohort, modalities, downloads, exclude) -> list[Subject]:
    if cohort.get("target") == "real":
        return _real_target(name, cohort, modalities, downloads, exclude)
    splits = _counts(cohort)
    wanted, found = Path(cohort["folder"]), _found(cohort, downloads)
    known = downloads.files(cohort["folder"])
    if known and found in (None, downloads.root / wanted):
        maps = [Path(downloads.target(cohort["folder"], file)) for file in known]
    elif found is None:
        folders = [wanted] if wanted.is_absolute() else [Path(), *downloads.roots]
        raise StudyError(
            f"config: data.cohorts.{name}.folder {wanted} is in none of "
            f"{', '.join(str(root) for root in folders)}; put the label maps there"
        )
    else:
        maps = sorted(found.glob("*.nii.gz"))
    if len(maps) < len(splits):
        raise StudyError(
            f"{found or wanted}: {len(maps)} label maps, but data.cohorts.{name}.subjects asks for "
            f"{len(splits)}"
        )
    members = []
    for path, split in zip(maps, splits, strict=False):
        number = "".join(filter(str.isalnum, path.name.removesuffix(".nii.gz").split("_")[-1]))
        members.append(Subject(f"sub-{number}", split, name, True, anatomy=str(path)))
    return members


def _real_target(name, cohort, modalities, downloads, exclude) -> list[Subject]:
    """People of a sheet with target and labels; the sources are simulated from the labels."""
    target, *sources = modalities
    members = _sheet(name, cohort, [target], downloads, exclude)
    for member in members:
        where = f"{cohort['sheet']}: {member.id}"
        if not member.labels:
            raise StudyError(
                f"{where} has no labels, and data.cohorts.{name} simulates its sources from them; "
                "name a label map in the labels column"
            )
        for source in sources:
            if source in member.scans:
                raise StudyError(
                    f"{where} has a real {source}, and data.cohorts.{name} simulates it; "
                    "drop the row, or make the cohort one of kind sheet"
                )
    return [replace(member, simulated=tuple(sources)) for member in members]


def _sheet(name, cohort, modalities, downloads, exclude) -> list[Subject]:
    coming = {f"{dataset}/{file}" for dataset, file in downloads.entries}
    table = read_sheet(cohort["sheet"], downloads.roots, coming)
    return _listed(table, name, cohort, modalities, exclude, cohort["sheet"])


def _bids(name, cohort, modalities, downloads, exclude) -> list[Subject]:
    found = _found(cohort, downloads) or Path(cohort["folder"])
    table = read_bids(found, modalities, cohort["split"], exclude)
    return _listed(table, name, cohort, modalities, exclude, found)


def _listed(
    table: pd.DataFrame,
    name: str,
    cohort: Mapping[str, Any],
    modalities: Sequence[str],
    exclude: Collection[str],
    where: str | Path,
) -> list[Subject]:
    """The subjects of a table with one row an image."""
    members = []
    raw = not cohort.get("aligned", True)
    taken = ~table["subject"].isin(exclude) & table["split"].isin(cohort.get("splits", SPLITS))
    for subject, rows in table[taken].groupby("subject", sort=True):
        scans = dict(zip(rows["modality"], rows["path"], strict=True))
        split = rows.iloc[0]["split"]
        for modality in modalities if split == "test" else modalities[:1]:
            if modality not in scans:
                raise StudyError(
                    f"{where}: {subject} has no {modality} row; "
                    "add the image, or list the subject under data.exclude"
                )
        first = rows.iloc[0]
        extra = {key: first[key] for key in ("labels", "mask", "lesions") if first.get(key)}
        labels = bool(first["labels"])
        paths = {**scans, **extra}
        members.append(Subject(subject, first["split"], name, labels, paths, raw=raw))
    return members


def _ixi(name, cohort, modalities, downloads, exclude) -> list[Subject]:  # noqa: ARG001
    for modality in modalities:
        downloads.entry("ixi", ixi.archive_of(modality))
    members = []
    for person in ixi.read_people(cohort["split"]):
        files = {modality: ixi.member_of(person.name, modality) for modality in modalities}
        scans = {modality: downloads.target("ixi", f"scans/{f}") for modality, f in files.items()}
        members.append(Subject(person.subject, person.split, name, False, scans, raw=True))
    return members


def recorded_members(folder: str | Path, exclude: Sequence[str] = ()) -> list[Subject]:
    """The people of a recorded run, from its split; their scans are not needed any more.

    Those of ``exclude`` are left out.

    Raises:
        StudyError: the record has no split.
    """
    first, *more = read_folds(Path(folder) / "split.tsv")
    return [
        Subject(subject, split, "recorded", True, later=tuple(fold[subject] for fold in more))
        for subject, split in first.items()
        if subject not in exclude
    ]
