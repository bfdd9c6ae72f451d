"""Drawing images of the target from noise alone, for the model families that can."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lmidiff.common.seeds import seed_of
from lmidiff.common.settings import settings_of
from lmidiff.models import family_module
from lmidiff.options import Sampling

CHUNK = 32


@torch.no_grad()
def draw(
    settings: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    sampling: Mapping[str, Any],
    count: int,
    size: tuple[int, int],
    seed: int,
    device: torch.device,
) -> Tensor:
    """Draw images from a trained unconditional model.

    Args:
        settings: the model's, see :meth:`lmidiff.study.models.Models.settings`.
        weights: what its family trained.
        sampling: the sampler of a diffusion model; each image is one draw, not a mean.
        count: number of images; image i depends on ``seed`` and i alone.
        size: (height, width) in pixels.
        seed: the study's.
        device: where to draw.

    Returns:
        (count, 1, H, W) in 0..1 on the CPU.
    """
    model = family_module(settings["family"]).load(settings, weights, device)
    images = []
    for first in range(0, count, CHUNK):
        numbers = range(first, min(first + CHUNK, count))
        if settings["family"] == "stylegan":
            images.append(model.sample([seed_of(seed, "sample", each) for each in numbers]).cpu())
            continue
        chosen = settings_of(Sampling, {**sampling, "draws": 1}, "sampling")
        empty = torch.zeros(len(numbers), 1, *size, device=device)
        ids = [("sample", each) for each in numbers]
        denoise = model.denoiser(empty, chosen.precision)
        images.append(model.sample(denoise, chosen, empty, ids, seed)[0].cpu())
    return torch.cat(images)
