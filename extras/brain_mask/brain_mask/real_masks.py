"""The brain in real raw scans against automatic labels: Dice, volume and time a scan.

Labels are DLMUSE's; brain is every label above 0, with the fluid close around it. They were drawn
on T1w, so those of another scan of the person are carried over by the study's registration.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brain_mask.masks import dice, surface_distance
from lmidiff.common.progress import Progress
from lmidiff.data.brain import find_brain
from lmidiff.data.registration import register, resample_onto
from lmidiff.data.volumes import Volume, read_volume

Find = Callable[[Volume], np.ndarray]


def compare_real(
    alone: Sequence[tuple[str, str]],
    pairs: Sequence[tuple[str, str, str]],
    finders: Mapping[str, Find] | None = None,
) -> pd.DataFrame:
    """Measure the masks of real scans.

    Args:
        alone: T1w and its labels.
        pairs: FLAIR, T1w of the same person, labels of the T1w.
        finders: ways to find the brain, by name; the study's own if None.

    Returns:
        A row a way and scan: ``method, people, scan, modality, dice, surface95_mm, found_ml,
        labels_ml, cpu_s``.
    """
    finders = finders or {"lmidiff": find_brain}
    progress = Progress("masks of real scans", len(finders) * (len(alone) + 2 * len(pairs)))
    rows = []

    def note(people: str, scan: Volume, modality: str, truth: np.ndarray) -> None:
        for method, find in finders.items():
            began = time.process_time()
            found = find(scan)
            spent = time.process_time() - began
            ml = float(np.prod(scan.voxel_mm)) / 1000
            row = {"method": method, "people": people, "scan": Path(scan.name).name}
            row |= {"modality": modality, "dice": dice(found, truth), "cpu_s": spent}
            row |= {"surface95_mm": surface_distance(found, truth, scan.voxel_mm)}
            row |= {"found_ml": float(found.sum()) * ml, "labels_ml": float(truth.sum()) * ml}
            rows.append(row)
            progress.step(f"{method} {modality} {row['dice']:.3f}")

    for path, marked in alone:
        truth = read_volume(marked, flat=True).data > 0
        note("one scanner", read_volume(path), "T1w", truth)
    for path, target, marked in pairs:
        flair, t1w = read_volume(path), read_volume(target)
        truth = read_volume(marked, flat=True).data > 0
        note("another scanner, older", t1w, "T1w", truth)
        # The true brain in one scan and the found one in the other: their surfaces all but agree.
        matrix = register(flair, find_brain(flair), t1w, truth).matrix
        moved = Volume(truth.astype(np.float32), t1w.affine, t1w.name)
        carried = resample_onto(moved, matrix, flair, order=1) > 0.5
        note("another scanner, older", flair, "FLAIR", carried)
    return pd.DataFrame(rows)


def summarise_real(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and worst Dice, mean ratio of volumes and mean time, by way, people and modality."""
    table = table.assign(volume_ratio=table["found_ml"] / table["labels_ml"])
    groups = table.groupby(["method", "people", "modality"], sort=False)
    summary = groups.agg(
        scans=("dice", "size"),
        dice_mean=("dice", "mean"),
        dice_min=("dice", "min"),
        surface95_mm=("surface95_mm", "mean"),
        volume_ratio=("volume_ratio", "mean"),
        cpu_s=("cpu_s", "mean"),
    )
    return summary.reset_index()
