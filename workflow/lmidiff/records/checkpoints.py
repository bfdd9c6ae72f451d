"""Trained models taken over instead of trained: recorded ones, or a user's own."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from lmidiff.common.errors import StudyError
from lmidiff.common.files import atomic
from lmidiff.models.weights import publish, read_weights
from lmidiff.records.served import WEIGHTS

SMALL_BYTES = 100_000
"""Weights up to this size are kept as they are: half precision would save nothing."""
MOST_BYTES = 4_000_000
"""What a record's weights may hold together, unless it is said which of them are kept."""


HOW_TRAINED = {"training", "objective", "contrast", "device", "data"}
"""Keys of a model's config that its weights depend on, and nothing that is done with them."""


def halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights with every float32 tensor in half precision."""
    return {k: v.half() if v.dtype == torch.float32 else v for k, v in weights.items()}


def whole(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights with every half-precision tensor in float32, as networks run them."""
    return {k: v.float() if v.dtype == torch.float16 else v for k, v in weights.items()}


def keep_weights(folder: Path, goal: Path, models: Sequence[str] | None = None) -> list[str]:
    """Copy a study's weights to a record, in half precision where that is smaller.

    A repository is cloned whole, and a clone has no use for every model: ``make from-checkpoints``
    makes the rows of those that are kept.

    Args:
        folder: the study's; its models are under ``models/<model>/``.
        goal: the record's.
        models: which to keep; by default the smallest, as many as ``MOST_BYTES`` hold.

    Returns:
        Models whose weights are not kept.

    Raises:
        StudyError: a model that is named has no weights.
    """
    found = {path.parent.name: path for path in sorted(folder.glob(f"models/*/{WEIGHTS}"))}
    for name in models or ():
        if name not in found:
            raise StudyError(f"{folder / 'models' / name / WEIGHTS}: no such weights to keep")
    ready = {name: _small(path) for name, path in found.items()}
    sizes = {name: sum(v.nbytes for v in weights.values()) for name, weights in ready.items()}
    kept, held = [], 0
    for name in sorted(found, key=sizes.__getitem__):
        held += sizes[name]
        wanted = held <= MOST_BYTES if models is None else name in models
        if wanted:
            kept.append(name)
            with atomic(goal / found[name].relative_to(folder)) as temporary:
                save_file(ready[name], temporary)
    return [name for name in found if name not in kept]


def _small(path: Path) -> dict[str, Tensor]:
    weights = read_weights(path)
    return halved(weights) if path.stat().st_size > SMALL_BYTES else weights


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
    for key in sorted((set(ours) | set(found)) - HOW_TRAINED):
        if ours.get(key) != found.get(key):
            raise StudyError(
                f"{beside}: {key} is {found.get(key)}, but this study's config has "
                f"{ours.get(key)}; use the config the model was trained with"
            )
    publish(output, weights, {**found, "taken_from": str(path)})
