"""Untrained models for timing: a network's speed does not depend on its weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lmidiff.benchmarks.lmi import image
from lmidiff.common.settings import settings_of
from lmidiff.models.diffusion import DiffusionModel
from lmidiff.options import Sampling
from lmidiff.study.models import merge


def model_settings(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A diffusion model's block of a config, complete with the defaults and the seed."""
    block = merge(config["model_defaults"], config["models"][name])
    block["training"] = {"seed": config["seed"], **block["training"]}
    return block


def sampling_settings(config: Mapping[str, Any], method: str) -> Sampling:
    """The sampler's settings of a method of a config."""
    own = ("method", "label", "model", "tune")
    block = {k: v for k, v in config["methods"][method].items() if k not in own}
    return settings_of(Sampling, merge(config["sampling"], block), f"methods.{method}")


def build(settings: Mapping[str, Any], device: torch.device) -> DiffusionModel:
    """A model with random weights."""
    return DiffusionModel(settings, device)


def slices(count: int, size: int, device: torch.device) -> Tensor:
    """Random smooth slices (count, 1, size, size) in 0..1."""
    return torch.cat([image(size, seed) for seed in range(count)]).to(device)


def parameters(model: DiffusionModel) -> float:
    """Parameters of the network, in millions."""
    return sum(p.numel() for p in model.network.parameters()) / 1e6
