"""What running jobs costs besides the jobs: Snakemake's own time and memory, and the scheduler's.

The jobs do nothing but note when they began and ended. They are planned only, run on this
machine, and sent to a Slurm cluster, alone and in groups.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from lmidiff.common.errors import StudyError

HOW = {
    "study": "plan of the default study",
    "plan": "plan",
    "local": "one machine",
    "alone": "Slurm, one by one",
    "grouped": "Slurm, in groups",
}
COLUMNS = (
    "how",
    "jobs",
    "submissions",
    "wall_s",
    "driver_cpu_s",
    "driver_memory_mb",
    "queue_s",
    "held_s",
    "jobs_s",
)

SNAKEFILE = """\
rule all:
    input:
        expand("done/{{n}}", n=range({jobs})),

rule nothing:
    output:
        "done/{{n}}",
    group:
        {group}
    resources:
        mem_mb=500,
        runtime=1,
        turn=1,
    shell:
        "echo $EPOCHREALTIME > {{output}}; echo $EPOCHREALTIME >> {{output}}"
"""
SLURM = (
    "--executor=slurm",
    "--jobs=50",
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=1",
    "--seconds-between-status-checks=1",
    "--resources=turn=1",  # as in the profile
    "--set-resource-scopes=turn=local",
    "--group-components",
)


def benchmark_overhead(how: str, jobs: int, group: int, cores: int, project: Path) -> pd.DataFrame:
    """Run a workflow of jobs that do nothing, or plan the default study.

    Args:
        how: a key of :data:`HOW`.
        jobs: how many; the default study has its own.
        group: jobs a group on the cluster.
        cores: jobs side by side on this machine.
        project: where the study's Snakefile is.

    Returns:
        One row: how; jobs; submissions to a cluster; wall time; CPU seconds and the largest
        resident memory (MB) of the driver, the CPU with what it started here; seconds in the
        queue and seconds that the cluster's cores were held, summed over submissions; seconds
        that the jobs themselves took, summed.

    Raises:
        StudyError: Snakemake failed, or there is no Slurm.
    """
    local = ["--cores", str(cores)]
    if how == "study":
        # Its Snakemake imports the study's package, which that of the empty jobs does not.
        wall, cpu, memory, said = _run(["--dry-run", *local, "--quiet", "rules"], project)
        jobs = int(re.findall(r"total +(\d+)", said)[-1])
        row = {"how": how, "jobs": jobs} | _driver(wall, cpu, memory)
    elif how in ("plan", "local"):
        row = _measure(how, jobs, None, [*local, *(["--dry-run"] if how == "plan" else [])])
    elif not shutil.which("sbatch"):
        raise StudyError("benchmark of overhead: no Slurm here (sbatch)")
    else:
        together = group if how == "grouped" else None
        options = [*SLURM, f"nothing={together or 1}", *local]
        row = _measure(how, jobs, together, options)
    return pd.DataFrame([row], columns=COLUMNS)


def _measure(how: str, jobs: int, group: int | None, options: Sequence[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=".", prefix="overhead-") as folder:
        root = Path(folder).absolute()
        text = SNAKEFILE.format(jobs=jobs, group='"nothing"' if group else "None")
        (root / "Snakefile").write_text(text)
        wall, cpu, memory, _ = _run([*options, "--quiet", "rules", "host", "progress"], root)
        files = list((root / "done").glob("*"))
        stamps = [[float(stamp) for stamp in file.read_text().split()] for file in files]
        row = {"how": how, "jobs": jobs, **_driver(wall, cpu, memory)}
        if how != "plan":
            row["jobs_s"] = round(sum(end - begin for begin, end in stamps), 3)
        if how in ("alone", "grouped"):
            row |= _queue(root)
        return row


def _driver(wall: float, cpu: float, memory: float) -> dict[str, float]:
    return {
        "wall_s": round(wall, 2),
        "driver_cpu_s": round(cpu, 2),
        "driver_memory_mb": round(memory),
    }


def _run(options: Sequence[str], folder: Path) -> tuple[float, float, float, str]:
    """Wall and CPU seconds, and MB, of Snakemake and of what it started; what it printed."""
    # A Snakemake around this one has its package on the path; the measured one should not.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with tempfile.TemporaryFile("w+") as output:
        begin = time.perf_counter()
        process = psutil.Popen(
            [sys.executable, "-m", "snakemake", *options],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        # The kernel's own maximum would count what this process held when it started that one.
        memory = 0
        while process.status() != psutil.STATUS_ZOMBIE:
            memory = max(memory, process.memory_info().rss)
            time.sleep(0.05)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        output.seek(0)
        said = output.read()
    if status:
        reason = said.strip().replace("\n", " ")[-500:]
        raise StudyError(f"benchmark of overhead: snakemake {' '.join(options)}: {reason}")
    return wall, usage.ru_utime + usage.ru_stime, memory / 2**20, said


def _queue(folder: Path) -> dict[str, float]:
    """What the scheduler remembers of the jobs that were sent from a folder."""
    asked = "%Z|%V|%S|%e"  # working directory, submitted, started, ended
    table = subprocess.run(
        ["squeue", "--states=all", "--noheader", "--format", asked],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [line.split("|") for line in table.splitlines() if line.split("|")[0] == str(folder)]
    times = [[datetime.fromisoformat(stamp) for stamp in row[1:]] for row in rows]
    return {
        "submissions": len(times),
        "queue_s": sum((start - sent).total_seconds() for sent, start, _ in times),
        "held_s": sum((end - start).total_seconds() for _, start, end in times),
    }
