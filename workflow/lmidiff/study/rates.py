"""What a unit of each stage's work cost in the recorded runs: ``config/costs.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from lmidiff.common.errors import StudyError
from lmidiff.models import family_of
from lmidiff.study.study import Study

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("stage", "unit", "seconds", "megabytes", "source")
OVERHEAD = "benchmarks/overhead/study_1.csv"
ALIGNMENT = "benchmarks/alignment_cost.csv"


@dataclass(frozen=True)
class UnitCost:
    """Seconds a unit of work, and megabytes a unit of what is held at once."""

    seconds: float
    megabytes: float


def read_costs(path: str | Path) -> dict[str, UnitCost]:
    """The measured costs by stage.

    Raises:
        StudyError: the file is missing or is not such a table.
    """
    try:
        header, *rows = csv.reader(Path(path).read_text().splitlines())
        if tuple(header) != COLUMNS:
            raise ValueError(f"its columns must be {', '.join(COLUMNS)}")
        return {row[0]: UnitCost(float(row[2]), float(row[3])) for row in rows}
    except (OSError, ValueError, IndexError) as error:
        raise StudyError(f"{path}: cannot be read ({error}); restore it from git") from error


class Work:
    """How much work the stages of a study are: images of one modality, in 1e6 pixels.

    Where a network runs, an image counts once for each time it passes through.
    """

    def __init__(self, study: Study) -> None:
        grid = study.config["data"]["grid"]
        self.study, self.image, self.slices = study, grid["image_size"] ** 2 / 1e6, grid["slices"]

    @property
    def volume(self) -> float:
        """One volume."""
        return self.slices * self.image

    def batch(self, model: str) -> float:
        """One batch of training."""
        settings = self.study.models.settings(model)
        training = settings["training"]
        seen = training.get("crop", 1) ** 2 if family_of(settings["family"]).windows else 1
        return training["batch_size"] * self.image * seen

    def train(self, model: str) -> float:
        """All steps."""
        return self.study.models.settings(model)["training"]["steps"] * self.batch(model)

    def passes(self, method: str, volumes: float) -> float:
        """Translating so many volumes with one setting of a method that runs a network."""
        settings = self.study.rows.settings(method)
        return volumes * self.volume * settings.get("steps", 1) * settings.get("draws", 1)

    def network(self, method: str, source: str) -> bool:
        """Whether a network runs when a method translates a source."""
        return self.study.models.is_trained(self.study.rows.model_of(method, source))


def derive_costs(reference: Path) -> pd.DataFrame:
    """The costs that the default study's record under ``reference`` shows, to four digits.

    A stage's seconds are shared out over the work of its jobs; where networks run, without each
    job's start, for which stands the training of the histogram model, that hardly computes. Of
    trainings, the dearest counts. The benchmark of overhead gives the memory of Snakemake itself,
    that of alignment what a raw scan of IXI's size takes.

    Raises:
        StudyError: a record is missing.
    """
    import pandas as pd  # for who derives costs; a plan reads them

    record = reference / "default" / "record"
    for path in (
        record / "cost.csv",
        record / "config.yaml",
        reference / OVERHEAD,
        reference / ALIGNMENT,
    ):
        if not path.is_file():
            raise StudyError(f"{path}: no such record; restore it from git or record the run")
    cost = pd.read_csv(record / "cost.csv").set_index(["stage", "job"])
    memory = float(pd.read_csv(reference / OVERHEAD)["driver_memory_mb"].max())
    study = Study(yaml.safe_load((record / "config.yaml").read_text()))
    rows = [(*row, "default/record/cost.csv") for row in _recorded(cost, study)]
    rows.append(("snakemake", "process", 0.0, memory, OVERHEAD))
    scans = pd.read_csv(reference / ALIGNMENT).iloc[0]
    each = scans["align_cpu_s"] / scans.index.str.endswith("_voxels").sum()
    rows.append(("align", "scan", each, float(scans["peak_mb"]), ALIGNMENT))
    table = pd.DataFrame(rows, columns=COLUMNS)
    for name in ("seconds", "megabytes"):
        table[name] = [float(f"{value:.4g}") for value in table[name]]
    return table


def _recorded(cost: pd.DataFrame, study: Study) -> Iterator[tuple[str, str, float, float]]:
    work, start = Work(study), cost.loc[("train", "histogram")]
    people = {split: len(study.people.subjects(split)) for split in ("train", "val", "test")}

    def held(stage: str, unit: float, job: str = "all") -> float:
        return max(0.0, cost.loc[(stage, job), "memory_mb"] - start["memory_mb"]) / unit

    def shared(stage: str, units: float, job: str = "all") -> float:
        row = cost.loc[(stage, job)]
        return (row["seconds"] - row.get("jobs", 1) * start["seconds"]) / units

    yield "start", "job", start["seconds"], start["memory_mb"]
    seen = sum(people.values()) * work.volume * len(study.modalities)
    yield (
        "data",
        "1e6 voxels",
        cost.loc[("data", "all"), "seconds"] / seen,
        held("data", work.volume),
    )
    yield "fit", "1e6 voxels", start["seconds"] / (people["train"] * work.volume), 0.0
    models = [model for model in study.rows.trained_models if ("train", model) in cost.index]
    seconds = max(shared("train", work.train(m), m) for m in models)
    megabytes = max(held("train", work.batch(m), m) for m in models)
    yield "train", "1e6 pixels", seconds, megabytes
    pairs = [(m, s) for m in study.rows.methods for s in study.sources if work.network(m, s)]
    batch = max(study.config["translation"]["batch_size"], work.slices) * work.image
    spent = sum(work.passes(method, people["test"]) for method, _ in pairs)
    yield "translate", "1e6 pixels", shared("translate", spent), held("translate", batch)
    tuned = {method for method, _ in pairs if study.rows.tuning_file(method)}
    spent = sum(work.passes(m, study.rows.tuning_volumes(m)) for m in tuned)
    yield "tune", "1e6 pixels", shared("tune", spent), held("tune", batch)
    both = cost.loc[[("score", "all"), ("segment", "all")]]
    scored = both["jobs"].max() * people["test"] * work.volume
    yield "score", "1e6 voxels", both["seconds"].sum() / scored, held("score", work.volume)
