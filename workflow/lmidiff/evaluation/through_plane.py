"""Through the plane: reformats of translated volumes, and how much neighbouring slices flicker.

Methods translate slice by slice, and a method that draws noise may answer two slices that look
alike with two images that do not. Anatomy changes from slice to slice too, by as much as the true
target does; what a translation changes beyond that is flicker.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lmidiff.common.errors import StudyError
from lmidiff.data.volumes import read_affine, read_array
from lmidiff.evaluation.panel import TARGET
from lmidiff.evaluation.pictures import write_pictures

COLUMNS = ("source", "method", "subject", "step", "step_of_truth", "flicker")


def step_between_slices(volume: NDArray[np.floating], mask: NDArray[np.bool_]) -> float:
    """Mean absolute difference between neighbouring axial slices, where both are brain.

    Args:
        volume: (X, Y, Z), intensities 0..1.
        mask: the same shape.

    Returns:
        In intensities; ``nan`` where no two neighbouring slices share a brain voxel.

    Raises:
        StudyError: the shapes differ.
    """
    if volume.shape != mask.shape:
        raise StudyError(f"flicker: volume {volume.shape}, mask {mask.shape}")
    both = mask[:, :, 1:] & mask[:, :, :-1]
    steps = np.abs(np.diff(volume.astype(np.float64), axis=2))
    return float(steps[both].mean()) if both.any() else float("nan")


def flicker_of(
    source: str, method: str, subjects: Mapping[str, Mapping[str, str]]
) -> list[tuple[str, str, str, float, float, float]]:
    """A row of ``COLUMNS`` for every subject: the step of the translation minus that of the truth.

    0 is a translation that changes between slices as the anatomy does; above is flicker, below is
    smoothing.

    Args:
        subjects: subject -> ``image, target, mask`` -> volume.
    """
    rows = []
    for subject, files in subjects.items():
        mask = read_array(files["mask"]) > 0
        own, truth = (
            step_between_slices(read_array(files[key]), mask) for key in ("image", "target")
        )
        rows.append((source, method, subject, own, truth, own - truth))
    return rows


def cut_reformats(
    files: Mapping[str, Mapping[str, Mapping[str, str]]], subject: str, path: str | Path
) -> None:
    """Keep one coronal and one sagittal reformat of every translated volume of one subject.

    Each is the plane through the middle of the brain mask (sagittal: a sixth of the brain's width
    off it, where there is more to see than the gap between the hemispheres).

    Args:
        files: source -> column (``source``, ``target``, method) -> ``image`` and ``mask``.
        path: the file of pictures to write: ``<source>/<column>/<plane>``, (X or Y, Z).
    """
    pictures, index = {}, {"subject": subject, "sources": list(files), "columns": {}}
    for source, columns in files.items():
        mask = read_array(columns[TARGET]["mask"]) > 0
        x, y = (np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2)))
        if not len(x):
            raise StudyError(f"{columns[TARGET]['mask']}: the brain mask is empty")
        place = {
            "coronal": round((y[0] + y[-1]) / 2),
            "sagittal": round((x[0] + x[-1]) / 2 + (x[-1] - x[0]) / 6),
        }
        edges = np.linalg.norm(read_affine(columns[TARGET]["image"])[:3, :3], axis=0)
        index["voxel_mm"] = [round(float(edge), 4) for edge in edges]
        index["planes"] = place
        index["columns"][source] = list(columns)
        for column, paths in columns.items():
            volume = read_array(paths["image"])
            pictures[f"{source}/{column}/coronal"] = volume[:, place["coronal"], :]
            pictures[f"{source}/{column}/sagittal"] = volume[place["sagittal"], :, :]
    write_pictures(path, pictures, index)
