"""What a study cost: the benchmark files of its jobs, summed by stage."""

from pathlib import Path

import pandas as pd

STAGES = ("data", "train", "tune", "translate", "segment", "score")


def summarise_costs(folder: Path) -> pd.DataFrame:
    """Sum the benchmark files ``<folder>/<stage>/<job>.tsv`` that Snakemake wrote.

    Returns:
        A row a stage and, for training, a row a model: stage, job ("all" or the model), jobs,
        seconds (wall time, summed over jobs that may have run side by side), cpu_seconds, and
        memory_mb, the largest resident set.
    """
    rows = []
    for stage in STAGES:
        files = sorted((folder / stage).glob("*.tsv"))
        if not files:
            continue
        table = pd.concat([pd.read_csv(file, sep="\t").assign(job=file.stem) for file in files])
        parts = [("all", table)]
        if stage == "train":
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
