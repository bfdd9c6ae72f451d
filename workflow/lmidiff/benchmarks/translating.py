"""What ``lmidiff translate`` costs by the size of a scan, here and on a processor with AVX2 alone.

A head with its skull is brought to several voxel sizes, and each is translated by the command, as a
user's scan is: mask, receive field, network and the scan's own detail.
"""

import sys
import tempfile
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from nibabel.processing import resample_to_output

from lmidiff.benchmarks.measure import run_measured
from lmidiff.benchmarks.processors import PROCESSORS, THIS
from lmidiff.common.devices import describe

NARROW = "AVX2"
COLUMNS = ("voxel_mm", "size", "brain_voxels", "processor", "seconds", "cpu_seconds")
COLUMNS += ("memory_mb", "cpu_seconds_per_million", "rounds", "device")


def benchmark(settings: Mapping[str, Any], scan: str | Path) -> pd.DataFrame:
    """Translate a scan at several voxel sizes, processors in turns.

    Args:
        settings: ``voxels_mm``; ``rounds``, in each of which every size is translated on every
            processor.
        scan: NIfTI volume of a whole head.

    Returns:
        A row for each voxel size and processor (this alone, where AVX2 cannot be played),
        ``COLUMNS``: medians of wall and CPU time in s, the most memory in MB, and CPU seconds for a
        million voxels of the brain.

    Raises:
        StudyError: a translation failed.
    """
    wide = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    compared = (THIS, NARROW) if wide else (THIS,)
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        scans = {mm: _respaced(scan, mm, Path(folder)) for mm in settings["voxels_mm"]}
        for _ in range(settings["rounds"]):
            for (mm, path), name in product(scans.items(), compared):
                used, out = _translated(path, PROCESSORS[name])
                brain = np.asanyarray(out.dataobj) > 0
                size = " x ".join(map(str, out.shape))
                row = {"voxel_mm": mm, "size": size, "brain_voxels": int(brain.sum())}
                runs.append(row | {"processor": name} | used)
    return _summary(pd.DataFrame(runs), settings["rounds"])


def _translated(scan: Path, told: Mapping[str, str]) -> tuple[dict[str, float], nib.Nifti1Image]:
    out = scan.with_name("translation.nii.gz")
    command = (sys.executable, "-m", "lmidiff", "translate", str(scan), "-o", str(out))
    out.unlink(missing_ok=True)
    used, _ = run_measured(command, told)
    return used, nib.load(out)


def _respaced(scan: str | Path, mm: float, folder: Path) -> Path:
    path = folder / f"{mm}.nii.gz"
    image = resample_to_output(nib.load(scan), (mm, mm, mm), order=1)
    data = image.get_fdata(dtype=np.float32)
    nib.save(nib.Nifti1Image(data, image.affine), path)
    return path


def _summary(runs: pd.DataFrame, rounds: int) -> pd.DataFrame:
    keys = ["voxel_mm", "size", "brain_voxels", "processor"]
    each = runs.groupby(keys, sort=False)
    table = each[["seconds", "cpu_seconds"]].median()
    table["memory_mb"] = each["memory_mb"].max()
    table = table.reset_index()
    table["cpu_seconds_per_million"] = table["cpu_seconds"] / table["brain_voxels"] * 1e6
    table["rounds"], table["device"] = rounds, describe(torch.device("cpu"))
    return table.reindex(columns=list(COLUMNS))
