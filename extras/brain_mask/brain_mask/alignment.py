"""Preprocessing of raw subjects against known motion, known brains and known tissue.

The subjects are heads that the mask network has not been trained on, scanned as IXI is: PDw axial
and T1w sagittal, on grids of their own, with a receive field each, skull and scalp, and a head
that turns by up to 15 degrees about each axis and moves by up to 15 mm along each in between.
Pairs of two people, one scan of each, say how many of such mistakes are flagged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from brain_mask.heads import Head, Scan, read_head, rigid, scan_head
from brain_mask.masks import dice
from lmidiff.common.errors import StudyError
from lmidiff.common.progress import Progress
from lmidiff.common.seeds import generator_of
from lmidiff.data.align import AlignedSubject, align_subject
from lmidiff.data.bias import variation
from lmidiff.data.registration import distances, surface_points
from lmidiff.data.volumes import Volume

SOURCE, TARGET = "PDw", "T1w"
AXIAL = ((240.0, 240.0, 162.5), (0.9375, 0.9375, 1.25))
SAGITTAL = ((180.0, 240.0, 240.0), (1.2, 0.9375, 0.9375))
FIELDS = {"PDw": AXIAL, "T2w": AXIAL, "T1w": SAGITTAL}
"""Fields of view and voxels of IXI's scans in mm, in right, anterior, superior."""

TURN_DEG, SHIFT_MM = 15.0, 15.0

GOOD_MM = 1.0
"""A subject is well aligned if 95 % of its brain's surface lies closer than this to the truth."""


@dataclass(frozen=True)
class Session:
    """Raw scans of one head, and where it moved before the target was scanned."""

    scans: dict[str, Scan]
    motion: np.ndarray

    def volume(self, modality: str, name: str) -> Volume:
        """A scan as the preprocessing reads it."""
        scan = self.scans[modality]
        return Volume(scan.image, scan.affine, f"{name} {modality}")


def make_session(
    head: Head, coarser: float, *seed_parts: object, modalities: Sequence[str] = (SOURCE, TARGET)
) -> Session:
    """Scan a head in each modality; it moves before the target.

    Args:
        head: whole.
        coarser: voxels are this many times IXI's.
        *seed_parts: name the draw.
        modalities: keys of ``FIELDS``.
    """
    rng = generator_of(*seed_parts, "motion")
    index = np.argwhere(head.brain)
    centre = nib.affines.apply_affine(head.affine, (index.min(0) + index.max(0)) / 2)
    first = rigid(rng.uniform(-5, 5, 3), rng.uniform(-5, 5, 3), centre)
    motion = rigid(rng.uniform(-TURN_DEG, TURN_DEG, 3), rng.uniform(-SHIFT_MM, SHIFT_MM, 3), centre)
    scans = {}
    for modality in modalities:
        field, voxel = FIELDS[modality]
        edges = coarser * np.array(voxel)
        shape = tuple(int(n) for n in np.round(np.array(field) / edges))
        affine = np.diag([*edges, 1.0])
        affine[:3, 3] = centre - edges * (np.array(shape) - 1) / 2
        where = motion @ first if modality == TARGET else first
        scans[modality] = scan_head(head, modality, shape, affine, *seed_parts, motion=where)
    return Session(scans, motion)


def measure_subjects(
    maps: Sequence[str | Path], motions: int, coarser: float, seed: int = 1
) -> pd.DataFrame:
    """Align every head under several motions, and with the next head's target: one row a pair.

    Columns: whose target it is, what moved (``turned_deg`` is the angle of the whole rotation),
    registration error at the true brain's surface (mean, 95th percentile, largest, in mm), Dice
    of each mask with the true brain, coefficient of variation in white matter before and after
    N4, and what the flags go by. A pair of two people has no truth, so no error.

    Args:
        maps: whole-head label maps.
        motions: of each head; every other one is also tried with another head's target.
        coarser: voxels are this many times IXI's.
        seed: of motions and scans.
    """
    names = [Path(path).name.removesuffix(".nii.gz") for path in maps]
    heads = [read_head(path) for path in maps]
    rows = []
    progress = Progress("align", len(maps) * (motions + (motions + 1) // 2))
    for number in range(motions):
        sessions = [
            make_session(head, coarser, seed, name, number)
            for head, name in zip(heads, names, strict=True)
        ]
        for place, (session, name) in enumerate(zip(sessions, names, strict=True)):
            others = [place] if number % 2 else [place, (place + 1) % len(names)]
            for other in dict.fromkeys(others):
                row = {"head": name, "target_of": names[other], "motion": number}
                volumes = {
                    SOURCE: session.volume(SOURCE, name),
                    TARGET: sessions[other].volume(TARGET, names[other]),
                }
                truth = session if other == place else None
                rows.append(row | _measured(volumes, truth))
                progress.step()
    return pd.DataFrame(rows)


def summarise_subjects(table: pd.DataFrame) -> pd.DataFrame:
    """One line each for pairs of one person and of two.

    Columns: how many; the share that is aligned to ``GOOD_MM``, is flagged, is neither; mean and
    worst error; mean and least Dice; white matter's variation, and the share where N4 lowered it.
    """
    rows = []
    one = table["head"] == table["target_of"]
    for what, part in (("one person", table[one]), ("two people", table[~one])):
        good, flagged = part["error95_mm"] < GOOD_MM, part["flags"] != ""
        row = {"pairs_of": what, "pairs": len(part), "flagged": flagged.mean()}
        if what == "one person":
            dices = part[["dice_source", "dice_target"]].to_numpy()
            row |= {
                "aligned": good.mean(),
                "neither": (~good & ~flagged).mean(),
                "error95_mean_mm": part["error95_mm"].mean(),
                "error95_worst_mm": part["error95_mm"].max(),
                "dice_mean": np.nanmean(dices),
                "dice_least": np.nanmin(dices),
                "variation_raw": part["variation_raw"].mean(),
                "variation_n4": part["variation_n4"].mean(),
                "variation_fell": (part["variation_n4"] < part["variation_raw"]).mean(),
            }
        rows.append(row)
    return pd.DataFrame(rows)


def _measured(volumes: Mapping[str, Volume], truth: Session | None) -> dict[str, Any]:
    try:
        aligned = align_subject(volumes, SOURCE)
    except StudyError as error:
        return {"flags": str(error)}
    row = {"flags": "; ".join(f for scan in aligned.quality for f in scan.flags)}
    found = aligned.quality[1].registration
    judged = ("dice_after", "starts_mm", "after", "distinct")
    row |= {name: getattr(found, name) for name in judged}
    return row if truth is None else row | _against(truth, aligned)


def _against(truth: Session, aligned: AlignedSubject) -> dict[str, Any]:
    still, moved = truth.scans[SOURCE], truth.scans[TARGET]
    points = surface_points(still.brain, still.affine)
    error = distances(points, aligned.transforms[TARGET], truth.motion)
    cosine = np.clip((np.trace(truth.motion[:3, :3]) - 1) / 2, -1, 1)
    middle = points.mean(axis=0)
    corrected = aligned.images[SOURCE].data
    return {
        "turned_deg": float(np.rad2deg(np.arccos(cosine))),
        "moved_mm": float(np.linalg.norm((truth.motion @ [*middle, 1])[:3] - middle)),
        "error_mm": float(error.mean()),
        "error95_mm": float(np.percentile(error, 95)),
        "error_max_mm": float(error.max()),
        "dice_source": dice(aligned.brains[SOURCE], still.brain),
        "dice_target": dice(aligned.brains[TARGET], moved.brain),
        "variation_raw": variation(still.image, still.white),
        "variation_n4": variation(corrected, still.white),
    }
