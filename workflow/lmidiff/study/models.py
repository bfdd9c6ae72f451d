"""The models of a study, and what the training of each may see."""

import copy
from collections.abc import Mapping
from typing import Any

from lmidiff.common.errors import StudyError
from lmidiff.common.regions import BRAIN, HEAD
from lmidiff.models import family_of
from lmidiff.study.paths import LABELS
from lmidiff.study.people import People
from lmidiff.study.repeats import FIRST_FOLD, fold_of_run, in_fold, repeated, row_of, seed_of_run


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``; mappings merge key by key, anything else replaces."""
    merged = copy.deepcopy(dict(base))
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if nested else copy.deepcopy(value)
    return merged


class Models:
    """The models of a study.

    Args:
        people: the study's, with their images and the config.

    Raises:
        StudyError: a model's family is unknown, a model that sees no source names one, or there are
            both folds and several seeds.
    """

    def __init__(self, people: People) -> None:
        self.people = people
        if len(people.folds) > 1 and len(self.seeds) > 1:
            raise StudyError(
                f"config: folds: {len(people.folds)} and seeds: {len(self.seeds)}: a network is "
                "trained several times on the same people or on others; set one of them to 1"
            )
        for model in self.blocks:
            sees_source = self.needs(model) & {"source", "pairs"}
            if self.blocks[model].get("source") and not sees_source:
                raise StudyError(f"config: models.{model} sees the target alone; drop its source")

    def check_trainable(self, model: str) -> None:
        """Raise StudyError unless the study has the images that a model's training sees."""
        people, source = self.people, self.blocks[model].get("source")
        needs = self.needs(model)
        if "cross_fit" in self.blocks[model]:
            self._check_cross_fit(model)
        if needs & {"source", "pairs"} and source not in people.sources:
            raise StudyError(
                f"config: models.{model}.source {source!r} is not in data.sources; its training "
                f"sees a source, so name one of {', '.join(people.sources)}, or set the methods "
                "that use it to null"
            )
        teachers = {
            person for fold in self.folds_of(model) for person in self.teachers(model, fold)
        }
        blind = [
            s for s in people.subjects() if s in teachers and source not in people.modalities_of(s)
        ]
        if needs & {"source", "pairs"} and blind:
            raise StudyError(
                f"config: models.{model} sees {source} in training, and {blind[0]} of the "
                f"{people.subject(blind[0]).split} split has none; set the methods that use it to "
                "null, or train it on those who are tested, by turns (cross_fit)"
            )
        unlabelled = [s for s in people.subjects("train") if not people.subject(s).labels]
        if "labels" in needs and unlabelled:
            raise StudyError(
                f"config: models.{model} sees label maps, and {unlabelled[0]} of the train split "
                "has none; set the methods that use it to null"
            )
        if "labels" in needs and people.field == HEAD:
            raise StudyError(
                f"config: models.{model} paints brains from label maps, and data.field is {HEAD}; "
                f"set the methods that use it to null, or data.field: {BRAIN}"
            )
        fewest = min(len(people.subjects("train", fold=fold)) for fold in people.folds)
        if {"target", "source"} <= needs and fewest < 2 and not self.is_cross_fitted(model):
            raise StudyError(
                f"config: models.{model} takes target and source from different people, but "
                "data.cohorts gives only one to the train split"
            )

    def _check_cross_fit(self, model: str) -> None:
        parts, count = self.blocks[model]["cross_fit"], len(self.people.subjects("test"))
        if not self.needs(model) & {"source", "pairs"}:
            raise StudyError(
                f"config: models.{model} sees the target alone, of those who train; drop its "
                "cross_fit"
            )
        if len(self.people.folds) > 1:
            raise StudyError(
                f"config: models.{model}.cross_fit: with folds, everybody who is tested has "
                "trained in another fold already; drop it, or set folds to 1"
            )
        if parts > count:
            raise StudyError(
                f"config: models.{model}.cross_fit {parts} is more than the {count} people who "
                "are tested"
            )

    def is_cross_fitted(self, model: str) -> bool:
        """Whether a model's sources are those of test people, by turns, each but the one tested."""
        return "cross_fit" in self.blocks[row_of(model)]

    def folds_of(self, model: str) -> list[int]:
        """The folds that a model is trained for: the study's, or those of its cross-fitting."""
        parts = self.blocks[row_of(model)].get("cross_fit")
        return list(range(FIRST_FOLD, FIRST_FOLD + parts)) if parts else self.people.folds

    def tested_in(self, model: str, fold: int) -> list[str]:
        """The test people of a model's fold; cross-fitting deals them out one by one."""
        if not self.is_cross_fitted(model):
            return self.people.subjects("test", fold=fold)
        return self.people.subjects("test")[fold - FIRST_FOLD :: len(self.folds_of(model))]

    def teachers(self, model: str, fold: int) -> list[str]:
        """The people whose source a model's training sees, and who are not tested with it."""
        if not self.is_cross_fitted(model):
            return self.people.subjects("train", fold=fold)
        tested = set(self.tested_in(model, fold))
        return [person for person in self.people.subjects("test") if person not in tested]

    @property
    def seeds(self) -> list[int]:
        """The seeds that each network is trained from; the first is the study's."""
        return [self.people.seed + number for number in range(self.people.config.get("seeds", 1))]

    def trainings(self, model: str) -> list[str]:
        """A model as trained for each fold, or from each seed.

        Where there is nothing random to train, of a cross-fitted one, and of one whose ``seeds``
        are 1, the first seed is all.
        """
        seeds = self.seeds if self.is_seeded(model) else self.seeds[:1]
        return [
            in_fold(repeated(model, seed, self.people.seed), fold)
            for fold in self.folds_of(model)
            for seed in seeds
        ]

    def is_seeded(self, model: str) -> bool:
        """Whether a model is trained from every seed of the study."""
        once = self.is_cross_fitted(model) or "seeds" in self.blocks[row_of(model)]
        return self.is_trained(model) and not once

    def is_trained(self, model: str | None) -> bool:
        """Whether a model is trained by gradient descent."""
        return model is not None and "training" in self.settings(model)

    @property
    def blocks(self) -> dict[str, dict[str, Any]]:
        """The models that the config names; an overlay drops one by setting it to null."""
        return {name: block for name, block in self.people.config["models"].items() if block}

    def module_of(self, model: str) -> str:
        """The module that trains a model."""
        return family_of(self.blocks[row_of(model)]["family"]).module

    def settings(self, name: str) -> dict[str, Any]:
        """A model's block, complete with the defaults that its family takes and the seed."""
        defaults, own = self.people.config["model_defaults"], self.blocks[row_of(name)]
        taken = family_of(own["family"]).defaults
        block = merge({key: defaults[key] for key in taken if key in defaults}, own)
        block.pop("seeds", None)
        if "training" in block:
            training = {"seed": self.people.seed, **block["training"]}
            training["seed"] += seed_of_run(name, self.people.seed) - self.people.seed
            block["training"] = training
        return block

    def needs(self, model: str) -> frozenset[str]:
        """What a model's training may see."""
        return family_of(self.blocks[row_of(model)]["family"]).needs

    def files(self, model: str) -> dict[str, list[str]]:
        """The training volumes by declared role; there is no other way to a training image.

        They are the same from every seed, and those of the model's own fold.
        Target and source of an unpaired model come from different people, every other one of
        the training subjects each; a cross-fitted one has its sources of those who are tested in
        another fold (:meth:`teachers`). Pairs are source and target of a subject, one after the
        other.
        """
        crossed, fold = self.is_cross_fitted(model), fold_of_run(model)
        people = self.people.subjects("train", fold=FIRST_FOLD if crossed else fold)
        teachers, needs = self.teachers(model, fold), self.needs(model)
        source = self.blocks[row_of(model)].get("source")
        apart = {"target", "source"} <= needs and not crossed
        files = {}
        if "target" in needs:
            shown = people[::2] if apart else people
            files["target"] = [
                self.people.paths.volume(subject, self.people.target) for subject in shown
            ]
        if "source" in needs:
            shown = teachers[1::2] if apart else teachers
            files["source"] = [self.people.paths.volume(subject, source) for subject in shown]
        if "labels" in needs:
            files["labels"] = [self.people.paths.volume(subject, LABELS) for subject in people]
        if "pairs" in needs:
            both = (source, self.people.target)
            files["pairs"] = [
                self.people.paths.volume(subject, each) for subject in teachers for each in both
            ]
        return files
