"""A study as the config describes it: its people, its models and its methods.

The rules ask this object; it knows nothing of Snakemake.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from lmidiff.data.ledger import Entry
from lmidiff.study.models import Models
from lmidiff.study.paths import LABELS, LESIONS, MASK, Paths
from lmidiff.study.people import People
from lmidiff.study.repeats import in_fold
from lmidiff.study.rows import Rows


class Study:
    """One study: its rows, and the files that are made for each.

    Where a method takes ``paths``, they are those of the volumes on another grid
    (:mod:`lmidiff.study.whole`), by default the study's own.

    Attributes:
        people: who is in it, with which images.
        models: what is trained, on whom.
        rows: which method, with which model, translates what.

    Args:
        config: validated, see :func:`lmidiff.common.schema.check_config`.
        ledger: what can be fetched, see :func:`lmidiff.data.ledger.read_ledger`.

    Raises:
        StudyError: the cohorts, models and methods do not fit together.
    """

    def __init__(self, config: Mapping[str, Any], ledger: Iterable[Entry] = ()) -> None:
        self.people = People(config, ledger)
        self.models = Models(self.people)
        self.config, self.name, self.seed = config, self.people.name, self.people.seed
        self.folder, self.paths = self.people.folder, self.people.paths
        self.target, self.sources = self.people.target, self.people.sources
        self.modalities = self.people.modalities
        self.rows = Rows(self.models)

    def shards(self, run: str) -> list[int]:
        """Numbers of the shards that the test subjects of a run are split into."""
        size = self.config["translation"]["subjects_per_shard"]
        return list(range(math.ceil(len(self.rows.tested(run)) / size)))

    def shard_subjects(self, run: str, shard: int) -> list[str]:
        """Test subjects of a run's shard."""
        size = self.config["translation"]["subjects_per_shard"]
        return self.rows.tested(run)[shard * size : (shard + 1) * size]

    def shard_folders(self, run: str, source: str, paths: Paths | None = None) -> list[str]:
        """The folders of a run's translated volumes."""
        return [(paths or self.paths).shard(run, source, shard) for shard in self.shards(run)]

    def translations(
        self, method: str, source: str, paths: Paths | None = None
    ) -> dict[str, dict[str, str]]:
        """Test subject of a run to its translated volume, its spread and the brain mask.

        A method that draws once writes no spread.
        """
        paths = paths or self.paths
        folders = self.shard_folders(method, source, paths)
        return {
            subject: {
                "image": f"{folder}/{subject}_{self.target}.nii.gz",
                "spread": f"{folder}/{subject}_desc-std_{self.target}.nii.gz",
                "mask": paths.volume(subject, MASK),
            }
            for shard, folder in enumerate(folders)
            for subject in self.shard_subjects(method, shard)
        }

    def translation_inputs(
        self, method: str, source: str, shard: int, paths: Paths | None = None
    ) -> list[str]:
        """The source volumes that a translation job reads."""
        people = self.shard_subjects(method, shard)
        return [(paths or self.paths).volume(person, source) for person in people]

    def answers(self, method: str, shard: int, paths: Paths | None = None) -> list[str]:
        """The target volumes that a translation job reads: none but for a ceiling."""
        if not self.rows.ceiling(method):
            return []
        return self.translation_inputs(method, self.target, shard, paths)

    def translation_threads(self, method: str) -> int:
        """Threads of a translation job: one where no network runs."""
        networks = self.rows.declared(method).family not in (None, "histogram")
        return self.config["threads"] if networks else 1

    def scored_files(self, method: str, source: str) -> dict[str, dict[str, str]]:
        """Test subject of a run to all that its score compares."""
        folder = self.paths.segmentations(method, source)
        files = {}
        for subject, paths in self.translations(method, source).items():
            files[subject] = {
                **paths,
                "labels": f"{folder}/{subject}_{LABELS}.nii.gz",
                "target": self.paths.volume(subject, self.target),
            }
            if self.people.subject(subject).labels:
                files[subject]["truth"] = self.paths.volume(subject, LABELS)
        return files

    def lesion_files(self, method: str, source: str) -> dict[str, dict[str, str]]:
        """Test subject of a run with marked lesions to what they are measured in."""
        scored = self.scored_files(method, source)
        return {
            subject: {**scored[subject], "lesions": self.paths.volume(subject, LESIONS)}
            for subject in self.people.with_lesions
            if "truth" in scored.get(subject, {})
        }

    def files_of_row(self, row: str, source: str) -> dict[str, dict[str, str]]:
        """Every test subject to its :meth:`scored_files`, of the row's run that tested it."""
        runs = (in_fold(row, fold) for fold in self.rows.folds_of_row(row))
        found = {s: files for run in runs for s, files in self.scored_files(run, source).items()}
        return {subject: found[subject] for subject in self.people.subjects("test")}

    def figure2_files(self) -> list[dict[str, Any]]:
        """A panel for each source of each shown subject: its images and labels by column."""
        shown = self.people.subjects("test")[: self.config["figures"]["figure2"]["subjects"]]
        panels = []
        for subject in shown:
            for source in self.sources:
                images = {
                    "source": self.paths.volume(subject, source),
                    "target": self.paths.volume(subject, self.target),
                }
                labels = {}
                for method in self.rows.methods:
                    files = self.files_of_row(method, source)[subject]
                    if self.rows.kind(method) == "oracle":
                        labels["target"] = files["labels"]
                    elif self.rows.ceiling(method):
                        continue
                    elif method == "source":
                        labels["source"] = files["labels"]
                    else:
                        images[method], labels[method] = files["image"], files["labels"]
                panels.append(
                    {"source": source, "subject": subject, "images": images, "labels": labels}
                )
        return panels
