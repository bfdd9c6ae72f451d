"""From a method's block of the config and its model's weights to a method ready to translate."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lmidiff.methods import make
from lmidiff.methods.base import Method
from lmidiff.models import family_module
from lmidiff.models.weights import read_weights


def build_method(
    block: Mapping[str, Any],
    tuned: Mapping[str, Any],
    weights: Sequence[str],
    seed: int,
    device: torch.device,
) -> Method:
    """Build a method.

    Args:
        block: see :meth:`lmidiff.study.rows.Rows.block`.
        tuned: settings chosen on validation subjects; they override the block's.
        weights: the model's safetensors file, or nothing for a method without a model.
        seed: the study's.
        device: where to translate.
    """
    model = None
    if block["family"]:
        model = family_module(block["family"]).load(
            block["model"], read_weights(Path(weights[0])), device
        )
    return make(block["name"], {**block["settings"], **tuned}, model, seed)
