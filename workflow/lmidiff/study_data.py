"""Who is in a study and where their images are; file names follow BIDS.

``sub-01_T1w.nii.gz``, ``sub-01_desc-brain_mask.nii.gz``, ``sub-01_dseg.nii.gz``.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lmidiff.cohorts import Subject, subjects_of
from lmidiff.errors import StudyError
from lmidiff.replay import recorded_members

MASK, LABELS = "desc-brain_mask", "dseg"


class StudyData:
    """The people and images of a study.

    Args:
        config: validated, see :func:`lmidiff.validation.check_config`.

    Raises:
        StudyError: the cohorts, models and methods do not fit together.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.name: str = config["study"]
        self.seed: int = config["seed"]
        self.folder = Path("results", *self._origin(config), self.name)
        data = config["data"]
        self.target: str = data["target"]
        self.sources: list[str] = data["sources"]
        self.modalities = [self.target, *self.sources]
        self.roots = [Path(root) for root in data["roots"]]
        self.cohorts: Mapping[str, Mapping[str, Any]] = data["cohorts"]
        self.members: list[Subject] = (
            recorded_members(config["recorded"])
            if "recorded" in config
            else subjects_of(self.cohorts, self.modalities, self.roots)
        )
        self._check_subjects()

    @staticmethod
    def _origin(config: Mapping[str, Any]) -> list[str]:
        """Results that begin with recorded files lie apart from those of a whole run."""
        return [origin for origin in ("recorded", "checkpoints") if origin in config]

    def subjects(self, split: str | None = None, cohort: str | None = None) -> list[str]:
        """Subject ids, of one split and one cohort if named, in the order of the config."""
        return [
            member.id
            for member in self.members
            if split in (None, member.split) and cohort in (None, member.cohort)
        ]

    def subject(self, subject_id: str) -> Subject:
        """A subject by its id."""
        return next(member for member in self.members if member.id == subject_id)

    @property
    def generated_cohorts(self) -> list[str]:
        """Cohorts whose scans are simulated and that have subjects."""
        return [
            name
            for name, c in self.cohorts.items()
            if c["kind"] != "sheet" and self.subjects(cohort=name)
        ]

    @property
    def scanned_subjects(self) -> list[str]:
        """Subjects whose scans exist on disk."""
        return [member.id for member in self.members if member.scans]

    def anatomies(self, cohort: str) -> list[str]:
        """Label maps that a cohort is simulated from; none for the built-in template."""
        return [m.anatomy for m in self.members if m.cohort == cohort and m.anatomy]

    def anatomy_of(self, cohort: str) -> dict[str, str]:
        """Subject to label map, "" for the built-in template."""
        return {m.id: m.anatomy for m in self.members if m.cohort == cohort}

    def raw(self, subject: str, suffix: str) -> str:
        """A simulated scan as the scanner gave it; real scans stay where they are."""
        return str(self.folder / "raw" / subject / f"{subject}_{suffix}.nii.gz")

    def raw_files(self, cohort: str) -> list[str]:
        """Everything the simulator writes for a cohort."""
        suffixes = [*self.modalities, LABELS, MASK]
        return [self.raw(subject, s) for subject in self.subjects(cohort=cohort) for s in suffixes]

    def scans_of(self, subjects: Iterable[str]) -> dict[str, dict[str, str]]:
        """Subject to modality (or "labels", "mask") to the scan that preprocessing reads."""
        scans = {}
        for subject in subjects:
            found = dict(self.subject(subject).scans)
            if not found:
                found = {name: self.raw(subject, name) for name in self.modalities}
                found |= {"labels": self.raw(subject, LABELS), "mask": self.raw(subject, MASK)}
            wanted = [*self.modalities, "labels", "mask"]
            scans[subject] = {name: found[name] for name in wanted if name in found}
        return scans

    def preprocessed_files(self, cohort: str) -> list[str]:
        """Everything that preprocessing writes for a cohort."""
        return [f for subject in self.subjects(cohort=cohort) for f in self.volume_files(subject)]

    def volume(self, subject: str, suffix: str) -> str:
        """A preprocessed volume: on the study grid, 0..1, brain only."""
        return str(self.folder / "volumes" / subject / f"{subject}_{suffix}.nii.gz")

    def volumes(self, split: str, suffix: str) -> list[str]:
        """That volume of every subject of a split."""
        return [self.volume(subject, suffix) for subject in self.subjects(split)]

    def volume_files(self, subject: str) -> list[str]:
        """Everything that preprocessing writes for a subject."""
        suffixes = [*self.modalities, MASK]
        if self.subject(subject).labels:
            suffixes.append(LABELS)
        return [self.volume(subject, suffix) for suffix in suffixes]

    def _check_subjects(self) -> None:
        if self.target in self.sources:
            raise StudyError(f"config: data.sources contains the target {self.target}")
        for split in ("train", "test"):
            if not self.subjects(split):
                raise StudyError(f"config: data.cohorts gives no subject to the {split} split")
