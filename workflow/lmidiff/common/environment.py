"""The environment of this process, which a study's jobs inherit."""

import os
import sys
from pathlib import Path

from lmidiff.common.cards import PROMISE


def share_package(folder: Path) -> None:
    """Let child processes import the package from ``folder``, wherever the project lies.

    Snakemake starts scripts with the path of its own interpreter unquoted, which a space in a
    folder's name breaks; then the interpreter is called by its name and found on PATH.
    """
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), before]))
    if " " in sys.executable:
        interpreter = Path(sys.executable)
        os.environ["PATH"] = f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}"
        sys.executable = interpreter.name


def own_backend() -> None:
    """Let matplotlib draw into files, in this process and its children.

    A notebook's MPLBACKEND may name what is not installed here, and then matplotlib cannot even be
    imported.
    """
    os.environ["MPLBACKEND"] = "Agg"


def promise_gpus() -> None:
    """Tell the jobs that they were promised what GPUs they ask for, so that none runs without."""
    os.environ[PROMISE] = "promised"
