"""Train a model here, or in several processes of this machine that torchrun starts and guards."""

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pandas as pd
import torch
from torch import Tensor

from lmidiff.common.errors import Interrupted, StudyError
from lmidiff.data.training_data import TrainingData
from lmidiff.models import family_module, family_of
from lmidiff.training.ranks import LIFELINE
from lmidiff.training.stopping import BY_LAUNCHER, StopRequest

logger = logging.getLogger("lmidiff")
PACKAGE = Path(__file__).parents[2]

MARK = "\x1elmidiff\x1f"
"""Before a line of a process that is meant for the log, followed by the level."""
KEPT = 60
"""Other lines, kept in case that something fails."""


def train_model(
    settings: Mapping[str, Any],
    data: TrainingData,
    state: Path,
    devices: Sequence[torch.device],
    name: str,
    threads: int,
) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """Train a model on its devices, a process for each, and return what its family returns.

    Args:
        settings: the model's block, complete.
        data: what training may see.
        state: folder of checkpoints.
        devices: one a process.
        name: of the model, for the log.
        threads: of each process.

    Raises:
        StudyError: the family trains in one process only, or a process failed.
        Interrupted: training was asked to stop and left a checkpoint.
    """
    family = family_module(settings["family"])
    if len(devices) > 1:
        if not family_of(settings["family"]).parallel:
            raise StudyError(
                f"config: models.{name}.training.processes is {len(devices)}, but family "
                f"{settings['family']} trains in one process only"
            )
        task = {
            "family": family.__name__,
            "settings": settings,
            "files": {role: [str(path) for path in paths] for role, paths in data.files.items()},
            "state": str(state),
            "devices": [str(device) for device in devices],
            "name": name,
            "threads": threads,
        }
        _run_together(task, len(devices))
    # After several processes the state is finished, and gives its weights without a step.
    return family.fit(settings, data, state, devices[0], name)


def _run_together(task: Mapping[str, Any], processes: int) -> None:
    with tempfile.TemporaryDirectory(prefix="lmidiff-") as scratch, StopRequest() as stop:
        file = Path(scratch) / "task.json"
        file.write_text(json.dumps(task))
        run = subprocess.Popen(
            _command(processes, file),
            env=_environment(),
            stdin=subprocess.PIPE,  # the lifeline: what is launched stops when it ends
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for this process, which passes it on
        )
        said: deque[str] = deque(maxlen=KEPT)
        reader = threading.Thread(target=_relay, args=(run.stdout, said), daemon=True)
        reader.start()
        try:
            while run.poll() is None:
                if stop and not run.stdin.closed:
                    run.stdin.close()
                time.sleep(0.1)
        finally:
            if run.poll() is None:
                run.terminate()
                run.wait()
            reader.join(timeout=5)
        outcome = Path(scratch) / "outcome.json"
        if stop and run.returncode and not outcome.exists():
            raise Interrupted(f"{task['name']}: asked to stop ({stop.reason}) before a step")
        _judge(outcome, run.returncode, said, processes, stop.reason)


def _command(processes: int, task: Path) -> list[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*torchrun, f"--nproc-per-node={processes}", "-m", "lmidiff.models.worker", str(task)]


def _environment() -> dict[str, str]:
    # One machine: the processes meet on its loopback, so no node's network has to be set up.
    paths = os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH")]))
    own = {"PYTHONPATH": paths, LIFELINE: "0", "PYTHONUNBUFFERED": "1"}
    return {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", **os.environ, **own}


def _relay(stream: IO[str], said: deque[str]) -> None:
    for line in stream:
        _, found, message = line.rstrip("\n").partition(MARK)
        if found:
            level, _, text = message.partition(" ")
            logger.log(int(level), text)
        else:
            said.append(line.rstrip("\n"))


def _judge(
    outcome: Path, status: int, said: Sequence[str], processes: int, reason: str | None
) -> None:
    """Raise what the first process that had something to say said; nothing if all ended well."""
    found = json.loads(outcome.read_text()) if outcome.exists() else {}
    if "stopped" in found:
        raise Interrupted(found["stopped"].replace(BY_LAUNCHER, reason or BY_LAUNCHER))
    if "error" in found:
        raise StudyError(found["error"])
    if status == 0:
        return
    for line in said:
        logger.info("| %s", line)
    raise StudyError(
        found.get("lost")
        or f"training: one of {processes} processes ended with no word (status {status}); "
        "what they printed stands above"
    )
