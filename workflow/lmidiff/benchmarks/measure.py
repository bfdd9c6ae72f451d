"""How the benchmarks measure: interleaved rounds, peak memory, the share of the LMI."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from lmidiff import guidance
from lmidiff.benchmarks import launch
from lmidiff.common.errors import StudyError
from lmidiff.lmi import reference as lmi_reference
from lmidiff.study.models import merge

#: A round of a fast function repeats it for about this long, in seconds.
ROUND_SECONDS = 0.02
NO_GPU = "not run: no GPU"


def load_settings(path: str | Path, quick: bool = False) -> dict[str, Any]:
    """The benchmarks' settings; ``quick``, or the file's key of that name, makes them small."""
    settings = yaml.safe_load(Path(path).read_text())
    small = settings.pop("quick_settings")
    return merge(settings, small) if settings.pop("quick") or quick else settings


def load_config(*paths: str | Path) -> dict[str, Any]:
    """A config and overlays laid over it, as Snakemake does."""
    config: dict[str, Any] = {}
    for path in paths:
        config = merge(config, yaml.safe_load(Path(path).read_text()))
    return config


def interleaved(
    functions: Mapping[str, Callable[[], object]],
    rounds: int,
    device: torch.device,
) -> pd.DataFrame:
    """Time functions in turns, A B A B, so that a busy machine slows all of them alike.

    Each runs once beforehand, untimed.

    Returns:
        A row a round, a column a function: seconds a call.
    """
    calls = {}
    for name, function in functions.items():
        function()
        calls[name] = max(1, int(ROUND_SECONDS / max(_seconds(function, 1, device), 1e-6)))
    rows = [
        {name: _seconds(f, calls[name], device) / calls[name] for name, f in functions.items()}
        for _ in range(rounds)
    ]
    return pd.DataFrame(rows)


def _seconds(function: Callable[[], object], calls: int, device: torch.device) -> float:
    synchronize(device)
    begin = time.perf_counter()
    for _ in range(calls):
        function()
    synchronize(device)
    return time.perf_counter() - begin


def synchronize(device: torch.device) -> None:
    """Wait for a GPU; a CPU has nothing to wait for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def one_block(active: bool = True) -> Iterator[None]:
    """Let ``reference`` work on an image at once, as the authors' code lays it out."""
    kept = lmi_reference.BLOCK_CPU, lmi_reference.BLOCK_CUDA
    if active:
        lmi_reference.BLOCK_CPU = lmi_reference.BLOCK_CUDA = sys.maxsize
    try:
        yield
    finally:
        lmi_reference.BLOCK_CPU, lmi_reference.BLOCK_CUDA = kept


@contextmanager
def timed_lmi(device: torch.device) -> Iterator[list[float]]:
    """Collect the seconds of every LMI map that a model computes meanwhile."""
    seconds: list[float] = []
    plain = guidance.local_mutual_information

    def timed(*args: Any, **options: Any) -> torch.Tensor:
        synchronize(device)
        begin = time.perf_counter()
        lmi = plain(*args, **options)
        synchronize(device)
        seconds.append(time.perf_counter() - begin)
        return lmi

    guidance.local_mutual_information = timed
    try:
        yield seconds
    finally:
        guidance.local_mutual_information = plain


def run_alone(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a module in a process of its own; returns what it printed.

    Args:
        module, arguments: what ``python -m`` gets.
        environment: variables that this process does not have.

    Raises:
        StudyError: the process failed; the message has its last line.
    """
    package = str(Path(__file__).parents[2])
    run = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": package, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise _failed(f"{module}, {' '.join(arguments)}", run.stderr, run.returncode)
    return run.stdout


def _failed(what: str, said: str, status: int) -> StudyError:
    last = (said.strip().splitlines() or [f"exit status {status}"])[-1]
    return StudyError(f"benchmark of {what}: {last}")


def run_measured(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
) -> tuple[dict[str, float], str]:
    """Run a command to its end, in a folder, and measure its process.

    Args:
        command: the program and its arguments.
        environment: variables that this process does not have.
        folder: where it runs; here, if none is given.

    Returns:
        ``seconds`` and ``cpu_seconds``, ``memory_mb``, the most that it had resident; and what it
        printed to both streams.

    Raises:
        StudyError: it failed; the message has its last line.
    """
    with tempfile.TemporaryDirectory() as beside:
        used = Path(beside, "used.json")
        run = subprocess.run(
            [sys.executable, "-I", launch.__file__, str(used), *command],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if run.returncode:
            raise _failed(" ".join(command[1:]), run.stdout, run.returncode)
        return json.loads(used.read_text()), run.stdout


def peak_mb(function: Callable[[], object]) -> float:
    """Peak resident memory of this process during a call, above that before it, in MB.

    Not a number where /proc does not tell. Linux only.
    """
    try:
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        function()
        return (_status("VmHWM") - before) / 1024
    except OSError:
        return float("nan")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(field)))
