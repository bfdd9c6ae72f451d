"""What a job asks a cluster for: minutes, memory, cores and GPUs, from the sizes in the config.

Work is counted as multiply-adds of the U-Net's 3x3 convolutions where a network runs, and as
volumes elsewhere. What a unit of work costs was measured: ``config/costs.csv`` holds one number
a line with the recorded file it was derived from (``make costs`` derives them anew).
LMI maps are not counted, and nothing here was measured on a GPU: there, minutes are CPU minutes,
which is too many. A job that still runs into a limit is tried again with more (``attempt``).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lmidiff.common.errors import StudyError
from lmidiff.methods.tuning import CONTRASTS
from lmidiff.study.study import Study

COLUMNS = ("cost", "value", "unit", "source")

#: Chosen, not measured: how much more than the estimate is asked for, and at least how much, by a
#: job that runs a network and by one of the many small ones whose minutes a group adds up.
TIME_MARGIN, MEMORY_MARGIN = 3.0, 1.7
LEAST_MINUTES, LEAST_MINUTES_SMALL = 10, 2
#: Also chosen: a raw subject of IXI's size.
ALIGN_SECONDS, ALIGN_MEGABYTES = 180.0, 1400.0


def read_costs(path: str | Path) -> dict[str, float]:
    """The measured costs by name.

    Raises:
        StudyError: the file is missing or is not such a table.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read ({error}); restore it from git") from error
    if tuple(table.columns) != COLUMNS:
        raise StudyError(f"{path}: its columns must be {', '.join(COLUMNS)}; restore it from git")
    return dict(zip(table["cost"], table["value"], strict=True))


def network_operations(unet: Mapping[str, Any], image_size: int) -> float:
    """Multiply-adds of the 3x3 convolutions in one pass of a slice through a U-Net, in 1e9.

    Each level has ``res_blocks`` blocks on the way down and one more on the way up, of two
    convolutions each.
    """
    side, blocks = image_size / unet["unshuffle"], 2 * unet["res_blocks"] + 1
    levels = enumerate(unet["channels"])
    return sum(2 * blocks * 9 * width**2 * (side / 2**n) ** 2 for n, width in levels) / 1e9


def network_activations(unet: Mapping[str, Any], image_size: int) -> float:
    """Values that a pass of a slice through a U-Net holds, in 1e6."""
    side, blocks = image_size / unet["unshuffle"], 2 * unet["res_blocks"] + 1
    levels = enumerate(unet["channels"])
    return sum(2 * blocks * width * (side / 2**n) ** 2 for n, width in levels) / 1e6


#: Networks that hold a batch at once, where a family trains more than one.
NETWORKS = {"cyclegan": 4, "stylegan": 2}


class Work:
    """How much work each stage of a study is, in the units of ``config/costs.csv``."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.size: int = study.config["data"]["grid"]["image_size"]
        self.slices: int = study.config["data"]["grid"]["slices"]

    def _unet(self, model: str) -> Mapping[str, Any]:
        block = self.study.model_settings(model)
        return block.get("unet", self.study.config["model_defaults"]["unet"])

    def network_of(self, method: str, source: str) -> str | None:
        """The network a method translates a source with, if one runs."""
        model = self.study.model_of(method, source)
        return model if model in self.study.trained_models else None

    def megavoxels(self, subjects: int) -> float:
        """Voxels of one modality of so many subjects, in 1e6."""
        return subjects * self.slices * self.size**2 / 1e6

    def train(self, model: str) -> float:
        """Of all steps; forward and backward are as much as three passes forward."""
        training = self.study.model_settings(model)["training"]
        passes = 3 * training["steps"] * training["batch_size"]
        return passes * network_operations(self._unet(model), self.size)

    def train_activations(self, model: str) -> float:
        """Of one batch, in all networks that are trained together."""
        settings = self.study.model_settings(model)
        together = settings["training"]["batch_size"] * NETWORKS.get(settings["family"], 1)
        return together * network_activations(self._unet(model), self.size)

    def translate(self, method: str, source: str, subjects: int) -> float:
        """Of one setting of a method; 0 where no network runs."""
        model = self.network_of(method, source)
        if model is None:
            return 0.0
        settings = self.study.method_settings(method)
        passes = subjects * self.slices * settings.get("steps", 1) * settings.get("draws", 1)
        return passes * network_operations(self._unet(model), self.size)

    def translate_activations(self, method: str, source: str) -> float:
        """Of one batch."""
        model = self.network_of(method, source)
        batch = max(self.study.config["translation"]["batch_size"], self.slices)
        return batch * network_activations(self._unet(model), self.size) if model else 0.0

    def sample(self, models: Sequence[str], images: int) -> tuple[float, float]:
        """Of drawing so many images from each model, and the values of such a batch."""
        passes = images * self.study.config["sampling"]["steps"]
        networks = [(self._unet(model), self.size) for model in models]
        operations = passes * sum(network_operations(*network) for network in networks)
        return operations, images * max(network_activations(*network) for network in networks)

    def tune(self, method: str) -> float:
        """Of all candidates on all validation subjects in every contrast."""
        candidates = math.prod(len(v) for v in self.study.methods[method]["tune"].values())
        images = CONTRASTS * len(self.study.subjects("val"))
        return candidates * self.translate(method, self.study.sources[0], images)


class Needs:
    """What the jobs of a study ask for.

    Args:
        study: sizes.
        costs: see :func:`read_costs`.
        most_minutes: the longest job that is ever asked for, as clusters have a limit; a longer
            training goes on where it was when it is tried again.
    """

    def __init__(
        self, study: Study, costs: Mapping[str, float], most_minutes: int | None = None
    ) -> None:
        self.study, self.costs = study, costs
        self.work = Work(study)
        self.most_minutes = most_minutes or math.inf

    # Each returns (seconds, megabytes) as estimated, for one job.

    def data(self, subjects: int) -> tuple[float, float]:
        """Simulating or preprocessing so many subjects."""
        volumes = self.work.megavoxels(subjects) * len(self.study.modalities)
        return self._plain("data", volumes)

    def align(self) -> tuple[float, float]:
        """Mask, bias field and registration of a raw subject."""
        return ALIGN_SECONDS, ALIGN_MEGABYTES

    def train(self, model: str) -> tuple[float, float]:
        """Training a model."""
        if model not in self.study.trained_models:
            return self.fit()
        values = self.work.train_activations(model)
        return self._network("train", self.work.train(model), values)

    def fit(self) -> tuple[float, float]:
        """Fitting what has no network on the training subjects."""
        return self._plain("fit", self.work.megavoxels(len(self.study.subjects("train"))))

    def tune(self, method: str) -> tuple[float, float]:
        """Choosing a method's settings."""
        values = self.work.translate_activations(method, self.study.sources[0])
        return self._network("tune", self.work.tune(method), values)

    def translate(self, method: str, source: str, shard: int) -> tuple[float, float]:
        """Translating a shard."""
        subjects = len(self.study.shard_subjects(shard))
        if self.work.network_of(method, source) is None:
            return self._plain("score", self.work.megavoxels(subjects))
        values = self.work.translate_activations(method, source)
        operations = self.work.translate(method, source, subjects)
        return self._network("translate", operations, values)

    def sample(self, models: Iterable[str], images: int) -> tuple[float, float]:
        """Drawing so many images from each of some models at once."""
        return self._network("translate", *self.work.sample(list(models), images))

    def cut(self) -> tuple[float, float]:
        """Reading every translation of the test subjects."""
        rows = len(self.study.methods) * len(self.study.sources)
        return self._plain("score", rows * self.work.megavoxels(len(self.study.subjects("test"))))

    def score(self) -> tuple[float, float]:
        """Segmenting or scoring all test subjects of a method and source."""
        return self._plain("score", self.work.megavoxels(len(self.study.subjects("test"))))

    def minutes(self, seconds: float, attempt: int = 1, small: bool = False) -> int:
        """What to ask for: with the margin, more at each attempt, and no more than is allowed."""
        wanted = math.ceil(TIME_MARGIN * seconds / 60)
        least = LEAST_MINUTES_SMALL if small else LEAST_MINUTES
        return int(min(max(least, wanted) * attempt, self.most_minutes))

    def megabytes(self, estimate: float, attempt: int = 1) -> int:
        """What to ask for: with the margin, the two Snakemakes around a job, more each attempt."""
        around = 2 * self.costs["snakemake_memory"]
        return math.ceil((MEMORY_MARGIN * estimate + around) * attempt)

    def gpus(self, model: str) -> int:
        """GPUs that a training can use: one a process, none without a network."""
        if model not in self.study.trained_models:
            return 0
        return self.study.model_settings(model)["training"].get("processes", 1)

    def uses_network(self, method: str, source: str) -> bool:
        """Whether a network runs in a translation."""
        return self.work.network_of(method, source) is not None

    def _plain(self, stage: str, megavoxels: float) -> tuple[float, float]:
        seconds = self.costs["start"] + self.costs[stage] * megavoxels
        # One subject is in memory at a time.
        growth = self.work.megavoxels(1) / self.costs["subject_size"]
        floor, memory = self.costs["start_memory"], self.costs[f"{stage}_memory"]
        return seconds, max(floor, memory) * max(1.0, growth)

    def _network(self, stage: str, operations: float, values: float) -> tuple[float, float]:
        seconds = self.costs["start"] + self.costs[stage] * operations
        return seconds, self.costs["start_memory"] + self.costs[f"{stage}_memory"] * values
