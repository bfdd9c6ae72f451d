"""What a study cost: the benchmark files of its jobs, summed by stage and by row of the table."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

NAN = float("nan")
STAGES = ("data", "train", "tune", "translate", "segment", "score", "network")
BY_JOB = ("train", "tune", "translate")


class Cost(NamedTuple):
    """What a row of the table cost, in seconds of wall time; ``nan`` where it was not recorded.

    Attributes:
        training: of its model; 0 where it trains nothing.
        translation: of a slice, the start of the job and all draws included.
    """

    training: float = NAN
    translation: float = NAN


def summarise_costs(folder: Path, trained: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Sum the benchmark files ``<folder>/<stage>/<job>.tsv`` that Snakemake wrote.

    Args:
        folder: of the benchmark files.
        trained: model to the seconds that all runs of its training took, as its curve has them. A
            job that resumed a training, or found it finished, took less than the training did.

    Returns:
        A row a stage, and a row a model for training, a row a method and source for tuning and
        translation: stage, job ("all", the model, or ``<method>_from-<source>``), jobs, seconds
        (wall time, summed over jobs that may have run side by side), cpu_seconds, and memory_mb,
        the largest resident set. CPU seconds are of the job that ended a training alone.
    """
    rows = []
    for stage in STAGES:
        files = sorted((folder / stage).glob("*.tsv"))
        if not files:
            continue
        table = pd.concat(
            pd.read_csv(file, sep="\t").assign(job=re.sub(r"_shard-\d+$", "", file.stem))
            for file in files
        )
        if stage == "train":
            known = table["job"].map(trained or {})
            table["s"] = table["s"].where(~(known > table["s"]), known)
        parts = [("all", table)]
        if stage in BY_JOB:
            parts += list(table.groupby("job"))
        rows += [
            {
                "stage": stage,
                "job": job,
                "jobs": len(part),
                "seconds": round(float(part["s"].sum()), 1),
                "cpu_seconds": round(float(part["cpu_time"].sum()), 1),
                "memory_mb": round(float(part["max_rss"].max())),
            }
            for job, part in parts
        ]
    return pd.DataFrame(rows)


def row_costs(
    costs: pd.DataFrame,
    curves: Mapping[str, pd.DataFrame],
    models: Mapping[str, str | Mapping[str, str] | None],
    sources: Sequence[str],
    slices: Mapping[str, int],
) -> dict[tuple[str, str], Cost]:
    """The cost of each row and source.

    Args:
        costs: what :func:`summarise_costs` returned.
        curves: model to its learning curve. Its ``seconds`` are those of all of the training; a
            job that was killed and resumed, or found a finished training, took less.
        models: row of the table to its model, or to a model by source; ``None`` where it has none.
        sources: the study's source modalities.
        slices: row to those that its first run translates from one source, as the translations
            that are divided by them are that run's.
    """
    jobs = costs.set_index(["stage", "job"])["seconds"]
    found = {}
    for method, given in models.items():
        for source in sources:
            model = given.get(source) if isinstance(given, Mapping) else given
            training = 0.0
            if model is not None:
                curve = curves.get(model, pd.DataFrame())
                logged = "seconds" in curve and len(curve) > 0
                known = curve["seconds"].max() if logged else jobs.get(("train", model), NAN)
                training = float(known)
            seconds = jobs.get(("translate", f"{method}_from-{source}"), NAN)
            found[method, source] = Cost(training, float(seconds) / slices[method])
    return found
