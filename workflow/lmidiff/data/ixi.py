"""The IXI data set: how its files are named, and who is in which split.

Three hospitals, one archive a modality, members such as ``IXI012-HH-1211-PD.nii.gz``: subject,
site, scan, modality. Brain-development.org/ixi-dataset, CC BY-SA 3.0.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from lmidiff.common.errors import StudyError
from lmidiff.common.files import write_text
from lmidiff.data.archive import members
from lmidiff.data.splits import SPLITS
from lmidiff.data.tsv import read_tsv

SUFFIXES = {"T1w": "T1", "PDw": "PD", "T2w": "T2"}
"""Modality of the study to IXI's name of it."""

SHARES = {"val": 0.05, "test": 0.15}
"""Share of each site's subjects in these splits; the rest is for training."""

_NAME = re.compile(r"(IXI\d{3})-([A-Za-z]+)-(\d{4})")


@dataclass(frozen=True)
class Person:
    """A subject of IXI; a row of the split.

    Attributes:
        subject: ``sub-IXI012``.
        site: Guys, HH or IOP.
        scan: four digits.
        split: train, val or test.
    """

    subject: str
    site: str
    scan: str
    split: str

    @property
    def name(self) -> str:
        """As file names begin: ``IXI012-HH-1211``."""
        return f"{self.subject.removeprefix('sub-')}-{self.site}-{self.scan}"


def archive_of(modality: str) -> str:
    """Name of the archive of a modality, ``IXI-PD.tar`` for PDw.

    Raises:
        StudyError: IXI has no such modality.
    """
    if modality not in SUFFIXES:
        raise StudyError(f"config: IXI has no {modality}; it has {', '.join(SUFFIXES)}")
    return f"IXI-{SUFFIXES[modality]}.tar"


def member_of(name: str, modality: str) -> str:
    """Name of a scan's file, ``IXI012-HH-1211-PD.nii.gz``."""
    return f"{name}-{SUFFIXES[modality]}.nii.gz"


def names_in(archive: str | Path, modality: str) -> set[str]:
    """Who is in an archive of a modality: names such as ``IXI012-HH-1211``.

    Raises:
        StudyError: as in :func:`lmidiff.data.archive.members`, or the archive has no such file.
    """
    ending = f"-{SUFFIXES[modality]}.nii.gz"
    found = {name.removesuffix(ending) for name in members(archive) if name.endswith(ending)}
    found = {name for name in found if _NAME.fullmatch(name)}
    if not found:
        raise StudyError(f"{archive}: has no member like IXI012-HH-1211{ending}; give IXI's own")
    return found


def split_subjects(names: Iterable[str], seed: int = 1) -> list[Person]:
    """Split subjects, the same ``SHARES`` of every site.

    Within a site, subjects are put in the order of a hash of seed and name; the first go to test,
    the next to val, the rest to train. A subject that comes or goes therefore moves at most one
    other at each border.

    Args:
        names: such as ``IXI012-HH-1211``; their order does not matter.
        seed: another one shuffles anew.

    Raises:
        StudyError: a name of another form, or one person under two names.
    """
    from lmidiff.common.seeds import seed_of  # with numpy, which reading a split does not need

    people: list[Person] = []
    sites: dict[str, list[re.Match[str]]] = {}
    for name in sorted(set(names)):
        found = _NAME.fullmatch(name)
        if not found:
            raise StudyError(f"{name} is no name of IXI; it must be like IXI012-HH-1211")
        sites.setdefault(found[2], []).append(found)
    for site, found in sites.items():
        order = sorted(found, key=lambda match: seed_of(seed, "ixi split", match[0]))
        test, val = (round(SHARES[split] * len(order)) for split in ("test", "val"))
        for place, match in enumerate(order):
            split = "test" if place < test else "val" if place < test + val else "train"
            people.append(Person(f"sub-{match[1]}", site, match[3], split))
    people.sort(key=lambda person: person.subject)
    _check(people, "IXI")
    return people


def write_people(people: Iterable[Person], path: str | Path, comments: Iterable[str] = ()) -> None:
    """Write a split as a TSV, atomically; ``comments`` become lines that start with ``#``."""
    names = [field.name for field in fields(Person)]
    lines = [f"# {comment}" for comment in comments] + ["\t".join(names)]
    lines += ["\t".join(getattr(person, name) for name in names) for person in people]
    write_text(path, "\n".join(lines) + "\n")


def write_split_of(archives: Mapping[str, str | Path], path: str | Path, seed: int = 1) -> str:
    """Split the subjects that are in every one of the archives, and write the split.

    Args:
        archives: modality to archive.
        path: the TSV.
        seed: of the split.

    Returns:
        Who is where, in words.

    Raises:
        StudyError: an archive cannot be read or is unsafe, or nobody is in all of them.
    """
    names = {modality: names_in(archive, modality) for modality, archive in archives.items()}
    common = set.intersection(*names.values())
    people = split_subjects(common, seed)
    if not people:
        raise StudyError(f"{path}: no subject is in all of {', '.join(map(str, names))}")
    shares = ", ".join(f"{share:.0%} {split}" for split, share in SHARES.items())
    comments = [
        f"Subjects of IXI that have {', '.join(names)}; of each site {shares}, the rest train.",
        f"Written by: python -m lmidiff ixi-split, seed {seed}",
    ]
    write_people(people, path, comments)
    said = [f"{len(people)} subjects have {', '.join(names)}: {path}"]
    said += [f"  {site}: {counts}" for site, counts in count(people).items()]
    for modality, found in names.items():
        lacking = sorted(found - common)
        if lacking:
            said.append(f"  {modality}, but not all of them: {', '.join(lacking)}")
    return "\n".join(said)


def read_people(path: str | Path) -> list[Person]:
    """Read a split of IXI; a row fits ``workflow/lmidiff/schemas/ixi.schema.yaml``.

    Raises:
        StudyError: one line that names the file, the line and the mend: a fault in header or
            cell, or a person in two rows, be it in one split or in two.
    """
    rows = read_tsv(path, "ixi", "split of IXI", lambda row: row["subject"])
    people = [Person(**row) for _, row in rows]
    if not people:
        raise StudyError(f"{path}: the split of IXI lists nobody; add one line a subject")
    _check(people, str(path))
    return people


def _check(people: list[Person], where: str) -> None:
    seen: dict[str, Person] = {}
    for person in people:
        before = seen.setdefault(person.subject, person)
        if before is not person:
            raise StudyError(
                f"{where}: {person.subject} is there twice, as {before.name} in {before.split} "
                f"and as {person.name} in {person.split}; keep one"
            )


def count(people: Iterable[Person]) -> dict[str, dict[str, int]]:
    """Number of subjects by site and split."""
    table: dict[str, dict[str, int]] = {}
    for person in people:
        site = table.setdefault(person.site, dict.fromkeys(SPLITS, 0))
        site[person.split] += 1
    return table
