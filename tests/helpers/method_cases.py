"""Tiny untrained models of every family, brains to hand them, and methods built on them."""

import numpy as np
import torch

from lmidiff.data.nifti import write_nifti
from lmidiff.methods import make, method_of
from lmidiff.models import cyclegan, diffusion, histogram, regression, stylegan
from lmidiff.networks.cyclegan import Generator

CPU = torch.device("cpu")
SIZE = 16
AFFINE = np.array([[-3.0, 0, 0, 20], [0, 3.0, 0.2, -31], [0, -0.2, 4.0, 7], [0, 0, 0, 1]])
FAST = {"sampler": "ddim", "steps": 3, "draws": 2}
OWN = {"stylegan": {"candidates": 8, "steps": 3, "scales": [1]}}


def brains(count=6, seed=0):
    """Slices with air around a disc of random tissue."""
    generator = torch.Generator().manual_seed(seed)
    row, column = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    disc = ((row - 7.5) ** 2 + (column - 7.5) ** 2 < 40).float()
    return disc * (0.05 + 0.95 * torch.rand(count, 1, SIZE, SIZE, generator=generator))


SOURCE = brains()
IDS = [("sub-01", 0), ("sub-01", 1), ("sub-01", 2), ("sub-02", 0), ("sub-03", 0), ("sub-03", 1)]
SUBJECTS = [[0, 1, 2], [3], [4, 5]]
MEASURED = histogram.measure(brains(seed=9).square())
TARGET = histogram.TargetIntensities(**MEASURED)


def model_settings(condition="both", **changes):
    return {
        "family": "diffusion",
        "diffusion": {},
        "guidance": {"condition": condition},
        "contrast": {},
        "unet": {
            "channels": [8, 8],
            "attention": [False, True],
            "groups": 4,
            "head_channels": 8,
        },
        "training": {"batch_size": 4, "steps": 4, "warmup": 2, "precision": "float32"},
        **changes,
    }


def loud_weights(settings):
    """Random weights; MONAI's last layer starts at 0, and so would every output be."""
    network = diffusion.DiffusionModel(settings, CPU).network
    generator = torch.Generator().manual_seed(4)
    return {
        name: value + 0.15 * torch.randn(value.shape, generator=generator)
        for name, value in network.state_dict().items()
    }


def travelling():
    """The target's intensities as they travel with a network's weights."""
    return {f"{histogram.PREFIX}{name}": value for name, value in MEASURED.items()}


def untrained_models() -> dict:
    """What each family loads, by condition or family."""
    made = {None: None, "histogram": TARGET}
    for condition in ("none", "both", "self", "image", "edges", "frequency"):
        settings = model_settings(condition)
        weights = {**loud_weights(settings), **travelling()}
        made[condition] = diffusion.load(settings, weights, CPU)
    for family in ("regression", "supervised", "synthetic"):
        settings = {**model_settings(), "family": family}
        made[family] = regression.RegressionModel(settings, CPU)
        made[family].target = TARGET
    torch.manual_seed(4)
    made["cyclegan"] = cyclegan.load({}, Generator(16, 1, 4).state_dict(), CPU)
    small = stylegan.StyleGANSettings(channels=(8, 6, 4), latent=8, mapping_layers=1)
    made["stylegan"] = stylegan.StyleGANModel(stylegan.generator_of(small, (4, 4)))
    return made


WHICH = {
    "sdedit": "none",
    "sdedit_inverted": "none",
    "ilvr": "none",
    "fgdm": "frequency",
    "lmidiffusion": "both",
    "lmidiffusion_cr": "self",
    "lmidiffusion_grad": "none",
    "image_cr": "image",
    "edges": "edges",
    "self_consistent": "self",
}


def method(models, name, seed=1, **settings):
    which = WHICH.get(name, method_of(name).family)
    block = {**(FAST if name in WHICH else OWN.get(name, {})), **settings}
    return make(name, block, models[which], seed)


def write(path, stack):
    """Slices (Z, 1, X, Y) as a NIfTI volume."""
    write_nifti(path, stack[:, 0].permute(1, 2, 0).numpy(), AFFINE)
    return path
