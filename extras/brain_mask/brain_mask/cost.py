"""What the preprocessing of one raw subject costs at IXI's size, and of all of IXI at that rate.

Three scans of one head, in a process of its own: what the job ``align_<subject>`` does, then what
``preprocess_<subject>`` does.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import torch

from brain_mask.alignment import FIELDS, SOURCE, make_session
from brain_mask.heads import read_head
from lmidiff.benchmarks.measure import run_alone
from lmidiff.data.align import align_subject, write_aligned, write_transform
from lmidiff.data.grid import Grid
from lmidiff.data.preprocess import preprocess_subject, write_preprocessed
from lmidiff.data.quality import write_quality
from lmidiff.data.volumes import read_volume
from lmidiff.figures.alignment_check import draw_quality

GRID = Grid(image_size=128, pixel_size=1.5, slices=20)
"""Of config/ixi.yaml."""

TEMPORARY = {"raw": True, "aligned": True, "quality": False, "volumes": False}
"""Folder of the files to whether the workflow removes them when nobody needs them any more."""


def measure_cost(path: str | Path, subjects: int, seed: int = 1) -> tuple[pd.DataFrame, ...]:
    """Time, memory and disk of one subject, and of many.

    Args:
        path: whole-head label map.
        subjects: how many all are.
        seed: of the scans.

    Returns:
        One line of time and memory, and one line a file: MB, and GB of all subjects.
    """
    name = Path(path).name.removesuffix(".nii.gz")
    session = make_session(read_head(path), 1.0, seed, name, "full", modalities=tuple(FIELDS))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for kind in TEMPORARY:
            (folder / kind).mkdir()
        for modality, scan in session.scans.items():
            image = nib.Nifti1Image(np.rint(scan.image).astype(np.int16), scan.affine)
            nib.save(image, folder / "raw" / f"{modality}.nii.gz")
        spent = json.loads(run_alone(__name__, str(folder)))
        files = _files(folder, subjects)
    shapes = {m: "x".join(map(str, s.image.shape)) for m, s in session.scans.items()}
    voxels = {f"{m}_voxels": shape for m, shape in shapes.items()}
    total = spent["align_cpu_s"] + spent["preprocess_cpu_s"]
    cost = {**voxels, **spent, "subjects": subjects, "all_core_h": total * subjects / 3600}
    return pd.DataFrame([cost]), files


def _files(folder: Path, subjects: int) -> pd.DataFrame:
    rows = []
    for kind, temporary in TEMPORARY.items():
        for path in sorted((folder / kind).iterdir()):
            mb = path.stat().st_size / 1e6
            fate = "removed" if temporary else "kept"
            rows.append((kind, path.name, fate, mb, mb * subjects / 1000))
    table = pd.DataFrame(rows, columns=["folder", "file", "fate", "mb", "all_gb"])
    sums = [
        ("all", "all", fate, part["mb"].sum(), part["all_gb"].sum())
        for fate, part in table.groupby("fate")
    ]
    return pd.concat([table, pd.DataFrame(sums, columns=table.columns)], ignore_index=True)


def _work(folder: Path) -> dict[str, float]:
    """Both jobs; CPU seconds of each, and the peak memory of both, one after the other, in MB."""
    began = time.process_time()
    scans = {m: read_volume(folder / "raw" / f"{m}.nii.gz", role=m) for m in FIELDS}
    aligned = align_subject(scans, SOURCE)
    files = {m: folder / "aligned" / f"{m}.nii" for m in scans}
    mask = folder / "aligned" / "brain_mask.nii"
    write_aligned(aligned, files, mask)
    draw_quality(aligned, "sub", folder / "quality" / "quality.png")
    write_quality(folder / "quality" / "quality.json", "sub", SOURCE, aligned.quality)
    for name in _moving(scans):
        write_transform(folder / "quality" / f"from-{name}.tfm", aligned.transforms[name])
    middle = time.process_time()
    volumes = {m: read_volume(path, role=m) for m, path in files.items()}
    ready = preprocess_subject(volumes, None, read_volume(mask, role="mask"), GRID)
    write_preprocessed(ready, folder / "volumes", "sub")
    end = time.process_time()
    return {"align_cpu_s": middle - began, "preprocess_cpu_s": end - middle, "peak_mb": _peak()}


def _moving(scans: Sequence[str]) -> list[str]:
    return [name for name in scans if name != SOURCE]


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(_work(Path(sys.argv[1]))))
