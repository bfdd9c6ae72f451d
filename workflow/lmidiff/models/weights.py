"""Published weights: a safetensors file with the config and the learning curve beside it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lmidiff.common.errors import StudyError
from lmidiff.common.files import atomic, sha256_of, write_json, write_text
from lmidiff.data.training_data import TrainingData

NOT_IN_STATE = ("processes", "checkpoint_every", "checkpoint_minutes")


def publish(path: Path, weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write ``weights`` to ``path`` and ``config`` to config.json beside it, atomically each."""
    write_json(path.parent / "config.json", config)
    with atomic(path) as temporary:
        save_file(dict(weights), temporary)


def write_curve(curve: pd.DataFrame, path: str | Path) -> None:
    """Write a learning curve: step, seconds, rate and losses."""
    write_text(path, curve.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        StudyError: it is missing, cut short or foreign, or a number in it is not finite.
    """
    if not path.is_file():
        raise StudyError(f"{path}: no such weights; train the model first")
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise StudyError(f"{path}: not a readable safetensors file ({error})") from error
    for name, values in weights.items():
        try:
            finite = bool(torch.isfinite(values).all())
        except RuntimeError as error:
            kind = str(values.dtype).removeprefix("torch.")
            raise StudyError(
                f"{path}: {name} is stored as {kind}, which cannot be computed with; store it as "
                "float32 or bfloat16"
            ) from error
        if not finite:
            raise StudyError(
                f"{path}: {name} holds NaN or infinite numbers; take the file from the study "
                "again, or train the model again"
            )
    return weights


def state_folder(
    root: Path, settings: Mapping[str, Any], data: TrainingData, code: Sequence[str]
) -> Path:
    """Where a model's checkpoints live: named by a hash of settings, data and code.

    It is no output of a rule, because Snakemake deletes the outputs of a failed job. Studies
    share it, so a study that trains on the same images finds the finished state of another. How
    many processes train and when they save is left out: a run may go on with more or fewer.
    """
    settings = dict(settings)
    if "training" in settings:
        kept = {k: v for k, v in settings["training"].items() if k not in NOT_IN_STATE}
        settings["training"] = kept
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(data.digest().encode())
    digest.update(sha256_of(code).encode())
    return root / digest.hexdigest()[:16]
