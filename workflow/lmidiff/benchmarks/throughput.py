"""Training and translation by batch size, precision and memory layout, and the LMI's share."""

import itertools
from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch

from lmidiff.benchmarks.cases import step
from lmidiff.benchmarks.measure import NO_GPU, interleaved, timed_lmi
from lmidiff.benchmarks.names import MEASURED, PHASES
from lmidiff.common.devices import describe

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
    steps = [step(config, settings["model"], cell, device) for cell in cells]
    times = interleaved(dict(enumerate(steps)), settings["rounds"], device)
    rows = []
    for number, (cell, call) in enumerate(zip(cells, steps, strict=True)):
        with timed_lmi(device) as lmi:
            call()
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
