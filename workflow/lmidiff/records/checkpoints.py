"""Trained models taken over instead of trained: recorded ones, or a user's own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from lmidiff.common.errors import StudyError
from lmidiff.common.files import atomic
from lmidiff.models.weights import publish, read_weights

WEIGHTS = "weights.safetensors"
SMALL_BYTES = 100_000
"""Weights up to this size are kept as they are: half precision would save nothing."""
LARGEST_BYTES = 10_000_000
"""Weights that are larger in half precision are not kept in a repository."""


def halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights with every float32 tensor in half precision."""
    return {k: v.half() if v.dtype == torch.float32 else v for k, v in weights.items()}


def whole(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights with every half-precision tensor in float32, as networks run them."""
    return {k: v.float() if v.dtype == torch.float16 else v for k, v in weights.items()}


def keep_weights(folder: Path, goal: Path) -> list[str]:
    """Copy a study's weights to a record, in half precision where that is smaller.

    Args:
        folder: the study's; its models are under ``models/<model>/``.
        goal: the record's.

    Returns:
        Models whose weights are too large to keep.
    """
    left = []
    for path in sorted(folder.glob(f"models/*/{WEIGHTS}")):
        weights = read_weights(path)
        if path.stat().st_size > SMALL_BYTES:
            weights = halved(weights)
        if sum(v.numel() * v.element_size() for v in weights.values()) > LARGEST_BYTES:
            left.append(path.parent.name)
            continue
        with atomic(goal / path.relative_to(folder)) as temporary:
            save_file(weights, temporary)
    return left


def missing_weights(models: list[str], folder: str | Path) -> list[str]:
    """Models of a study whose weights the folder does not hold."""
    return [name for name in models if not (Path(folder) / "models" / name / WEIGHTS).is_file()]


def take_model(path: Path, settings: Mapping[str, Any], output: Path) -> None:
    """Publish trained weights as a study's own, in float32, if they are of the same model.

    How a model was trained may differ, what it is may not.

    Args:
        path: the weights; ``config.json`` beside them says what was trained.
        settings: the model's settings in this study.
        output: where this study expects the weights.

    Raises:
        StudyError: the weights or their config cannot be read, or the config differs.
    """
    weights = whole(read_weights(path))
    beside = path.parent / "config.json"
    try:
        found = json.loads(beside.read_text())
    except (OSError, ValueError) as error:
        raise StudyError(f"{beside}: not a readable model config ({error})") from error
    ours = json.loads(json.dumps(dict(settings)))
    for key in sorted((set(ours) | set(found)) - {"training", "device", "data"}):
        if ours.get(key) != found.get(key):
            raise StudyError(
                f"{beside}: {key} is {found.get(key)}, but this study's config has "
                f"{ours.get(key)}; use the config the model was trained with"
            )
    publish(output, weights, {**found, "taken_from": str(path)})
