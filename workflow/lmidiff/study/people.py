"""Who is in a study and which images they have; where those are: :mod:`lmidiff.study.paths`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lmidiff.common.errors import StudyError
from lmidiff.common.files import split_volume
from lmidiff.common.outputs import check_apart
from lmidiff.common.regions import BRAIN, HEAD
from lmidiff.data.cohorts import Subject, recorded_members, subjects_of
from lmidiff.data.downloads import Downloads
from lmidiff.data.ixi import SUFFIXES, archive_of, member_of
from lmidiff.data.ledger import Entry
from lmidiff.data.splits import kept_slices
from lmidiff.study.paths import LABELS, LESIONS, MASK, Paths
from lmidiff.study.repeats import FIRST_FOLD


@dataclass(frozen=True)
class Kind:
    """Subjects that have the same files, so that one rule makes them all.

    Attributes:
        name: "" for those who have every modality; else what they have, ``_T1w_dseg``.
        subjects: ids.
        modalities: target first.
        labels: whether they have tissue labels.
        lesions: whether they have lesions marked.
    """

    name: str
    subjects: tuple[str, ...]
    modalities: tuple[str, ...]
    labels: bool
    lesions: bool

    @property
    def reference(self) -> str:
        """The modality that the other raw scans of a subject are laid over: its first source."""
        return (self.modalities[1:] or self.modalities)[0]

    @property
    def moving(self) -> list[str]:
        """The modalities that are laid over the reference."""
        return [name for name in self.modalities if name != self.reference]

    @property
    def volumes(self) -> list[str]:
        """Suffixes of the volumes that preprocessing writes."""
        marked = [(LABELS, self.labels), (LESIONS, self.lesions)]
        return [*self.modalities, MASK, *(suffix for suffix, has in marked if has)]


class People:
    """The people of a study and their images.

    Args:
        config: validated, see :func:`lmidiff.common.schema.check_config`.
        ledger: what can be fetched, see :func:`lmidiff.data.ledger.read_ledger`.

    Raises:
        StudyError: the cohorts do not fit together.
    """

    def __init__(self, config: Mapping[str, Any], ledger: Iterable[Entry] = ()) -> None:
        self.config = config
        self.name: str = config["study"]
        self.seed: int = config["seed"]
        self.folder = Path("results", *self._origin(config), self.name)
        self.paths = Paths(self.folder)
        data = config["data"]
        self.target: str = data["target"]
        self.sources: list[str] = data["sources"]
        self.modalities = [self.target, *self.sources]
        self.roots = [Path(root) for root in data["roots"]]
        self.cohorts: Mapping[str, Mapping[str, Any]] = data["cohorts"]
        self.downloads = Downloads(ledger, self.roots)
        self.members: list[Subject] = (
            recorded_members(config["recorded"], data.get("exclude", ()))
            if "recorded" in config
            else subjects_of(
                self.cohorts,
                self.modalities,
                self.downloads,
                data.get("exclude", ()),
                len(self.folds),
            )
        )
        self._check_subjects()
        check_apart(self.folder, self._read(), self.name)

    def _read(self) -> list[Path]:
        """What the study reads of other people's: scans and tables, or a recorded run's files."""
        config = self.config
        kept = [Path(config[key], "record") for key in ("recorded", "checkpoints") if key in config]
        if "recorded" in config:
            return kept
        scans = [path for m in self.members for path in (*m.scans.values(), m.anatomy) if path]
        return [*kept, *(split_volume(path)[0] for path in scans), *self._tables()]

    @staticmethod
    def _origin(config: Mapping[str, Any]) -> list[str]:
        """Results that begin with recorded files lie apart from those of a whole run."""
        return [origin for origin in ("recorded", "checkpoints") if origin in config]

    @property
    def images(self) -> dict[str, Any]:
        """What the study's slices are like, for whoever uses its models on other scans."""
        data = self.config["data"]
        like = {key: data[key] for key in ("target", "percentile", "grid")}
        return like if self.field == BRAIN else {**like, "field": self.field}

    @property
    def field(self) -> str:
        """What the slices show: "brain" or "head"."""
        return self.config["data"].get("field", BRAIN)

    @property
    def segmented(self) -> str:
        """What the segmenter labels: the tissues of the "brain", or clusters of the whole slice."""
        return self.config["segmentation"].get("field", BRAIN)

    @property
    def folds(self) -> list[int]:
        """Numbers of the folds: everybody who is tested is so in one of them."""
        return list(range(FIRST_FOLD, FIRST_FOLD + self.config.get("folds", 1)))

    def subjects(
        self, split: str | None = None, cohort: str | None = None, fold: int | None = None
    ) -> list[str]:
        """Subject ids, of one split and one cohort if named, in the order of the config.

        Without a fold, those who are in the split in any of them. Who trains, validates and is
        tested together is of one fold.
        """
        folds = self.folds if fold is None else [fold]
        return [
            member.id
            for member in self.members
            if (split is None or split in map(member.split_in, folds))
            and cohort in (None, member.cohort)
        ]

    def tested_first(self, cohort: str) -> list[str]:
        """Subject ids of a cohort: those tested in any fold, then the others."""
        tested = self.subjects("test", cohort)
        return [*tested, *(who for who in self.subjects(cohort=cohort) if who not in tested)]

    @property
    def roll(self) -> list[tuple[str, str, str]]:
        """Everybody's id, split and cohort; with folds, in the first."""
        return self.rolls[0]

    @property
    def rolls(self) -> list[list[tuple[str, str, str]]]:
        """Everybody's id, split and cohort, for each fold."""
        return [[(m.id, m.split_in(fold), m.cohort) for m in self.members] for fold in self.folds]

    def subject(self, subject_id: str) -> Subject:
        """A subject by its id."""
        return self._by_id[subject_id]

    @cached_property
    def _by_id(self) -> dict[str, Subject]:
        return {member.id: member for member in self.members}

    @property
    def generated_cohorts(self) -> list[str]:
        """Cohorts whose scans are simulated and that have subjects."""
        return [
            name
            for name in self.cohorts
            if any(member.cohort == name and not member.scans for member in self.members)
        ]

    @property
    def real_target_cohorts(self) -> list[str]:
        """Cohorts whose sources are simulated and whose target is real, that have subjects."""
        return [
            name
            for name in self.cohorts
            if any(member.cohort == name and member.simulated for member in self.members)
        ]

    @property
    def scanned_subjects(self) -> list[str]:
        """Subjects whose scans exist on disk."""
        return [member.id for member in self.members if member.scans]

    @property
    def raw_subjects(self) -> list[str]:
        """Subjects whose scans are masked, corrected and aligned first (``aligned: false``)."""
        return [member.id for member in self.members if member.raw]

    def modalities_of(self, subject: str) -> list[str]:
        """The modalities that a subject has: all of them, or the target alone in training."""
        member = self.subject(subject)
        has = {*member.scans, *member.simulated}
        return [name for name in self.modalities if not has or name in has]

    def _scanned(self, subject: str) -> list[str]:
        """The modalities that a scanner gave, of a subject that was in one."""
        member = self.subject(subject)
        return [name for name in self.modalities_of(subject) if name not in member.simulated]

    @property
    def raw_kinds(self) -> list[Kind]:
        """Raw subjects by which scans are aligned; what is simulated lies on them as it is made."""
        return self.kinds(self.raw_subjects, self._scanned)

    def kinds(
        self, subjects: Iterable[str], modalities_of: Callable[[str], list[str]] | None = None
    ) -> list[Kind]:
        """Subjects by which files they have.

        Args:
            subjects: ids.
            modalities_of: which modalities of a subject count, by default all that it has.
        """
        found: dict[tuple[tuple[str, ...], bool, bool], list[str]] = {}
        for subject in subjects:
            labels, lesions = bool(self.subject(subject).labels), self.has_lesions(subject)
            has = tuple((modalities_of or self.modalities_of)(subject)), labels, lesions
            found.setdefault(has, []).append(subject)
        kinds: list[Kind] = []
        for (modalities, *marked), people in found.items():
            plain = len(modalities) == len(self.modalities) and "" not in {k.name for k in kinds}
            names = [n for n, has in zip((LABELS, "lesions"), marked, strict=True) if has]
            parts = () if plain else (*modalities, *names)
            name = "".join(f"_{part}" for part in parts)
            kinds.append(Kind(name, tuple(people), modalities, *marked))
        return kinds

    def has_lesions(self, subject: str) -> bool:
        """Whether a subject's lesions are marked."""
        return "lesions" in self.subject(subject).scans

    @property
    def with_lesions(self) -> list[str]:
        """Test subjects whose lesions are marked."""
        return [subject for subject in self.subjects("test") if self.has_lesions(subject)]

    def kind_of(self, subject: str) -> Kind:
        """The kind of one subject."""
        return self.kinds([subject])[0]

    def align_files(self, subject: str) -> dict[str, str]:
        """What a raw subject's alignment reads: modality (or "labels", "mask") to scan."""
        scans = self.subject(subject).scans
        wanted = (*self.modalities, "labels", "mask")
        return {name: scans[name] for name in wanted if name in scans}

    def judgements(self, subjects: Iterable[str]) -> dict[str, str]:
        """Subject to judgement, for those that are raw."""
        raw = set(self.raw_subjects)
        return {
            subject: self.paths.quality(subject, "json") for subject in subjects if subject in raw
        }

    @property
    def archives(self) -> dict[str, str]:
        """Modality to the archive of IXI that its scans are taken from, if the study uses IXI."""
        used = any(c["kind"] == "ixi" for c in self.cohorts.values())
        return {m: archive_of(m) for m in self.modalities if m in SUFFIXES} if used else {}

    def scans_out_of_archives(self, name: str) -> list[str]:
        """Where the scans of a subject of IXI, such as IXI012-HH-1211, are taken out to."""
        return [self.downloads.target("ixi", f"scans/{member_of(name, m)}") for m in self.archives]

    def anatomies(self, cohort: str) -> list[str]:
        """What stands for the label maps of a cohort; none for the built-in template."""
        maps = [m.anatomy for m in self.members if m.cohort == cohort and m.anatomy]
        return [self.downloads.stand_in(path) for path in maps]

    def scan_files(self, subject: str) -> list[str]:
        """What stands for a subject's scans, see :class:`lmidiff.data.downloads.Downloads`."""
        return self._stand_ins(self.subject(subject).scans.values())

    def preprocess_files(self, subject: str) -> list[str]:
        """What stands for the scans that preprocessing reads of a scanned subject."""
        return self._stand_ins(self.scans_of([subject])[subject].values())

    def labels_behind(self, subject: str) -> list[str]:
        """What stands for the labels that a subject's sources are simulated from."""
        return self._stand_ins([self.labels_file(subject)])

    def _stand_ins(self, paths: Iterable[str]) -> list[str]:
        return [self.downloads.stand_in(path) for path in paths]

    def anatomy_of(self, cohort: str) -> dict[str, str]:
        """Subject to label map, "" for the built-in template."""
        return {m.id: m.anatomy for m in self.members if m.cohort == cohort}

    def raw_files(self, cohort: str) -> list[str]:
        """Everything the simulator writes for a cohort."""
        suffixes = [*self.modalities, LABELS, MASK]
        return [
            self.paths.raw(subject, s) for subject in self.subjects(cohort=cohort) for s in suffixes
        ]

    def scans_of(self, subjects: Iterable[str]) -> dict[str, dict[str, str]]:
        """Subject to modality (or labels, mask, lesions) to the scan that preprocessing reads."""
        scans = {}
        for subject in subjects:
            member = self.subject(subject)
            found = dict(member.scans)
            if member.raw:
                found = {n: self.paths.aligned(subject, n) for n in self._scanned(subject)}
                found["mask"] = self.paths.aligned(subject, MASK)
                if member.labels:
                    found["labels"] = self.paths.aligned(subject, LABELS)
                if self.has_lesions(subject):
                    # On the grid of the first source, which alignment leaves where it is.
                    found["lesions"] = member.scans["lesions"]
            elif not found:
                found = {name: self.paths.raw(subject, name) for name in self.modalities}
                found |= {
                    "labels": self.paths.raw(subject, LABELS),
                    "mask": self.paths.raw(subject, MASK),
                }
            found |= {name: self.paths.raw(subject, name) for name in member.simulated}
            wanted = [*self.modalities, "labels", "mask", "lesions"]
            scans[subject] = {name: found[name] for name in wanted if name in found}
        return scans

    def labels_file(self, subject: str) -> str:
        """The labels, on the grid of the target, that a subject's sources are simulated from."""
        return self.scans_of([subject])[subject]["labels"]

    def every(self, subjects: Iterable[str]) -> dict[str, int]:
        """Subject to the number of slices of the study grid of which one is kept."""
        tested = self.config["data"].get("test_every", 1)
        return {s: tested if self.subject(s).split == "test" else 1 for s in subjects}

    def slices_of(self, subjects: Iterable[str]) -> int:
        """How many slices the volumes of some subjects have together, of one modality."""
        whole = self.config["data"]["grid"]["slices"]
        return sum(len(kept_slices(whole, n)) for n in self.every(subjects).values())

    def volumes(self, split: str, suffix: str, fold: int | None = None) -> list[str]:
        """That volume of every subject of a split, see :meth:`subjects`."""
        return [self.paths.volume(subject, suffix) for subject in self.subjects(split, fold=fold)]

    def volume_files(self, subject: str) -> list[str]:
        """Everything that preprocessing writes for a subject."""
        return [self.paths.volume(subject, suffix) for suffix in self.kind_of(subject).volumes]

    def _tables(self) -> list[Path]:
        """The sheets and split files of the cohorts; a split's name is no file and does no harm."""
        tables = []
        for cohort in self.cohorts.values():
            tops = [Path(), *self.roots] if cohort["kind"] == "bids" else [Path()]
            places = [top / cohort.get("folder", "") for top in tops]
            tables += [place / cohort["split"] for place in places if "split" in cohort]
            tables += [Path(cohort["sheet"])] if "sheet" in cohort else []
        return tables

    def _check_subjects(self) -> None:
        if self.target in self.sources:
            raise StudyError(f"config: data.sources contains the target {self.target}")
        for fold in self.folds:
            of_fold = f" of fold {fold}" if len(self.folds) > 1 else ""
            for split in ("train", "test"):
                if not self.subjects(split, fold=fold):
                    raise StudyError(
                        f"config: data.cohorts gives no subject to the {split} split{of_fold}"
                    )
        if len(self.folds) > 1 and self.config["data"].get("test_every", 1) > 1:
            raise StudyError(
                "config: data.test_every: with folds, everybody who is tested has trained in "
                "another fold, on every slice; leave it out, or set folds to 1"
            )
        self._check_field()

    def _check_field(self) -> None:
        """Raise StudyError where somebody has no head to show, or no tissue that is asked about."""
        made = {name for name, cohort in self.cohorts.items() if cohort["kind"] == "simulated"}
        headless = next((m for m in self.members if m.cohort in made), None)
        if self.field == HEAD and headless:
            raise StudyError(
                f"config: data.field is {HEAD}, and the built-in template of "
                f"data.cohorts.{headless.cohort} has none; take whole-head label maps (kind: "
                "labels) or scans, and set its subjects to 0"
            )
        if self.segmented == HEAD and self.with_lesions:
            raise StudyError(
                f"config: segmentation.field is {HEAD}, whose clusters are no tissues, and "
                f"{self.with_lesions[0]} has lesions marked; set segmentation.field: {BRAIN}, or "
                "leave the lesions column out of the sheet"
            )
