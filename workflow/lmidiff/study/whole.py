"""The whole brains of a study's test people, for a segmenter that must see all of one.

Networks of three dimensions cannot work on a few slices that are apart. So the test people are
brought to a second grid, the whole brain in slices that adjoin, and translated there by the same
weights and settings; nothing else of the study reads these volumes.
"""

from typing import Any

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.published import MOST_MM, NETWORKS, Published
from lmidiff.study.paths import MASK, Paths
from lmidiff.study.study import Study

TALL_MM = 140.0
"""A brain about as tall as they come, from the lowest slice to the highest."""


class Whole:
    """Files and grid of the whole brains.

    Args:
        study: with ``segmentation.network``, or without: then nothing is asked for.

    Raises:
        StudyError: the slices would be too far apart, or test people are generated.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.paths = Paths(f"{study.folder}/whole")
        self.settings: dict[str, Any] = study.config["segmentation"].get("network") or {}
        self.structure_rows: list[str] = self.settings.get("structures", {}).get("rows", [])
        if self.settings and "recorded" not in study.config:
            self._check()

    def _check(self) -> None:
        apart = TALL_MM / max(self.settings["slices"] - 1, 1)
        if apart > MOST_MM:
            raise StudyError(
                f"config: segmentation.network.slices {self.settings['slices']} would be "
                f"{apart:.1f} mm apart in a brain of {TALL_MM:g} mm; {MOST_MM:g} mm at most"
            )
        if self.study.config["data"]["grid"]["pixel_size"] > MOST_MM:
            raise StudyError(
                f"config: segmentation.network needs data.grid.pixel_size of {MOST_MM:g} mm at most"
            )
        scanned = set(self.study.people.scanned_subjects)
        made = [who for who in self.study.people.subjects("test") if who not in scanned]
        if made:
            raise StudyError(
                f"config: segmentation.network needs scans of whole brains, but {made[0]} is "
                "generated slice by slice; leave the key out, or take test people from a sheet"
            )
        people = self.study.people.subjects("test")
        for row in self.structure_rows:
            if row not in self.study.rows.runs or self.study.rows.tested(row) != people:
                raise StudyError(
                    f"config: segmentation.network.structures.rows names {row}, which is no row of "
                    "the study that one network translates everybody with"
                )

    @property
    def wanted(self) -> bool:
        """Whether the study has a network to label with."""
        return bool(self.settings)

    @property
    def network(self) -> Published:
        """The network."""
        return NETWORKS[self.settings["model"]]

    @property
    def structures(self) -> Published | None:
        """The network of structures."""
        block = self.settings.get("structures")
        return NETWORKS[block["model"]] if block else None

    @property
    def structure_runs(self) -> list[tuple[str, str]]:
        """Row and source of all whose structures are labelled, of the first training."""
        return [(row, source) for row in self.structure_rows for source in self.study.sources]

    @property
    def grid(self) -> dict[str, Any]:
        """The study's grid, over all of the brain."""
        whole = {"slices": self.settings["slices"], "extent": [0.0, 1.0]}
        return {**self.study.config["data"]["grid"], **whole}

    @property
    def depth(self) -> float:
        """How many times the slices of a study's volume a whole brain has."""
        return self.settings["slices"] / self.study.config["data"]["grid"]["slices"]

    def scans(self, subject: str) -> dict[str, dict[str, str]]:
        """What preprocessing reads: images and mask, but no labels."""
        wanted = (*self.study.modalities, "mask")
        found = self.study.people.scans_of([subject])[subject]
        return {subject: {name: found[name] for name in wanted if name in found}}

    def volumes(self, subject: str) -> list[str]:
        """What preprocessing writes."""
        return [self.paths.volume(subject, name) for name in (*self.study.modalities, MASK)]

    def translations(self, method: str, source: str) -> dict[str, str]:
        """Test subject to the translation of the whole brain."""
        made = self.study.translations(method, source, self.paths)
        return {who: files["image"] for who, files in made.items()}

    def targets(self) -> dict[str, str]:
        """Test subject to the true target."""
        return {
            w: self.paths.volume(w, self.study.target) for w in self.study.people.subjects("test")
        }

    @property
    def true_labels(self) -> str:
        """The folder of the network's labels of the true targets."""
        return f"{self.paths.folder}/segmentations/true"

    @property
    def true_structures(self) -> str:
        """The folder of the structures of the true targets."""
        return f"{self.paths.folder}/structures/true"

    def structure_labels(self, method: str, source: str) -> str:
        """The folder of the structures of a row's translations."""
        return f"{self.paths.folder}/structures/{method}/from-{source}"

    def structure_files(self, method: str, source: str) -> dict[str, tuple[str, str, str]]:
        """Test subject to the structures of the translation and of the truth, and the mask."""
        folders = self.structure_labels(method, source), self.true_structures
        return {
            who: (*(f"{f}/{who}_dseg.nii.gz" for f in folders), self.paths.volume(who, MASK))
            for who in self.study.people.subjects("test")
        }
