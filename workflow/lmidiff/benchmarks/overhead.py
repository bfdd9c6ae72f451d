"""What planning a study costs, beside planning a workflow of one rule: Snakemake's own start."""

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lmidiff.benchmarks.measure import run_measured
from lmidiff.common.errors import StudyError

#: Those of the recorded overhead of jobs, of which a plan has the first.
COLUMNS = ("how", "jobs", "submissions", "wall_s", "driver_cpu_s", "driver_memory_mb")
COLUMNS += ("queue_s", "held_s", "jobs_s")
EMPTY = 'rule all:\n    output:\n        "made.txt",\n    shell:\n        "touch {output}"\n'


def plans(project: Path, rounds: int, arguments: Sequence[str] = ()) -> dict[str, pd.DataFrame]:
    """Plan the empty workflow and a study in turns, so that a busy machine slows both alike.

    Args:
        project: the folder of the study's Snakefile.
        rounds: how often each is planned.
        arguments: of the study's plan, such as ``--configfile``.

    Returns:
        "empty" and "study", each a table of one row with ``COLUMNS``: medians of wall and CPU
        time, and the most memory.

    Raises:
        StudyError: a plan failed; the message has its last line.
    """
    found: dict[str, list[dict[str, object]]] = {"empty": [], "study": []}
    with tempfile.TemporaryDirectory() as empty:
        Path(empty, "Snakefile").write_text(EMPTY)
        for _ in range(rounds):
            found["empty"].append(_plan(Path(empty), ()))
            found["study"].append(_plan(project, arguments))
    return {how: _row(how, pd.DataFrame(runs)) for how, runs in found.items()}


def _row(how: str, runs: pd.DataFrame) -> pd.DataFrame:
    seconds = runs[["wall_s", "driver_cpu_s"]].median().round(2).to_dict()
    memory = {"driver_memory_mb": round(runs["driver_memory_mb"].max())}
    row = {"how": how, "jobs": runs["jobs"].iloc[0], **seconds, **memory}
    return pd.DataFrame([row]).reindex(columns=list(COLUMNS))


def _plan(folder: Path, arguments: Sequence[str]) -> dict[str, object]:
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", *arguments]
    used, text = run_measured(command, folder=folder)
    jobs = re.search(r"^total +(\d+)", text, re.MULTILINE)
    if not jobs:
        raise StudyError(f"benchmark of planning in {folder}: it named no count of jobs")
    return {
        "jobs": int(jobs[1]),
        "wall_s": used["seconds"],
        "driver_cpu_s": used["cpu_seconds"],
        "driver_memory_mb": used["memory_mb"],
    }
