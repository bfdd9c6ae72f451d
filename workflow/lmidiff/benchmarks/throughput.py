"""Training and translation by batch size, precision and memory layout, and the LMI's share."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import torch

from lmidiff.benchmarks.cases import build, model_settings, slices
from lmidiff.benchmarks.measure import NO_GPU, interleaved, timed_lmi
from lmidiff.benchmarks.names import MEASURED, PHASES
from lmidiff.common.devices import describe
from lmidiff.guidance import static_maps
from lmidiff.training.learner import TrainingSettings
from lmidiff.training.loop import LossLearner

COLUMNS = (
    "phase",
    "batch",
    "precision",
    "channels_last",
    "compiled",
    "seconds_per_step",
    "slices_per_second",
    "lmi_share",
    "rounds",
    "status",
    "device",
)


DEVICES = ("cpu", "cuda")
"""Both are measured; "cuda" where there is none gives rows that say so."""


def benchmark(
    settings: Mapping[str, Any], _: torch.device, config: Mapping[str, Any], *__: Mapping[str, Any]
) -> pd.DataFrame:
    """Time steps of the model named by ``settings`` at the config's image size.

    Args:
        config: of the default study.
        settings: ``model``, ``batches``, ``precisions``, ``channels_last``, ``rounds``, and
            ``compile``, whether torch.compile is tried.

    Returns:
        One row a combination, ``COLUMNS``; seconds are medians over interleaved rounds.
    """
    rows = []
    for device, compiled in itertools.product(DEVICES, (False, True)):
        reason = _why_not(device, compiled, settings["compile"])
        for batch in settings["batches"]:
            keys = list(itertools.product(settings["precisions"], settings["channels_last"]))
            for phase in PHASES:
                base = {"phase": phase, "batch": batch, "compiled": compiled}
                cells = [
                    {**base, "precision": precision, "channels_last": last}
                    for precision, last in keys
                ]
                if reason:
                    rows += [{**cell, "status": reason, "device": device} for cell in cells]
                else:
                    rows += _measure(config, settings, cells, torch.device(device))
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS))


def _why_not(device: str, compiled: bool, wanted: bool) -> str | None:
    if device == "cuda" and not torch.cuda.is_available():
        return NO_GPU
    if compiled and not wanted:
        return "not run: torch.compile is off in the settings"
    if compiled and not _can_compile():
        return "not run: no compiler"
    return None


def _can_compile() -> bool:
    try:
        torch.compile(lambda x: x + 1)(torch.ones(2))
    except Exception:  # whatever a compiler that is not there raises
        return False
    return True


def _measure(
    config: Mapping[str, Any],
    settings: Mapping[str, Any],
    cells: list[dict[str, Any]],
    device: torch.device,
) -> list[dict[str, Any]]:
    steps = [_step(config, settings["model"], cell, device) for cell in cells]
    times = interleaved(dict(enumerate(steps)), settings["rounds"], device)
    rows = []
    for number, (cell, step) in enumerate(zip(cells, steps, strict=True)):
        with timed_lmi(device) as lmi:
            step()
        seconds = times[number].median()
        rows.append(
            {
                **cell,
                "seconds_per_step": seconds,
                "slices_per_second": cell["batch"] / seconds,
                "lmi_share": min(sum(lmi) / seconds, 1.0),
                "rounds": settings["rounds"],
                "status": MEASURED,
                "device": describe(device),
            }
        )
    return rows


def _step(
    config: Mapping[str, Any], name: str, cell: Mapping[str, Any], device: torch.device
) -> Callable[[], object]:
    block = model_settings(config, name)
    size, batch = config["data"]["grid"]["image_size"], cell["batch"]
    block["training"] = {
        **block["training"],
        "batch_size": batch,
        "precision": cell["precision"],
    }
    model = build(block, device)
    if cell["channels_last"]:
        model.network.to(memory_format=torch.channels_last)
    if cell["compiled"]:
        model.network.compile()
    images = slices(batch, size, device)
    if cell["phase"] == "sampling step":
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
