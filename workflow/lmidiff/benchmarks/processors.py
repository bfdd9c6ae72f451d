"""A step of training and of sampling on lesser processors, which this one is made to play.

The libraries under torch take the widest instructions of a processor; told not to, they run as on
one that lacks them. A process is told once, so each measurement is a process of its own.
"""

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch

from lmidiff.benchmarks.cases import model_settings, step
from lmidiff.benchmarks.measure import run_alone
from lmidiff.benchmarks.names import MEASURED, PHASES
from lmidiff.common.devices import describe, set_up
from lmidiff.sampler import resolve_precision

THIS = "this processor"
PROCESSORS = {
    THIS: {},
    "AVX-512, no bfloat16": {
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "ATEN_CPU_CAPABILITY": "avx512",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
    },
    "AVX2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
}
"""What is told to the libraries. Only the first may use bfloat16, if it has units for it."""

HAS = {"AVX512": ("avx512", "avx2"), "AVX2": ("avx2",)}
"""What a processor can play, by what torch calls its own instructions."""

COLUMNS = ("processor", "phase", "model", "batch", "precision", "instructions")
COLUMNS += ("seconds_per_step", "times_this_processor", "rounds", "status", "device")


def benchmark(
    settings: Mapping[str, Any], _: torch.device, config: Mapping[str, Any], *__: Mapping[str, Any]
) -> pd.DataFrame:
    """Time the steps of a model at the config's image and batch size, processors in turns.

    Args:
        settings: ``model``; ``rounds``, in each of which every processor has a process; ``steps``
            that it times of each phase.
        config: of the default study.

    Returns:
        One row a processor and phase, ``COLUMNS``; seconds are medians over rounds. Where this
        processor lacks another's instructions, or the libraries ran with others, that row is
        marked as not run.

    Raises:
        StudyError: a process failed.
    """
    task = {
        "config": {key: config[key] for key in ("data", "model_defaults", "models", "seed")},
        "model": settings["model"],
        "steps": settings["steps"],
        "threads": torch.get_num_threads(),
    }
    rounds = [
        {**found, "processor": name}
        for _ in range(settings["rounds"])
        for name, told in PROCESSORS.items()
        for found in _alone(task, name, told)
    ]
    return _summary(pd.DataFrame(rounds), settings["rounds"])


def _alone(task: Mapping[str, Any], name: str, told: Mapping[str, str]) -> list[dict[str, Any]]:
    own = {**task, "precision": "auto" if name == THIS else "float32"}
    # Told to use instructions that a processor lacks, torch does, and dies of it.
    found = json.loads(run_alone(__name__, json.dumps(own), environment=playable(told)))
    wanted = told.get("ATEN_CPU_CAPABILITY", found[0]["instructions"])
    lacking = found[0]["instructions"].lower() != wanted.lower()
    status = f"not run: no {wanted} here" if lacking else MEASURED
    return [{**row, "status": status} for row in found]


def playable(told: Mapping[str, str]) -> Mapping[str, str]:
    """What is told to the libraries, nothing where this processor lacks the instructions."""
    wanted = told.get("ATEN_CPU_CAPABILITY")
    return told if wanted in HAS.get(torch.backends.cpu.get_cpu_capability(), ()) else {}


def _summary(rounds: pd.DataFrame, count: int) -> pd.DataFrame:
    keys = ["processor", "phase", "model", "batch", "precision", "instructions", "status"]
    rows = rounds.groupby(keys, sort=False)["seconds_per_step"].median().reset_index()
    rows.loc[rows["status"] != MEASURED, "seconds_per_step"] = float("nan")
    whole = rows[rows["processor"] == THIS].set_index("phase")["seconds_per_step"]
    rows["times_this_processor"] = rows["seconds_per_step"] / rows["phase"].map(whole)
    rows["rounds"], rows["device"] = count, describe(torch.device("cpu"))
    return rows.reindex(columns=list(COLUMNS))


def measure(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Seconds a step in this process, a row a phase; see :func:`benchmark` for the task."""
    set_up(task["threads"])
    cpu = torch.device("cpu")
    settings = model_settings(task["config"], task["model"])
    base = {
        "batch": settings["training"]["batch_size"],
        "precision": resolve_precision(task["precision"], cpu),
        "channels_last": False,
        "compiled": False,
    }
    rows = []
    for phase in PHASES:
        call = step(task["config"], task["model"], {**base, "phase": phase}, cpu)
        call()
        begin = time.perf_counter()
        for _ in range(task["steps"]):
            call()
        rows.append(
            {
                "phase": phase,
                "model": task["model"],
                "batch": base["batch"],
                "precision": base["precision"],
                "instructions": torch.backends.cpu.get_cpu_capability(),
                "seconds_per_step": (time.perf_counter() - begin) / task["steps"],
            }
        )
    return rows


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
