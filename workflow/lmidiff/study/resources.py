"""What a job asks a cluster for: minutes, memory, cores and GPUs.

A stage's cost a unit of work, times the work: images, steps, pixels. What a unit costs was
measured (``config/costs.csv``; ``make costs`` derives it anew) on processors; on a GPU, minutes are
those of a processor, too many. A job that runs into a limit is tried again with more (``attempt``).
"""

import math
from collections.abc import Iterable, Mapping

from lmidiff.study.rates import UnitCost, Work
from lmidiff.study.repeats import FIRST_FOLD
from lmidiff.study.study import Study

#: Chosen, not measured: how much more than the estimate is asked for, and at least how much, by a
#: job that runs a network and by one of the many small ones whose minutes a group adds up.
TIME_MARGIN, MEMORY_MARGIN = 3.0, 1.7
LEAST_MINUTES, LEAST_MINUTES_SMALL = 10, 2
#: Also chosen: MeshNet on one whole brain, on one core.
NETWORK_SECONDS, NETWORK_MEGABYTES = 8.0, 2500.0


class Needs:
    """What the jobs of a study ask for.

    Args:
        study: sizes.
        costs: see :func:`lmidiff.study.rates.read_costs`.
        most_minutes: the longest job that is ever asked for, as clusters have a limit; a longer
            training goes on where it was when it is tried again.
    """

    def __init__(
        self, study: Study, costs: Mapping[str, UnitCost], most_minutes: int | None = None
    ) -> None:
        self.study, self.costs, self.work = study, costs, Work(study)
        self.most_minutes = most_minutes or math.inf

    # Each returns (seconds, megabytes) as estimated, for one job.

    def data(self, subjects: int) -> tuple[float, float]:
        """Simulating or preprocessing so many subjects."""
        return self._volumes("data", subjects * len(self.study.modalities))

    def align(self, scans: int) -> tuple[float, float]:
        """Mask, bias field and registration of a raw subject of so many scans."""
        cost = self.costs["align"]
        return self.costs["start"].seconds + cost.seconds * scans, cost.megabytes

    def train(self, model: str) -> tuple[float, float]:
        """Training a model."""
        if not self.study.models.is_trained(model):
            return self.fit()
        return self._estimate("train", self.work.train(model), self.work.batch(model))

    def fit(self) -> tuple[float, float]:
        """Fitting what has no network on the training subjects."""
        return self._volumes("fit", len(self.study.people.subjects("train", fold=FIRST_FOLD)))

    def tune(self, method: str) -> tuple[float, float]:
        """Choosing a method's settings."""
        return self._passes("tune", method, self.study.rows.tuning_volumes(method))

    def translate(
        self, method: str, source: str, shard: int, depth: float = 1.0
    ) -> tuple[float, float]:
        """Translating a shard, of volumes with ``depth`` times the study's slices."""
        subjects = depth * len(self.study.shard_subjects(method, shard))
        if not self.uses_network(method, source):
            return self._volumes("score", subjects)
        return self._passes("translate", method, subjects)

    def sample(self, models: Iterable[str], images: int) -> tuple[float, float]:
        """Drawing so many images from each of some models at once."""
        held = images * self.work.image
        steps = self.study.config["sampling"]["steps"]
        return self._estimate("translate", len(list(models)) * steps * held, held)

    def cut(self) -> tuple[float, float]:
        """Reading every translation of the test subjects."""
        rows = len(self.study.rows.methods) * len(self.study.sources)
        return self._volumes("score", rows * len(self.study.people.subjects("test")))

    def label_whole(self, times: float = 1.0) -> tuple[float, float]:
        """A network's labels of all test subjects; ``times`` the seconds of the smallest."""
        seconds = times * NETWORK_SECONDS * len(self.study.people.subjects("test"))
        return seconds, NETWORK_MEGABYTES

    def score(self) -> tuple[float, float]:
        """Segmenting or scoring all test subjects of a run and source."""
        return self._volumes("score", len(self.study.people.subjects("test", fold=FIRST_FOLD)))

    def minutes(self, seconds: float, attempt: int = 1, small: bool = False) -> int:
        """What to ask for: with the margin, more at each attempt, and no more than is allowed."""
        wanted = math.ceil(TIME_MARGIN * seconds / 60)
        least = LEAST_MINUTES_SMALL if small else LEAST_MINUTES
        return int(min(max(least, wanted) * attempt, self.most_minutes))

    def megabytes(self, estimate: float, attempt: int = 1) -> int:
        """What to ask for: with the margin, the two Snakemakes around a job, more each attempt."""
        around = 2 * self.costs["snakemake"].megabytes
        return math.ceil((MEMORY_MARGIN * estimate + around) * attempt)

    def gpus(self, model: str) -> int:
        """GPUs that a training can use: one a process, none without a network."""
        if not self.study.models.is_trained(model):
            return 0
        return self.study.models.settings(model)["training"].get("processes", 1)

    def uses_network(self, method: str, source: str) -> bool:
        """Whether a network runs in a translation."""
        return self.work.network(method, source)

    def _volumes(self, stage: str, volumes: float) -> tuple[float, float]:
        """One volume is in memory at a time."""
        return self._estimate(stage, volumes * self.work.volume, self.work.volume)

    def _passes(self, stage: str, method: str, volumes: float) -> tuple[float, float]:
        batch = max(self.study.config["translation"]["batch_size"], self.work.slices)
        return self._estimate(stage, self.work.passes(method, volumes), batch * self.work.image)

    def _estimate(self, stage: str, work: float, held: float) -> tuple[float, float]:
        start, cost = self.costs["start"], self.costs[stage]
        return start.seconds + cost.seconds * work, start.megabytes + cost.megabytes * held
