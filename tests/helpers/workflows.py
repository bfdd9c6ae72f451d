"""Helpers of the tests that run Snakemake: a copy of the project, a run, a dry run and its jobs."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
SMOKE = ("--configfile", "config/smoke.yaml")


@dataclass(frozen=True)
class Job:
    """A job of a dry run."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def data(self) -> set[str]:
        """Inputs that are not code."""
        return {path for path in self.inputs if not path.endswith(".py")}


def copy_project(folder: Path) -> Path:
    """Everything a study needs, and no results."""
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "Snakefile", folder)
    for part in ("workflow", "config", "envs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    return folder


def command(*arguments: str) -> list[str]:
    """Snakemake on two cores."""
    return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]


def environment() -> dict[str, str]:
    """One thread a process, so that numbers do not depend on the machine's cores."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}


def run(folder: Path, *arguments: str, ok: bool | None = True) -> str:
    """Run Snakemake in a copy of the project; returns what it printed.

    Args:
        folder: the copy.
        *arguments: of the command line.
        ok: whether it must succeed, or None for either.
    """
    done = subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2400,
        check=False,
    )
    if ok is not None:
        assert (done.returncode == 0) is ok, done.stdout[-6000:]
    return done.stdout


def jobs_of(printed: str) -> list[Job]:
    """The jobs of a dry run; those of a group are indented."""
    jobs = []
    for block in re.split(r"\n(?= *(?:local)?rule [\w-]+:\n)", "\n" + printed)[1:]:
        first, *lines = block.split("\n")
        rule = re.fullmatch(r" *(?:local)?rule ([\w-]+):", first)[1]
        margin = len(first) - len(first.lstrip()) + 4
        fields = {}
        for line in lines:
            found = re.fullmatch(rf" {{{margin}}}(input|output): (.*)", line)
            if found:
                fields[found[1]] = tuple(found[2].split(", "))
            elif not line.startswith(" " * margin):
                break
        jobs.append(Job(rule, fields.get("input", ()), fields.get("output", ())))
    return jobs


def planned(folder: Path, *arguments: str) -> list[Job]:
    """The jobs that Snakemake would run."""
    return jobs_of(run(folder, "-n", *arguments))


def planned_on_cluster(folder: Path, *arguments: str) -> str:
    """A dry run with the profile, less what needs the plugin."""
    profile = yaml.safe_load((folder / "workflow/profiles/slurm/config.yaml").read_text())
    plain = {k: v for k, v in profile.items() if not k.startswith("slurm") and k != "executor"}
    plain["default-resources"]["gpu_type"] = "a100"
    path = folder / "workflow/profiles/plain/config.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(plain))
    return run(folder, "-n", *arguments, "--profile", str(path.parent))


def counted(printed: str) -> tuple[int, ...]:
    """What `make plan` counts in a dry run: jobs, those here, those of the cluster, submissions."""
    count = ROOT / "workflow/profiles/count.awk"
    said = subprocess.run(
        ["awk", "-f", str(count)], input=printed, capture_output=True, text=True, check=True
    ).stdout
    return tuple(int(word) for word in said.splitlines()[-1].split() if word.isdigit())


def metrics(folder: Path, study: str) -> bytes:
    """The study's metrics.csv."""
    return (folder / "results" / study / "metrics.csv").read_bytes()


def orphans(folder: Path) -> list[Path]:
    """Temporaries that a killed writer left."""
    return sorted((folder / "results").rglob(".tmp-*"))
