"""Whatever installs the study installs the same versions: venv, conda, container, cluster."""

import importlib.metadata
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ENVS = ROOT / "envs"
PIN = re.compile(r"([A-Za-z0-9_.-]+)==([A-Za-z0-9_.+-]+)")


def name_of(text: str) -> str:
    """A distribution's name as packaging compares it."""
    return re.sub(r"[-_.]+", "-", text).lower()


def pins(lock: str) -> dict[str, str]:
    """Name to version of a lock; every line must be a pin."""
    found = {}
    for line in (ENVS / lock).read_text().splitlines():
        if not line.startswith("#"):
            match = PIN.fullmatch(line)
            assert match, f"{lock}: {line!r} pins no version"
            assert name_of(match[1]) not in found, f"{lock}: {match[1]} twice"
            found[name_of(match[1])] = match[2]
    return found


def asked(file: str) -> set[str]:
    """Names that a list asks for, without those of the list it builds on."""
    lines = (ENVS / file).read_text().split("\n")
    return {
        name_of(re.split(r"[=<>\[ ]", line)[0]) for line in lines if line and line[0] not in "#-"
    }


@pytest.mark.parametrize("extra", ["", "-dev", "-hpc"])
def test_a_lock_has_all_that_its_list_asks_for(extra):
    everything = pins("requirements.lock") | pins(f"requirements{extra}.lock")
    assert asked(f"requirements{extra}.in") <= set(everything)


def test_snakemake_can_write_its_report_without_the_tools_for_developers():
    # It imports these when a report is asked for, and does not depend on them.
    assert {"pygments", "jinja2"} <= set(pins("requirements.lock"))


@pytest.mark.parametrize("extra", ["-dev", "-hpc"])
def test_an_additional_lock_builds_on_the_first_and_repins_nothing(extra):
    assert "-r requirements.in" in (ENVS / f"requirements{extra}.in").read_text()
    assert not set(pins("requirements.lock")) & set(pins(f"requirements{extra}.lock"))


@pytest.mark.parametrize("extra", ["", "-hpc"])
def test_what_runs_here_is_what_is_locked(extra):
    for name, version in pins(f"requirements{extra}.lock").items():
        try:
            here = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if extra:
                pytest.skip(f"{name} is not installed (make env-hpc)")
            raise
        # A build for one device differs in its local part alone: 2.13.0+cpu.
        assert here.split("+")[0] == version, name


def test_conda_installs_the_lock():
    environment = yaml.safe_load((ENVS / "environment.yaml").read_text())
    *plain, last = environment["dependencies"]
    assert plain == ["python=3.11", "pip"]
    assert last == {"pip": ["-r requirements.lock"]}


def test_the_container_installs_the_locks_and_nothing_else():
    text = (ENVS / "apptainer.def").read_text()
    copied = dict(re.findall(r"^ +(envs/\S+\.lock) (\S+)$", text, re.MULTILINE))
    installs = re.findall(r"pip install (.*)", text)
    assert len(installs) == 1
    lists = re.findall(r"-r (\S+)", installs[0])
    assert [copied[f"envs/{Path(path).name}"] for path in lists] == lists
    assert {Path(path).name for path in lists} == {"requirements.lock", "requirements-hpc.lock"}
    words = re.sub(r"-r \S+", "", installs[0]).split()
    assert words == ["--no-cache-dir"], "installs more than the locks"


def test_all_name_one_python():
    texts = {
        "apptainer.def": r"From: python:(\d+\.\d+)",
        "environment.yaml": r"python=(\d+\.\d+)",
        "../Makefile": r"PYTHON \?= python(\d+\.\d+)",
        "../pyproject.toml": r'requires-python = ">=(\d+\.\d+)"',
    }
    found = {name: re.search(what, (ENVS / name).read_text())[1] for name, what in texts.items()}
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize("name", ["apptainer.def", "environment.yaml"])
def test_what_was_not_built_says_so(name):
    assert "Status: not built" in (ENVS / name).read_text()
