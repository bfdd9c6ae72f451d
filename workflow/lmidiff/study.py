"""A study as the config describes it: its models, its methods, and who may see what.

The rules ask this object; it knows nothing of Snakemake.
"""

import copy
import math
from collections.abc import Iterable, Mapping
from typing import Any

from lmidiff.data.ledger import Entry
from lmidiff.errors import StudyError
from lmidiff.methods import METHODS, method_of
from lmidiff.methods.base import Method
from lmidiff.models import family_of
from lmidiff.study_data import LABELS, MASK, StudyData

__all__ = ["LABELS", "MASK", "Study", "merge"]

TUNING_ROLE = "validation pairs"
OWN_KEYS = ("method", "label", "model", "tune")


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``; mappings merge key by key, anything else replaces."""
    merged = copy.deepcopy(dict(base))
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if nested else copy.deepcopy(value)
    return merged


class Study(StudyData):
    """One study.

    Args:
        config: validated, see :func:`lmidiff.validation.check_config`.
        ledger: what can be fetched, see :func:`lmidiff.data.ledger.read_ledger`.

    Raises:
        StudyError: the cohorts, models and methods do not fit together.
    """

    def __init__(self, config: Mapping[str, Any], ledger: Iterable[Entry] = ()) -> None:
        super().__init__(config, ledger)
        self._check_methods()

    def _check_methods(self) -> None:
        for model in self.models:
            self.needs(model)
        for name, block in self.config["methods"].items():
            if block is None:
                continue
            family, model = self.method_class(name).family, block.get("model")
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
            self._check_settings(name)

    def _check_settings(self, name: str) -> None:
        """Build the method once for each of its values, without a model: it checks its settings."""
        tried = [
            (key, v) for key, values in self.methods[name].get("tune", {}).items() for v in values
        ]
        for chosen in [{}, *({key: value} for key, value in tried)]:
            self.method_class(name)({**self.method_settings(name), **chosen}, None, self.seed)

    # -- models ---------------------------------------------------------------------------------

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """The models that the config names; an overlay drops one by setting it to null."""
        return {name: block for name, block in self.config["models"].items() if block}

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
        """The rows of the table: method blocks by key, in the order of the registry.

        Rows of one method keep the order of the config; an overlay drops a row by null.
        """
        blocks = {n: b for n, b in self.config["methods"].items() if b is not None}
        order = list(METHODS)
        kinds = {name: block.get("method", name) for name, block in blocks.items()}
        known = [name for name in blocks if kinds[name] in METHODS]
        return {name: blocks[name] for name in sorted(known, key=lambda n: order.index(kinds[n]))}

    def method_class(self, name: str) -> type[Method]:
        """The class behind a row; a row is a method by its own key, or by its ``method`` key."""
        return method_of(self.config["methods"][name].get("method", name))

    def method_settings(self, name: str) -> dict[str, Any]:
        """A method's own settings, with the sampling defaults where it samples."""
        block = {k: v for k, v in self.methods[name].items() if k not in OWN_KEYS}
        samples = self.method_class(name).family == "diffusion"
        return merge(self.config["sampling"], block) if samples else block

    def method_block(self, name: str) -> dict[str, Any]:
        """All that a job needs to build a method: key, settings, and its model's settings."""
        model = self.methods[name].get("model")
        return {
            "name": self.methods[name].get("method", name),
            "settings": self.method_settings(name),
            "family": self.models[model]["family"] if model else None,
            "model": self.model_settings(model) if model else None,
        }

    def method_modules(self, name: str) -> list[str]:
        """The modules a method's translation runs."""
        model = self.methods[name].get("model")
        return [self.method_class(name).__module__, *([self.family_module(model)] if model else [])]

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
        if self.method_class(method).sees_test_target:
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
        return {
            name: block.get("label", self.method_class(name).label)
            for name, block in self.methods.items()
        }

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
        modality = self.target if self.method_class(method).sees_test_target else source
        return [self.volume(subject, modality) for subject in self.shard_subjects(shard)]

    def translation_threads(self, method: str) -> int:
        """Threads of a translation job: one where no network runs."""
        return self.config["threads"] if self.method_class(method).family == "diffusion" else 1

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
                    if self.method_class(method).sees_test_target:
                        labels["target"] = files["labels"]
                    elif method == "source":
                        labels["source"] = files["labels"]
                    else:
                        images[method], labels[method] = files["image"], files["labels"]
                panels.append(
                    {"source": source, "subject": subject, "images": images, "labels": labels}
                )
        return panels
