"""One of the processes that train a model together; :mod:`lmidiff.models.launch` starts it."""

import datetime
import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from lmidiff.common.devices import set_up
from lmidiff.common.errors import Interrupted, StudyError
from lmidiff.data.training_data import TrainingData
from lmidiff.models.launch import MARK

logger = logging.getLogger("lmidiff")

PATIENCE = datetime.timedelta(minutes=30)
"""How long a process waits for the others, for example while one writes a checkpoint."""


def main(task: Path) -> int:
    """Train as one of the processes of a task; returns the exit status.

    What ended the training goes to ``outcome.json`` beside the task, from the first process that
    has something to say: the others then fail only because that one has left.
    """
    _log_to_launcher()
    number = int(os.environ["RANK"])
    try:
        _train(json.loads(task.read_text()), number)
    except Interrupted as stop:
        _say(task, {"stopped": str(stop)})
    except StudyError as error:
        _say(task, {"error": str(error)})
        return 1
    except Exception as error:  # whatever it is, the launcher should say it in one line
        traceback.print_exc()
        reason = (str(error).splitlines() or [""])[0]
        lost = any(word in str(error).lower() for word in ("gloo", "nccl", "peer"))
        what = "lost another one" if lost else "failed"
        text = f"training: process {number} {what} ({type(error).__name__}: {reason[:200]})"
        _say(task, {"lost": text})
        return 1
    return 0


def _train(task: Mapping[str, Any], number: int) -> None:
    set_up(task["threads"])
    device = torch.device(task["devices"][number])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    family = import_module(task["family"])
    data = TrainingData(task["files"], frozenset(task["files"]))
    family.fit(task["settings"], data, Path(task["state"]), device, task["name"])
    dist.destroy_process_group()


def _say(task: Path, outcome: Mapping[str, str]) -> None:
    try:
        with open(task.parent / "outcome.json", "x") as stream:
            json.dump(outcome, stream)
    except FileExistsError:
        pass  # another process was first


def _log_to_launcher() -> None:
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(f"{MARK}%(levelno)s %(message)s"))
    logger.addHandler(handler)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
