"""Preprocessing of raw subjects against known motion, known brains and known tissue; and its cost.

The subjects are heads that the mask network has not been trained on, scanned as IXI is: PDw axial
and T1w sagittal, on grids of their own, with a receive field each, skull and scalp, and a head
that turns by up to 15 degrees about each axis and moves by up to 15 mm along each in between.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from lmidiff.benchmarks.brain_masks import dice
from lmidiff.benchmarks.measure import peak_memory
from lmidiff.data.align import AlignedSubject, align_subject, write_aligned
from lmidiff.data.bias import variation
from lmidiff.data.heads import Head, Scan, read_head, rigid, scan_head
from lmidiff.data.registration import distances, surface_points
from lmidiff.data.volumes import Volume, read_volume
from lmidiff.errors import StudyError
from lmidiff.running.progress import Progress
from lmidiff.seeds import generator_of

SOURCE, TARGET = "PDw", "T1w"
FIELD_MM = {SOURCE: (240.0, 240.0, 162.5), TARGET: (180.0, 240.0, 240.0)}
"""Fields of view of IXI's scans, in right, anterior, superior."""

FULL_MM = {SOURCE: (0.9375, 0.9375, 1.25), TARGET: (1.2, 0.9375, 0.9375)}
"""Voxels of IXI's scans."""

TURN_DEG, SHIFT_MM = 15.0, 15.0


@dataclass(frozen=True)
class Pair:
    """Two raw scans of one head, and where the head moved between them."""

    scans: dict[str, Scan]
    motion: np.ndarray

    def volumes(self, name: str) -> dict[str, Volume]:
        """The scans as the preprocessing reads them."""
        return {m: Volume(s.image, s.affine, f"{name} {m}") for m, s in self.scans.items()}


def make_pair(head: Head, coarser: float, *seed_parts: object) -> Pair:
    """Scan a head twice.

    Args:
        head: whole.
        coarser: voxels are this many times IXI's.
        *seed_parts: name the draw.
    """
    rng = generator_of(*seed_parts, "motion")
    index = np.argwhere(head.brain)
    centre = nib.affines.apply_affine(head.affine, (index.min(0) + index.max(0)) / 2)
    first = rigid(rng.uniform(-5, 5, 3), rng.uniform(-5, 5, 3), centre)
    motion = rigid(rng.uniform(-TURN_DEG, TURN_DEG, 3), rng.uniform(-SHIFT_MM, SHIFT_MM, 3), centre)
    scans = {}
    for modality, where in ((SOURCE, first), (TARGET, motion @ first)):
        edges = coarser * np.array(FULL_MM[modality])
        shape = tuple(int(n) for n in np.round(np.array(FIELD_MM[modality]) / edges))
        affine = np.diag([*edges, 1.0])
        affine[:3, 3] = centre - edges * (np.array(shape) - 1) / 2
        scans[modality] = scan_head(head, modality, shape, affine, *seed_parts, motion=where)
    return Pair(scans, motion)


def measure_subjects(
    maps: Sequence[str | Path], motions: int, coarser: float, seed: int = 1
) -> pd.DataFrame:
    """Align every head under several motions: one row a subject.

    Columns: what moved (``turned_deg`` is the angle of the whole rotation), registration error at
    the true brain's surface (mean, 95th percentile, largest, in mm), Dice of each mask with the
    true brain, coefficient of variation in white matter before and after N4, flags, CPU seconds.
    """
    rows = []
    progress = Progress("align", len(maps) * motions)
    for path in maps:
        head, name = read_head(path), Path(path).name.removesuffix(".nii.gz")
        for number in range(motions):
            pair = make_pair(head, coarser, seed, name, number)
            began = time.process_time()
            try:
                aligned = align_subject(pair.volumes(name), SOURCE)
            except StudyError as error:
                rows.append({"head": name, "motion": number, "flags": str(error)})
                continue
            seconds = time.process_time() - began
            rows.append(
                {"head": name, "motion": number, **_against_truth(pair, aligned), "cpu_s": seconds}
            )
            progress.step(f"error {rows[-1]['error95_mm']:.2f} mm")
    return pd.DataFrame(rows)


def measure_cost(path: str | Path, seed: int = 1) -> pd.DataFrame:
    """Time, memory and disk of one subject at IXI's own size, in a process of its own."""
    head, name = read_head(path), Path(path).name.removesuffix(".nii.gz")
    pair = make_pair(head, 1.0, seed, name, "full")
    with tempfile.TemporaryDirectory() as folder:
        for modality, scan in pair.scans.items():
            image = nib.Nifti1Image(np.rint(scan.image).astype(np.int16), scan.affine)
            nib.save(image, Path(folder) / f"{modality}.nii.gz")
        began = time.perf_counter()
        peak = peak_memory(__name__, folder)
        seconds = time.perf_counter() - began
        files = sorted(Path(folder).iterdir())
        raw = sum(f.stat().st_size for f in files if f.name.endswith(".nii.gz"))
        between = sum(f.stat().st_size for f in files if f.name.endswith(".nii"))
    shapes = {m: "x".join(map(str, s.image.shape)) for m, s in pair.scans.items()}
    return pd.DataFrame(
        [
            {
                "head": name,
                **{f"{m}_voxels": shape for m, shape in shapes.items()},
                "wall_s": seconds,
                "peak_mb": peak,
                "raw_mb": raw / 1e6,
                "temporary_mb": between / 1e6,
            }
        ]
    )


def _against_truth(pair: Pair, aligned: AlignedSubject) -> dict[str, Any]:
    still = pair.scans[SOURCE]
    points = surface_points(still.brain, still.affine)
    error = distances(points, aligned.transforms[TARGET], pair.motion)
    cosine = np.clip((np.trace(pair.motion[:3, :3]) - 1) / 2, -1, 1)
    middle = points.mean(axis=0)
    row: dict[str, Any] = {
        "turned_deg": float(np.rad2deg(np.arccos(cosine))),
        "moved_mm": float(np.linalg.norm((pair.motion @ [*middle, 1])[:3] - middle)),
        "error_mm": float(error.mean()),
        "error95_mm": float(np.percentile(error, 95)),
        "error_max_mm": float(error.max()),
        "dice_PDw": dice(aligned.brain, still.brain),
        "cov_raw": variation(still.image, still.white),
        "cov_n4": variation(aligned.images[SOURCE].data, still.white),
        "flags": "; ".join(f for scan in aligned.quality for f in scan.flags),
    }
    found = aligned.quality[1].registration
    return row | {"dice_masks": found.dice_after, "starts_mm": found.starts_mm}


def _peak(folder: Path) -> None:
    """The work of an align job, and then the peak memory of this whole process in MB."""
    import resource

    import torch

    torch.set_num_threads(1)
    scans = {m: read_volume(folder / f"{m}.nii.gz", role=m) for m in (SOURCE, TARGET)}
    aligned = align_subject(scans, SOURCE)
    write_aligned(aligned, {m: folder / f"{m}.nii" for m in scans}, folder / "mask.nii")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    _peak(Path(sys.argv[1]))
