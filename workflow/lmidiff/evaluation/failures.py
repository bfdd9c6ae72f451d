"""The worst slice of each method, chosen by score and by nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lmidiff.common.errors import StudyError
from lmidiff.data.volumes import read_array
from lmidiff.evaluation.panel import SOURCE, TARGET
from lmidiff.evaluation.pictures import write_pictures

REGION, METRIC = "brain", "ssim"
COLUMNS = ("method", "source", "subject", "slice", "ssim_brain", "median_ssim_brain")


def worst_slices(slices: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """The test slice of lowest brain SSIM of each method's first training, of all its images.

    Ties go to the first source, subject and slice in sorted order.

    Args:
        slices: frame of ``slices.csv``.
        methods: in the order wanted; one without a score is left out.

    Returns:
        A row a method, ``COLUMNS``; the median is over all the method's test slices.

    Raises:
        StudyError: no method has a slice with a score.
    """
    scores = slices[(slices["region"] == REGION) & (slices["metric"] == METRIC)]
    scores = scores.dropna(subset="value")
    rows = []
    for method in methods:
        own = scores[scores["method"] == method]
        if own.empty:
            continue
        own = own[own["seed"] == own["seed"].min()]
        worst = own.sort_values(["value", "source", "subject", "slice"], kind="stable").iloc[0]
        place = [worst[key] for key in ("source", "subject")]
        rows.append((method, *place, int(worst["slice"]), worst["value"], own["value"].median()))
    if not rows:
        raise StudyError("failures: no slice of any method has a brain SSIM")
    return pd.DataFrame(rows, columns=list(COLUMNS))


def cut_failures(
    worst: pd.DataFrame, files: Mapping[str, Mapping[str, Mapping[str, str]]], path: str | Path
) -> None:
    """Keep source, truth and translation of every worst slice as pictures.

    Args:
        worst: see :func:`worst_slices`.
        files: ``"<method> <source>"`` -> subject -> ``source, target, image, mask`` -> volume.
        path: the file of pictures to write; its index is the rows of ``worst``.
    """
    pictures = {}
    for number, row in enumerate(worst.itertuples()):
        volumes = files[f"{row.method} {row.source}"][row.subject]
        for key, name in ((SOURCE, "source"), (TARGET, "target"), ("image", "image")):
            pictures[f"{number}/{key}"] = read_array(volumes[name])[:, :, row.slice]
        mask = read_array(volumes["mask"])[:, :, row.slice] > 0
        pictures[f"{number}/mask"] = mask.astype(np.uint8)
    write_pictures(path, pictures, worst.round(6).to_dict("records"))
