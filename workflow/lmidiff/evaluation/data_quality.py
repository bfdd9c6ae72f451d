"""A look at every preprocessed volume: numbers that give a bad scan away, and pictures of some."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from skimage.metrics import normalized_mutual_information

from lmidiff.data.volumes import read_affine, read_array
from lmidiff.evaluation.pictures import write_pictures

COLUMNS = (
    "subject",
    "split",
    "modality",
    "brain_ml",
    "mean",
    "sd",
    "at_ceiling",
    "nmi_with_target",
)
BINS = 32


def check_volumes(
    subjects: Mapping[str, Mapping[str, str]], splits: Mapping[str, str], target: str, mask: str
) -> pd.DataFrame:
    """Numbers of every volume of a study, ``COLUMNS``.

    Args:
        subjects: subject -> modality, and the key ``mask``, to the volume.
        splits: subject -> split.
        target: the target modality.
        mask: the key of the brain mask.

    Returns:
        A row a subject and modality: brain volume in millilitres; mean and standard deviation
        inside the brain; the share of brain voxels at the ceiling of 1; and the normalised
        mutual information (1..2, 32 bins) with the target inside the brain, which misaligned scans
        lower.
    """
    rows = []
    for subject, files in subjects.items():
        brain = read_array(files[mask]) > 0
        edges = np.linalg.norm(read_affine(files[mask])[:3, :3], axis=0)
        millilitres = float(brain.sum() * edges.prod() / 1000)
        truth = read_array(files[target])[brain]
        for modality, path in files.items():
            if modality == mask:
                continue
            values = read_array(path)[brain]
            shared = normalized_mutual_information(values, truth, bins=BINS)
            numbers = (millilitres, values.mean(), values.std(), (values >= 1).mean(), shared)
            row = (subject, splits[subject], modality, *(round(float(n), 5) for n in numbers))
            rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def odd_ones(quality: pd.DataFrame, count: int) -> list[str]:
    """The subjects furthest from the others, most extreme first.

    Distance is the largest number of standard deviations that any number of any modality of a
    subject is away from that number's mean over all subjects.
    """
    numbers = list(COLUMNS[3:])
    grouped = quality.groupby("modality")[numbers]
    spread = grouped.transform("std").replace(0, np.nan)
    away = ((quality[numbers] - grouped.transform("mean")) / spread).abs().max(axis=1)
    order = away.groupby(quality["subject"]).max().fillna(0).sort_values(ascending=False)
    return [str(subject) for subject in order.index[:count]]


def cut_examples(
    subjects: Mapping[str, Mapping[str, str]], shown: Mapping[str, Sequence[str]], path: str | Path
) -> None:
    """Keep the middle slice of some subjects as pictures, with the reason each is shown.

    Args:
        subjects: subject -> modality to the volume.
        shown: reason -> subjects.
        path: the file of pictures to write.
    """
    pictures, index = {}, []
    for reason, names in shown.items():
        for subject in names:
            for modality, file in subjects[subject].items():
                volume = read_array(file)
                pictures[f"{len(index)}/{modality}"] = volume[:, :, volume.shape[2] // 2]
            index.append({"subject": subject, "reason": reason, "modalities": [*subjects[subject]]})
    write_pictures(path, pictures, index)
