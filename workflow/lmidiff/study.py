"""A study as the config describes it: who is in it, which files there are, who may see what.

The rules ask this object; it knows nothing of Snakemake. File names follow BIDS:
``sub-01_T1w.nii.gz``, ``sub-01_desc-brain_mask.nii.gz``, ``sub-01_dseg.nii.gz``.
"""

import copy
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lmidiff.cohorts import Subject, subjects_of
from lmidiff.errors import StudyError
from lmidiff.methods import METHODS, method_of
from lmidiff.models import family_of

MASK, LABELS = "desc-brain_mask", "dseg"
TUNING_ROLE = "validation pairs"


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``; mappings merge key by key, anything else replaces."""
    merged = copy.deepcopy(dict(base))
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if nested else copy.deepcopy(value)
    return merged


class Study:
    """One study.

    Args:
        config: validated, see :func:`lmidiff.validation.check_config`.

    Raises:
        StudyError: the cohorts, models and methods do not fit together.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.name: str = config["study"]
        self.seed: int = config["seed"]
        self.folder = Path("results") / self.name
        data = config["data"]
        self.target: str = data["target"]
        self.sources: list[str] = data["sources"]
        self.modalities = [self.target, *self.sources]
        self.roots = [Path(root) for root in data["roots"]]
        self.cohorts: Mapping[str, Mapping[str, Any]] = data["cohorts"]
        self.members: list[Subject] = subjects_of(self.cohorts, self.modalities, self.roots)
        self._check()

    def _check(self) -> None:
        if self.target in self.sources:
            raise StudyError(f"config: data.sources contains the target {self.target}")
        for split in ("train", "test"):
            if not self.subjects(split):
                raise StudyError(f"config: data.cohorts gives no subject to the {split} split")
        for name, block in self.config["methods"].items():
            family, model = method_of(name).family, block.get("model")
            if family is None and model is not None:
                raise StudyError(f"config: methods.{name} takes no model, but one is set: {model}")
            if family is not None and model not in self.models:
                raise StudyError(f"config: methods.{name}.model {model!r} is not under models")
            if family is not None and self.models[model]["family"] != family:
                raise StudyError(
                    f"config: methods.{name} needs a model of family {family}, "
                    f"but {model} is of family {self.models[model]['family']}"
                )
            if "tune" in block and not self.subjects("val"):
                raise StudyError(
                    f"config: methods.{name}.tune chooses on validation subjects, but "
                    "data.cohorts gives none to the val split"
                )

    # -- subjects and their files -------------------------------------------------------------

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

    # -- models ---------------------------------------------------------------------------------

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """The models that the config names."""
        return self.config["models"]

    def family_module(self, model: str) -> str:
        """The module that trains a model."""
        return family_of(self.models[model]["family"]).__name__

    def model_settings(self, name: str) -> dict[str, Any]:
        """A model's block, complete with the defaults and the seed."""
        if self.models[name]["family"] == "histogram":
            return dict(self.models[name])
        block = merge(self.config["model_defaults"], self.models[name])
        block["training"] = {"seed": self.seed, **block["training"]}
        return block

    def model_file(self, name: str, file: str = "weights.safetensors") -> str:
        """A file of a model's folder."""
        return str(self.folder / "models" / name / file)

    def needs(self, model: str) -> frozenset[str]:
        """What a model's training may see."""
        return family_of(self.models[model]["family"]).needs

    def training_files(self, model: str) -> dict[str, list[str]]:
        """The training volumes by declared role; there is no other way to a training image."""
        needs = self.needs(model)
        files = {}
        if needs & {"target", "pairs"}:
            files["target"] = self.volumes("train", self.target)
        return files

    @property
    def used_models(self) -> list[str]:
        """Models that some method of the study translates with."""
        wanted = {block.get("model") for block in self.methods.values()}
        return [name for name in self.models if name in wanted]

    @property
    def trained_models(self) -> list[str]:
        """Used models that are trained by gradient descent and so have a learning curve."""
        return [m for m in self.used_models if "training" in self.model_settings(m)]

    # -- methods --------------------------------------------------------------------------------

    @property
    def methods(self) -> dict[str, dict[str, Any]]:
        """The methods of the study, in the order of the registry and so of the table."""
        blocks = self.config["methods"]
        return {name: blocks[name] for name in METHODS if name in blocks}

    def method_settings(self, name: str) -> dict[str, Any]:
        """A method's own settings, with the sampling defaults where it samples."""
        block = {k: v for k, v in self.methods[name].items() if k not in ("model", "tune")}
        samples = method_of(name).family == "diffusion"
        return merge(self.config["sampling"], block) if samples else block

    def method_block(self, name: str) -> dict[str, Any]:
        """All that a job needs to build a method: key, settings, and its model's settings."""
        model = self.methods[name].get("model")
        return {
            "name": name,
            "settings": self.method_settings(name),
            "family": self.models[model]["family"] if model else None,
            "model": self.model_settings(model) if model else None,
        }

    def method_modules(self, name: str) -> list[str]:
        """The modules a method's translation runs."""
        model = self.methods[name].get("model")
        return [method_of(name).__module__, *([self.family_module(model)] if model else [])]

    def weights_of(self, name: str) -> list[str]:
        """The weights a method translates with, if any."""
        model = self.methods[name].get("model")
        return [self.model_file(model)] if model else []

    def tuning_file(self, method: str, source: str) -> list[str]:
        """The tuned settings of a method for a source, if it is tuned at all."""
        if "tune" not in self.methods[method]:
            return []
        return [str(self.folder / "tuning" / f"{method}_from-{source}.json")]

    def seen(self, method: str) -> str:
        """What training and tuning of a method saw, for the table."""
        if method_of(method).sees_test_target:
            return "the answer"
        model = self.methods[method].get("model")
        return " + ".join(sorted(self.needs(model))) if model else "nothing"

    def tuned(self, method: str) -> str:
        """What was tuned on validation subjects, for the table."""
        tune = self.methods[method].get("tune", {})
        return f"{', '.join(tune)} on {TUNING_ROLE}" if tune else "nothing"

    @property
    def labels(self) -> dict[str, str]:
        """Method key to the name that tables and figures print."""
        return {name: method_of(name).label for name in self.methods}

    def table_rows(self) -> list[dict[str, str]]:
        """Key, label, what training saw and what was tuned, of each method."""
        return [
            {
                "key": name,
                "label": label,
                "needs_text": self.seen(name),
                "tuned_text": self.tuned(name),
            }
            for name, label in self.labels.items()
        ]

    # -- translation ----------------------------------------------------------------------------

    @property
    def shards(self) -> list[int]:
        """Numbers of the shards that the test subjects are split into."""
        size = self.config["translation"]["subjects_per_shard"]
        return list(range(math.ceil(len(self.subjects("test")) / size)))

    def shard_subjects(self, shard: int) -> list[str]:
        """Test subjects of a shard."""
        size = self.config["translation"]["subjects_per_shard"]
        return self.subjects("test")[shard * size : (shard + 1) * size]

    def shard_of(self, subject: str) -> int:
        """The shard a test subject is in."""
        size = self.config["translation"]["subjects_per_shard"]
        return self.subjects("test").index(subject) // size

    def shard_folder(self, method: str, source: str, shard: int | str) -> str:
        """The folder of a shard's translated volumes."""
        return str(self.folder / "translations" / method / f"from-{source}" / f"shard-{shard}")

    def translation(self, method: str, source: str, subject: str) -> str:
        """A translated volume."""
        folder = self.shard_folder(method, source, self.shard_of(subject))
        return f"{folder}/{subject}_{self.target}.nii.gz"

    def translations(self, method: str, source: str) -> dict[str, dict[str, str]]:
        """Test subject to its translated volume and brain mask."""
        return {
            subject: {
                "image": self.translation(method, source, subject),
                "mask": self.volume(subject, MASK),
            }
            for subject in self.subjects("test")
        }

    def translation_inputs(self, method: str, source: str, shard: int) -> list[str]:
        """What a translation job reads: the source volumes, for the ceiling the target's."""
        modality = self.target if method_of(method).sees_test_target else source
        return [self.volume(subject, modality) for subject in self.shard_subjects(shard)]

    def translation_threads(self, method: str) -> int:
        """Threads of a translation job: one where no network runs."""
        return self.config["threads"] if method_of(method).family == "diffusion" else 1

    def scored_files(self, method: str, source: str) -> dict[str, dict[str, str]]:
        """Test subject to all that its score compares."""
        folder = self.folder / "segmentations" / method / f"from-{source}"
        files = {}
        for subject, paths in self.translations(method, source).items():
            files[subject] = {
                **paths,
                "labels": f"{folder}/{subject}_{LABELS}.nii.gz",
                "target": self.volume(subject, self.target),
            }
            if self.subject(subject).labels:
                files[subject]["truth"] = self.volume(subject, LABELS)
        return files

    def figure2_files(self) -> list[dict[str, Any]]:
        """A panel for each source of each shown subject: its images and labels by column."""
        shown = self.subjects("test")[: self.config["figures"]["figure2"]["subjects"]]
        panels = []
        for subject in shown:
            for source in self.sources:
                images = {
                    "source": self.volume(subject, source),
                    "target": self.volume(subject, self.target),
                }
                labels = {}
                for method in self.methods:
                    files = self.scored_files(method, source)[subject]
                    if method_of(method).sees_test_target:
                        labels["target"] = files["labels"]
                    elif method == "source":
                        labels["source"] = files["labels"]
                    else:
                        images[method], labels[method] = files["image"], files["labels"]
                panels.append(
                    {"source": source, "subject": subject, "images": images, "labels": labels}
                )
        return panels
