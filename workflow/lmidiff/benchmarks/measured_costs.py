"""Deriving ``config/costs.csv`` from recorded runs: what a unit of each stage's work cost."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import yaml

from lmidiff.common.errors import StudyError
from lmidiff.study.resources import COLUMNS, Work
from lmidiff.study.study import Study

OVERHEAD = "benchmarks/overhead"


def derive_costs(reference: Path) -> pd.DataFrame:
    """The costs that the records under ``reference`` show, to four digits.

    The default study's record gives seconds and memory by stage; of its training, by model. A
    stage's seconds are shared out over the work of its jobs; where networks run, without each
    job's start, for which stands the training of the histogram model, that hardly computes. The
    benchmark of overhead gives the memory of Snakemake itself.

    Raises:
        StudyError: a record is missing.
    """
    record, overhead = reference / "default/record", reference / OVERHEAD / "study_1.csv"
    for path in (record / "cost.csv", record / "config.yaml", overhead):
        if not path.is_file():
            raise StudyError(f"{path}: no such record; restore it from git or record the run")
    cost = pd.read_csv(record / "cost.csv").set_index(["stage", "job"])
    study = Study(yaml.safe_load((record / "config.yaml").read_text()))
    memory = float(pd.read_csv(overhead)["driver_memory_mb"].max())
    rows = [*_recorded(cost, study), ("snakemake_memory", memory, "MB", f"{OVERHEAD}/study_1.csv")]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["value"] = [float(f"{value:.4g}") for value in table["value"]]
    return table


def _recorded(cost: pd.DataFrame, study: Study) -> Iterator[tuple[str, float, str, str]]:
    """Rows of the table from the default study's record."""
    source, work = "default/record/cost.csv", Work(study)
    start = cost.loc[("train", "histogram")]
    people = {split: len(study.subjects(split)) for split in ("train", "val", "test")}

    def running(stage: str) -> float:
        row = cost.loc[(stage, "all")]
        return row["seconds"] - row["jobs"] * start["seconds"]

    yield "start", start["seconds"], "s a job", source
    yield "start_memory", start["memory_mb"], "MB", source
    yield "subject_size", work.megavoxels(1), "megavoxel", "default/record/config.yaml"
    volumes = work.megavoxels(sum(people.values())) * len(study.modalities)
    yield "data", cost.loc[("data", "all"), "seconds"] / volumes, "s a megavoxel", source
    yield "data_memory", cost.loc[("data", "all"), "memory_mb"], "MB", source
    yield "fit", start["seconds"] / work.megavoxels(people["train"]), "s a megavoxel", source
    yield "fit_memory", start["memory_mb"], "MB", source
    models = [model for model in study.trained_models if ("train", model) in cost.index]
    spent = sum(cost.loc[("train", model), "seconds"] - start["seconds"] for model in models)
    yield "train", spent / sum(map(work.train, models)), "s a 1e9 operations", source
    most = max(models, key=lambda model: cost.loc[("train", model), "memory_mb"])
    held = cost.loc[("train", most), "memory_mb"] - start["memory_mb"]
    yield "train_memory", held / work.train_activations(most), "MB a 1e6 values", source
    pairs = [(m, s) for m in study.methods for s in study.sources if work.network_of(m, s)]
    tuned = {m for m, _ in pairs if study.tuning_file(m)}
    spent = sum(work.translate(m, s, people["test"]) for m, s in pairs)
    yield "translate", running("translate") / spent, "s a 1e9 operations", source
    spent = sum(work.tune(method) for method in tuned)
    yield "tune", running("tune") / spent, "s a 1e9 operations", source
    values = max(work.translate_activations(*pair) for pair in pairs)
    for stage in ("translate", "tune"):
        held = cost.loc[(stage, "all"), "memory_mb"] - start["memory_mb"]
        yield f"{stage}_memory", held / values, "MB a 1e6 values", source
    both = cost.loc[[("score", "all"), ("segment", "all")]]
    scored = both["jobs"].max() * work.megavoxels(people["test"])
    yield "score", both["seconds"].sum() / scored, "s a megavoxel", source
    yield "score_memory", cost.loc[("score", "all"), "memory_mb"], "MB", source
