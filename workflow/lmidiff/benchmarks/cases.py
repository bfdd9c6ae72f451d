"""Untrained models for timing: a network's speed does not depend on its weights."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lmidiff.benchmarks.lmi import image
from lmidiff.benchmarks.names import SAMPLING
from lmidiff.common.settings import settings_of
from lmidiff.guidance import static_maps
from lmidiff.models.diffusion import DiffusionModel
from lmidiff.options import Sampling
from lmidiff.study.models import merge
from lmidiff.study.rows import OWN_KEYS
from lmidiff.training.learner import TrainingSettings
from lmidiff.training.loop import LossLearner


def model_settings(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A diffusion model's block of a config, complete with the defaults and the seed."""
    block = merge(config["model_defaults"], config["models"][name])
    block["training"] = {"seed": config["seed"], **block["training"]}
    return block


def sampling_settings(config: Mapping[str, Any], method: str) -> Sampling:
    """The sampler's settings of a method of a config."""
    block = {k: v for k, v in config["methods"][method].items() if k not in OWN_KEYS}
    return settings_of(Sampling, merge(config["sampling"], block), f"methods.{method}")


def slices(count: int, size: int, device: torch.device) -> Tensor:
    """Random smooth slices (count, 1, size, size) in 0..1."""
    return torch.cat([image(size, seed) for seed in range(count)]).to(device)


def step(
    config: Mapping[str, Any], name: str, cell: Mapping[str, Any], device: torch.device
) -> Callable[[], object]:
    """A function that takes one step of a model when called: of training, or of sampling.

    Args:
        config: of a study, for the model and the image's size.
        name: the model.
        cell: ``phase``, one of :data:`lmidiff.benchmarks.names.PHASES`; ``batch``, ``precision``,
            ``channels_last``, ``compiled``.
        device: where.
    """
    block = model_settings(config, name)
    size, batch = config["data"]["grid"]["image_size"], cell["batch"]
    block["training"] = {
        **block["training"],
        "batch_size": batch,
        "precision": cell["precision"],
    }
    model = DiffusionModel(block, device)
    if cell["channels_last"]:
        model.network.to(memory_format=torch.channels_last)
    if cell["compiled"]:
        model.network.compile()
    images = slices(batch, size, device)
    if cell["phase"] == SAMPLING:
        model.network.eval().requires_grad_(False)
        denoise = model.denoiser(images, cell["precision"])
        x, t = torch.randn_like(images), len(model.schedule) // 2
        return torch.no_grad()(lambda: denoise(x, t))
    generator = torch.Generator().manual_seed(1)
    # As training does: maps of images that no contrast changes are computed once.
    static = static_maps(images, model.guidance) if model.contrast is None else None
    learner = LossLearner(
        model.network,
        lambda g: model.loss(images, static, g),
        TrainingSettings(**block["training"]),
        device,
    )
    return lambda: learner.step(generator)


def parameters(model: DiffusionModel) -> float:
    """Parameters of the network, in millions."""
    return sum(p.numel() for p in model.network.parameters()) / 1e6
