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
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

NO_SLURM = "not run: no Slurm"
TOO_MANY = "not run"
STUDY = "plan of the default study"
COLUMNS = (
    "executor",
    "jobs",
    "submissions",
    "wall_s",
    "driver_cpu_s",
    "driver_memory_mb",
    "queue_s",
    "held_s",
    "jobs_s",
    "note",
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
    shell:
        "echo $EPOCHREALTIME > {{output}}; echo $EPOCHREALTIME >> {{output}}"
"""
SLURM = (
    "--executor=slurm",
    "--jobs=50",
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=1",
    "--seconds-between-status-checks=1",
    "--group-components",
)


def benchmark_overhead(
    jobs: int, settings: Mapping[str, Any], cores: int, project: Path
) -> pd.DataFrame:
    """Run workflows of jobs that do nothing, and plan the default study.

    Args:
        jobs: how many.
        settings: ``group``, jobs a group; ``alone_up_to``, the most that are sent to the cluster
            one by one.
        cores: jobs side by side on this machine.
        project: where the study's Snakefile is.

    Returns:
        A row an executor: jobs; submissions to a cluster; wall time; CPU seconds and the largest
        resident memory (MB) of the driver, with what it started on this machine; seconds in the
        queue and seconds that the cluster's cores were held, summed over submissions; seconds
        that the jobs themselves took, summed; and a note on what was not run.
    """
    local = ["--cores", str(cores)]
    # The study's Snakemake imports its package, which the one of the empty jobs does not.
    wall, cpu, memory, said = _run(["--dry-run", *local, "--quiet", "rules"], project)
    study = {"executor": STUDY, "jobs": int(re.findall(r"total +(\d+)", said)[-1])}
    rows = [study | _driver(wall, cpu, memory)]
    rows.append(_measure("plan", jobs, None, ["--dry-run", *local]))
    rows.append(_measure("local", jobs, None, local))
    for name, group in (("slurm, alone", None), ("slurm, grouped", settings["group"])):
        if not shutil.which("sbatch"):
            rows.append({"executor": name, "jobs": jobs, "note": NO_SLURM})
        elif group is None and jobs > settings["alone_up_to"]:
            rows.append({"executor": name, "jobs": jobs, "note": TOO_MANY})
        else:
            rows.append(_measure(name, jobs, group, [*SLURM, f"nothing={group or 1}", *local]))
    return pd.DataFrame(rows, columns=COLUMNS)


def _measure(name: str, jobs: int, group: int | None, options: Sequence[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=".", prefix="overhead-") as folder:
        root = Path(folder).absolute()
        text = SNAKEFILE.format(jobs=jobs, group='"nothing"' if group else "None")
        (root / "Snakefile").write_text(text)
        wall, cpu, memory, _ = _run([*options, "--quiet", "rules", "host", "progress"], root)
        files = list((root / "done").glob("*"))
        stamps = [[float(stamp) for stamp in file.read_text().split()] for file in files]
        row = {"executor": name, "jobs": jobs, **_driver(wall, cpu, memory)}
        if name != "plan":
            row["jobs_s"] = round(sum(end - begin for begin, end in stamps), 3)
        if name.startswith("slurm"):
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
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *options],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"snakemake {' '.join(options)}: {said[-2000:]}")
    wall = time.perf_counter() - begin
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said


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
