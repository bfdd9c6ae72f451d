"""Candidates for the brain mask against the truth: Dice and time, by modality.

On whole heads of people that the mask network has not been trained on, scanned through the
simulator with skull and scalp, turned and shifted.
"""

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import ndimage

from brain_mask.candidates import candidates
from brain_mask.heads import Head, Scan, read_head, rigid, scan_head
from lmidiff.common.errors import StudyError
from lmidiff.common.files import write_text
from lmidiff.common.progress import Progress
from lmidiff.common.seeds import generator_of
from lmidiff.data.volumes import Volume

logger = logging.getLogger("lmidiff")

MODALITIES = ("T1w", "PDw", "T2w", "FLAIR")


def compare_masks(
    maps: Sequence[str | Path], *, voxel_mm: float = 2.0, only: Sequence[str] = (), seed: int = 1
) -> pd.DataFrame:
    """Measure every candidate on every modality of every head.

    Args:
        maps: whole-head label maps of people that no candidate has seen.
        voxel_mm: of the scans.
        only: names of candidates; all of them if empty.
        seed: of poses and noise.

    Returns:
        One row a candidate, head and modality: Dice, seconds, and the 95th percentile of the
        distance between the surfaces in mm.
    """
    methods = {k: v for k, v in candidates().items() if not only or k in only}
    rows = []
    progress = Progress("brain masks", len(maps) * len(MODALITIES) * len(methods))
    for path in maps:
        head = read_head(path)
        for modality in MODALITIES:
            scan = turned_scan(head, modality, voxel_mm, seed, Path(path).name)
            volume = Volume(scan.image, scan.affine, f"{Path(path).name} {modality}")
            for name, method in methods.items():
                began = time.process_time()
                try:
                    found = method(volume)
                except (StudyError, RuntimeError) as error:
                    logger.info("%s fails on %s: %s", name, volume.name, error)
                    found = np.zeros(scan.brain.shape, bool)
                seconds = time.process_time() - began
                rows.append(
                    {
                        "method": name,
                        "head": Path(path).name.removesuffix(".nii.gz"),
                        "modality": modality,
                        "dice": dice(found, scan.brain),
                        "surface95_mm": surface_distance(found, scan.brain, volume.voxel_mm),
                        "cpu_s": seconds,
                    }
                )
                progress.step(f"{name} {rows[-1]['dice']:.3f}")
    return pd.DataFrame(rows)


def turned_scan(head: Head, modality: str, voxel_mm: float, *seed_parts: object) -> Scan:
    """A scan of a head turned by up to 15 degrees about each axis and shifted by up to 15 mm."""
    rng = generator_of(*seed_parts, "pose")
    index = np.argwhere(head.brain)
    centre = nib.affines.apply_affine(head.affine, (index.min(0) + index.max(0)) / 2)
    motion = rigid(rng.uniform(-15, 15, 3), rng.uniform(-15, 15, 3), centre)
    edges = np.array([voxel_mm, voxel_mm, voxel_mm])
    shape = tuple(int(n) for n in np.round(np.array([200.0, 240.0, 230.0]) / edges))
    affine = np.diag([*edges, 1.0])
    # The brain lies above the middle of the field of view, as the neck is in it too.
    affine[:3, 3] = centre - [0, 0, 20] - edges * (np.array(shape) - 1) / 2
    return scan_head(head, modality, shape, affine, *seed_parts, motion=motion)


def dice(one: np.ndarray, two: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|); 1 for two empty masks."""
    total = int(one.sum()) + int(two.sum())
    return 2 * int((one & two).sum()) / total if total else 1.0


def surface_distance(one: np.ndarray, two: np.ndarray, voxel_mm: np.ndarray) -> float:
    """95th percentile of the distances from either surface to the other, in mm; NaN if empty."""
    if not one.any() or not two.any():
        return float("nan")
    shells = [mask & ~ndimage.binary_erosion(mask) for mask in (one, two)]
    far = [
        ndimage.distance_transform_edt(~other, sampling=voxel_mm)[shell]
        for shell, other in (shells, shells[::-1])
    ]
    return float(np.percentile(np.concatenate(far), 95))


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and worst Dice and mean time of each candidate, by modality and over all."""
    both = pd.concat([table, table.assign(modality="all")])
    groups = both.groupby(["method", "modality"], sort=False)
    summary = groups.agg(
        scans=("dice", "size"),
        dice_mean=("dice", "mean"),
        dice_min=("dice", "min"),
        surface95_mm=("surface95_mm", "mean"),
        cpu_s=("cpu_s", "mean"),
    )
    return summary.reset_index()


def write_comparison(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table of the benchmark as CSV."""
    write_text(path, table.to_csv(index=False, float_format="%.4g", lineterminator="\n"))
