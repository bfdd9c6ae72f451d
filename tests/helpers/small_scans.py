"""A small brain on disk, and commands run on it."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from lmidiff.__main__ import main

SHAPE, VOXEL = (40, 46, 36), 4.0
AFFINE = np.array([[-VOXEL, 0, 0, 80], [0, VOXEL, 0, -100], [0, 0, VOXEL, -60], [0, 0, 0, 1.0]])
IMAGES = {
    "target": "T1w",
    "percentile": 99.5,
    "grid": {"image_size": 32, "pixel_size": 6.0, "slices": 4, "extent": [0.2, 0.8]},
}


def brain(shape=SHAPE) -> np.ndarray:
    """A stripped egg of a brain: longer than wide, flat below, with a darker core."""
    x, y, z = (np.indices(shape)[k] - shape[k] / 2 for k in range(3))
    inside = (x / 17) ** 2 + (y / 21) ** 2 + (z / 15) ** 2 < 1
    core = (x / 5) ** 2 + (y / 8) ** 2 + (z / 4) ** 2 < 1
    data = inside * (700.0 + 3 * y) - 400 * core
    return (data * (z > -11)).astype(np.float32)


def save(path: Path, data, affine=AFFINE, codes=(1, 1), qform=None, unit="mm") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(data, affine)
    image.set_sform(affine, codes[0])
    image.set_qform(affine if qform is None else qform, codes[1])
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return path


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """Run a command that must fail; its one line."""
    assert main([str(part) for part in arguments]) == 1
    said = capsys.readouterr().err.splitlines()
    lines = [line for line in said if line.startswith("ERROR ")]
    assert len(lines) == 1
    assert said[-1] == lines[0]
    return lines[0]


def done(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """Run a command that must succeed; what it said."""
    assert main([str(part) for part in arguments]) == 0
    return capsys.readouterr().err


def translated(capsys, scan, weights, *more) -> tuple[nib.Nifti1Image, str]:
    out = scan.with_name("out.nii.gz")
    said = done(capsys, "translate", "--weights", weights, "--source", scan, "--out", out, *more)
    return nib.load(out), said


def touch(top: Path, *names: str) -> Path:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"x")
    return top
