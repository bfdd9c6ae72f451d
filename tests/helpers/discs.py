"""A StyleGAN2 of discs, trained for a few seconds, that several files of tests share."""

import tempfile
from functools import cache
from pathlib import Path

import torch

from lmidiff.data.nifti import write_nifti
from lmidiff.data.training_data import TrainingData
from lmidiff.models import FAMILIES, stylegan

CPU = torch.device("cpu")
SMALL = {"channels": [8, 6, 4], "latent": 8, "mapping_layers": 2}
TRAINING = {
    "batch_size": 4,
    "learning_rate": 2e-3,
    "warmup": 2,
    "checkpoint_every": 4,
    "log_every": 4,
}


def discs(count=8, size=16):
    """Discs of random place and brightness in air."""
    generator = torch.Generator().manual_seed(1)
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    centre = size / 2 - 2 + 3 * torch.rand(count, 2, 1, 1, generator=generator)
    far = (row - centre[:, :1]) ** 2 + (column - centre[:, 1:]) ** 2
    bright = 0.4 + 0.5 * torch.rand(count, 1, 1, 1, generator=generator)
    return (far < (size / 4) ** 2).float() * bright


@cache
def trained_on_discs():
    """Settings, weights and learning curve of a generator of discs."""
    torch.set_num_threads(1)  # fixtures of a module come before the one that does so for tests
    settings = {
        "family": "stylegan",
        "stylegan": {**SMALL, "channels": [16, 12, 8], "r1": 0.2},
        "training": {
            **TRAINING,
            "steps": 150,
            "batch_size": 8,
            "learning_rate": 4e-3,
            "ema": 0.98,
            "checkpoint_every": 150,
        },
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "sub-01_T1w.nii.gz"
        write_nifti(path, discs(24)[:, 0].permute(1, 2, 0).numpy(), torch.eye(4).numpy())
        data = TrainingData({"target": [path]}, FAMILIES["stylegan"].needs)
        return settings, *stylegan.fit(settings, data, folder / "state", CPU, "stylegan")
