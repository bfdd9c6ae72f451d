"""The rows of a study's table: which method each is, with which models, and what those saw."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from lmidiff.common.errors import StudyError
from lmidiff.methods import METHODS, Declared, method_of, settings_for
from lmidiff.methods.settings import CONTRASTS
from lmidiff.models import is_unconditional
from lmidiff.study.models import Models, merge
from lmidiff.study.paths import KMEANS
from lmidiff.study.repeats import FIRST_FOLD, fold_of_run, in_fold, repeated, row_of, seed_of_run

TUNED_ON = "target images of validation people in random contrasts"
SETTINGS = "lmidiff.methods.settings"
OWN_KEYS = ("method", "label", "model", "tune")
SAW_THE_ANSWER = "the answer"
"""What the table says that training saw, of a ceiling."""


class Rows:
    """The methods of a study, a row of the table each.

    Args:
        models: the study's, which know its people.

    Raises:
        StudyError: methods, models and people do not fit together.
    """

    def __init__(self, models: Models) -> None:
        self.people, self.models = models.people, models
        self._check_methods()

    def _check_methods(self) -> None:
        for name in self.people.config.get("rows", []):
            if self.people.config["methods"].get(name) is None:
                raise StudyError(f"config: rows names {name}, which is not under methods")
        for name, block in self._blocks().items():
            family, model = self.declared(name).family, block.get("model")
            if family is None and model is not None:
                raise StudyError(f"config: methods.{name} takes no model, but one is set: {model}")
            if family is not None:
                for source in self.people.sources:
                    self._check_model(name, family, self.model_of(name, source))
            if block.get("tune") and isinstance(model, Mapping):
                raise StudyError(
                    f"config: methods.{name}.tune takes one model for all sources: settings are "
                    "chosen without an image of any source"
                )
            if block.get("tune") and not all(
                self.people.subjects("val", fold=f) for f in self.people.folds
            ):
                raise StudyError(
                    f"config: methods.{name}.tune chooses on validation subjects, but "
                    "data.cohorts gives none to the val split"
                )
            self._check_settings(name)
            self._check_folds(name, bool(block.get("tune")))

    def _check_folds(self, name: str, tuned: bool) -> None:
        models = self.models_of(name)
        if len({len(self.models.folds_of(model)) for model in models}) > 1:
            raise StudyError(
                f"config: methods.{name} takes models that are cross-fitted in different numbers "
                f"of parts: {', '.join(models)}"
            )
        if tuned and any(map(self.models.is_cross_fitted, models)):
            raise StudyError(f"config: methods.{name}.tune: a cross-fitted row is not tuned")

    def _check_model(self, name: str, family: str, model: str | None) -> None:
        if model not in self.models.blocks:
            raise StudyError(f"config: methods.{name}.model {model!r} is not under models")
        if self.models.blocks[model]["family"] != family:
            raise StudyError(
                f"config: methods.{name} needs a model of family {family}, "
                f"but {model} is of family {self.models.blocks[model]['family']}"
            )
        self.models.check_trainable(model)

    def _check_settings(self, name: str) -> None:
        """Check the method's settings, with each of the values that it may be tuned to."""
        tried = [(key, v) for key, values in self.tune(name).items() for v in values]
        for chosen in [{}, *({key: value} for key, value in tried)]:
            settings_for(self.kind(name), {**self.settings(name), **chosen})

    @cached_property
    def methods(self) -> dict[str, dict[str, Any]]:
        """The rows of the table: method blocks by key, in the order of the registry.

        Rows of one method keep the order of the config.
        """
        blocks = self._blocks()
        order = list(METHODS)
        kinds = {name: block.get("method", name) for name, block in blocks.items()}
        known = [name for name in blocks if kinds[name] in METHODS]
        return {name: blocks[name] for name in sorted(known, key=lambda n: order.index(kinds[n]))}

    def _blocks(self) -> dict[str, dict[str, Any]]:
        """Method blocks: those that ``rows`` names, or all; an overlay drops one by null."""
        blocks = {n: b for n, b in self.people.config["methods"].items() if b is not None}
        kept = self.people.config.get("rows", blocks)
        return {name: block for name, block in blocks.items() if name in kept}

    @property
    def runs(self) -> list[str]:
        """The rows, each once for every seed that its networks are trained from, and every fold.

        Whatever takes a row's name takes that of a run as well, which is :func:`.repeats.repeated`
        or :func:`.repeats.in_fold`; the row's name alone is its first run's. A run is of the test
        subjects of its fold (:meth:`tested`).
        """
        return [
            in_fold(repeated(row, seed, self.people.seed), fold)
            for row in self.methods
            for seed in (self.models.seeds if self.is_repeated(row) else self.models.seeds[:1])
            for fold in self.folds_of_row(row)
        ]

    def folds_of_row(self, row: str) -> list[int]:
        """The folds in which a row's people are tested: those of its models, or the study's."""
        return next(map(self.models.folds_of, self.models_of(row)), self.people.folds)

    @property
    def shown_runs(self) -> list[str]:
        """The runs that pictures are of: from the first seed, every test subject once a row."""
        return [in_fold(row, fold) for row in self.methods for fold in self.folds_of_row(row)]

    def tested(self, run: str) -> list[str]:
        """The test subjects of a run: those of its fold, whom none of its trainings saw."""
        fold, crossed = fold_of_run(run), self._cross_fitted(run)
        return (
            self.models.tested_in(crossed[0], fold)
            if crossed
            else self.people.subjects("test", fold=fold)
        )

    def slices(self, run: str) -> int:
        """Slices that a run translates from one source."""
        return self.people.slices_of(self.tested(run))

    def segmenter(self, run: str) -> str:
        """The K-Means of a run's translations, fitted on the training subjects of its fold."""
        fold = FIRST_FOLD if self._cross_fitted(run) else fold_of_run(run)
        return self.people.paths.segmenter(in_fold(KMEANS, fold))

    def _cross_fitted(self, run: str) -> list[str]:
        row = row_of(run)
        models = self.models_of(row) if row in self.methods else []
        return [model for model in models if self.models.is_cross_fitted(model)]

    def is_repeated(self, row: str) -> bool:
        """Whether another seed makes another row: some network of it is trained."""
        return any(self.models.is_seeded(model) for model in self.models_of(row))

    @property
    def trained_once(self) -> list[str]:
        """Rows of a trained network that has one training where those of others have several."""
        if len(self.models.seeds) == 1:
            return []
        trained = [r for r in self.methods if any(map(self.models.is_trained, self.models_of(r)))]
        return [row for row in trained if not self.is_repeated(row)]

    def seed_of(self, run: str) -> int:
        """The seed of a run's training, tuning and translation."""
        return seed_of_run(run, self.people.seed)

    def declared(self, name: str) -> Declared:
        """The method behind a row, which has its key, or is named by its ``method`` key."""
        return method_of(self.kind(name))

    def kind(self, name: str) -> str:
        """The key of a row's method: its own name, or what its ``method`` key says."""
        row = row_of(name)
        return self.people.config["methods"][row].get("method", row)

    def tune(self, name: str) -> dict[str, list[Any]]:
        """The settings of a row that are tuned, and the values that are tried."""
        return self.methods[row_of(name)].get("tune") or {}

    def settings(self, name: str) -> dict[str, Any]:
        """A method's own settings, with the sampling defaults where it samples."""
        block = {k: v for k, v in self.methods[row_of(name)].items() if k not in OWN_KEYS}
        samples = self.declared(name).family == "diffusion"
        return merge(self.people.config["sampling"], block) if samples else block

    def model_of(self, name: str, source: str) -> str | None:
        """The model a method translates a source with: one for all, or one for each source."""
        model = self.methods[row_of(name)].get("model")
        if isinstance(model, Mapping):
            if source not in model:
                raise StudyError(f"config: methods.{name}.model names no model for source {source}")
            model = model[source]
        if model is None:
            return None
        seed = self.seed_of(name)
        again = seed != self.people.seed and self.models.is_seeded(model)
        of_seed = repeated(model, seed, self.people.seed) if again else model
        return in_fold(of_seed, fold_of_run(name))

    def models_of(self, name: str) -> list[str]:
        """The models of a method, over all sources, each once."""
        found = (self.model_of(name, source) for source in self.people.sources)
        return list(dict.fromkeys(model for model in found if model))

    def block(self, name: str, source: str) -> dict[str, Any]:
        """All that a job needs to build a method: key, settings, and its model's settings."""
        model = self.model_of(name, source)
        return {
            "name": self.kind(name),
            "settings": self.settings(name),
            "family": self.models.blocks[row_of(model)]["family"] if model else None,
            "model": self.models.settings(model) if model else None,
        }

    def modules_of(self, name: str) -> list[str]:
        """The modules a method's translation runs."""
        families = dict.fromkeys(self.models.module_of(model) for model in self.models_of(name))
        return [self.declared(name).module, SETTINGS, *families]

    def weights_of(self, name: str, source: str) -> list[str]:
        """The weights a method translates a source with, if any."""
        model = self.model_of(name, source)
        return [self.people.paths.model(model)] if model else []

    def tuning_file(self, method: str) -> list[str]:
        """The tuned settings of a method, if it is tuned at all."""
        return [self.people.paths.tuning(method)] if self.tune(method) else []

    def tuning_volumes(self, method: str) -> int:
        """Volumes that tuning a method translates: candidates, validation people, contrasts."""
        candidates = math.prod(len(values) for values in self.tune(method).values())
        return candidates * CONTRASTS * len(self.people.subjects("val", fold=fold_of_run(method)))

    def seen(self, method: str) -> str:
        """What training and tuning of a method saw, for the table."""
        if self.ceiling(method):
            return SAW_THE_ANSWER
        texts = dict.fromkeys(self._seen_by(method, source) for source in self.people.sources)
        return "; ".join(texts)

    def _seen_by(self, method: str, source: str) -> str:
        model = self.model_of(method, source)
        if model is None:
            return "nothing"
        needs, shown = self.models.needs(model), self.models.blocks[model].get("source")
        which = "the source" if shown == source else "another modality"
        of = ", of others who are tested" if self.models.is_cross_fitted(model) else ""
        if "pairs" in needs:
            return f"pairs of target and {which}{of}"
        if "labels" in needs:
            return "target + label maps"
        return f"target + {which}, unpaired{of}" if "source" in needs else "target"

    def zero_shot(self, method: str) -> bool:
        """Whether no training of the method, over all sources, saw the source it translates."""
        if self.ceiling(method):
            return False
        shown = {
            s: self.models.blocks[m].get("source")
            for s in self.people.sources
            if (m := self.model_of(method, s))
        }
        return all(source != modality for source, modality in shown.items())

    def ceiling(self, method: str) -> bool:
        """Whether a row is a bound that is shown the answer, and no method."""
        return self.declared(method).sees_test_target

    def tuned(self, method: str) -> str:
        """What was tuned, and on what, for the table."""
        tune = self.tune(method)
        return f"{', '.join(tune)} on {TUNED_ON}" if tune else "nothing"

    @property
    def used_models(self) -> list[str]:
        """Models that some method of the study translates with."""
        wanted = {model for name in self.methods for model in self.models_of(name)}
        return [name for name in self.models.blocks if name in wanted]

    @property
    def trained_models(self) -> list[str]:
        """Used models that are trained by gradient descent and so have a learning curve."""
        return [model for model in self.used_models if self.models.is_trained(model)]

    @property
    def unconditional_models(self) -> list[str]:
        """Used models that draw images of the target from noise alone."""
        return [m for m in self.used_models if is_unconditional(self.models.settings(m))]

    @property
    def labels(self) -> dict[str, str]:
        """Method key to the name that tables and figures print."""
        return {
            name: block.get("label", self.declared(name).label)
            for name, block in self.methods.items()
        }

    def table(self) -> list[dict[str, Any]]:
        """What the table says of each method: :class:`lmidiff.evaluation.tables.MethodInfo`."""
        return [
            {
                "key": name,
                "label": label,
                "needs_text": self.seen(name),
                "tuned_text": self.tuned(name),
                "zero_shot": self.zero_shot(name),
                "ceiling": self.ceiling(name),
            }
            for name, label in self.labels.items()
        ]
