"""Quality against network evaluations, from the scores of a study whose rows differ in sampler."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.crossed import mean_interval
from lmidiff.evaluation.quantities import QUANTITIES
from lmidiff.evaluation.tables import values_by_training
from lmidiff.options import SPACINGS

SHOWN = tuple(q for q in QUANTITIES if q.key in ("ssim_brain", "dice_kmeans_mean"))
COLUMNS = (
    "method",
    "label",
    "sampler",
    "spacing",
    "steps",
    "draws",
    "network_evaluations",
    "source",
    "quantity",
    "mean",
    "low",
    "high",
    "subjects",
    "job_seconds_per_slice",
)


def pareto_table(
    metrics: pd.DataFrame,
    samplers: Mapping[str, Mapping[str, Any]],
    labels: Mapping[str, str],
    job_seconds: Mapping[tuple[str, str], float],
    slices: Mapping[str, int],
    seed: int,
) -> pd.DataFrame:
    """Mean score over subjects by sampler and steps, with its bootstrap interval.

    Args:
        metrics: volume-level scores of the study.
        samplers: method to its sampling settings (``sampler``, ``steps``, ``draws``, perhaps
            ``spacing``).
        labels: method to its printed name.
        job_seconds: method and source to the wall time of its translation jobs, in seconds.
        slices: method to those that its jobs translate from one source.
        seed: of the bootstrap.

    Returns:
        One row a method, source and quantity, ``COLUMNS``. Network evaluations are of one slice.
        Seconds of a job include its start-up, which dominates where steps are few.

    Raises:
        StudyError: no method of the study samples.
    """
    rows = []
    for name, settings in samplers.items():
        chosen = metrics[metrics["method"] == name]
        for source, part in chosen.groupby("source"):
            for quantity in SHOWN:
                interval = mean_interval(values_by_training(part, quantity), seed=seed)
                rows.append(
                    {
                        "method": name,
                        "label": labels[name],
                        **{key: settings[key] for key in ("sampler", "steps", "draws")},
                        "spacing": settings.get("spacing", SPACINGS[0]),
                        "network_evaluations": settings["steps"] * settings["draws"],
                        "source": source,
                        "quantity": quantity.key,
                        "mean": interval.mean,
                        "low": interval.low,
                        "high": interval.high,
                        "subjects": interval.n,
                        "job_seconds_per_slice": job_seconds[name, source] / slices[name],
                    }
                )
    if not rows:
        raise StudyError("quality against steps: no method of this study samples")
    return pd.DataFrame(rows)[list(COLUMNS)]
