"""The study on a real Slurm cluster: what docs/cluster.md says of it was seen here, or says not."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import SMALL, Driver, has_plugin, overlay
from slurmlab import SlurmLab, why_not
from workflows import copy_project, run

pytestmark = pytest.mark.study

# One short training.
LONG = {
    **SMALL,
    "rows": ["sdedit"],
    "model_defaults": {"training": {"steps": 100, "checkpoint_every": 10, "log_every": 10}},
}
WEIGHTS = "results/small/models/unconditional/weights.safetensors"
VOLUME = "results/small/volumes/sub-01/sub-01_T1w.nii.gz"
ONLY_TRAINING = ("--allowed-rules", "train_model", "--rerun-triggers", "mtime")


@pytest.fixture(scope="module")
def lab() -> Iterator[SlurmLab]:
    """A cluster of one node without a network."""
    reason = why_not() or ("" if has_plugin() else "Snakemake's Slurm plugin: make env-hpc")
    if reason:
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:  # munge refuses pytest's
        cluster = SlurmLab(Path(folder))
        cluster.start()
        yield cluster
        cluster.stop()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the volumes of the small study."""
    folder = copy_project(tmp_path_factory.mktemp("small") / "a project")
    run(folder, VOLUME, *overlay(folder, SMALL))
    return folder


def with_data(small: Path, folder: Path) -> Path:
    """A project whose volumes are there already."""
    copy_project(folder)
    for part in ("raw", "volumes"):
        shutil.copytree(small / "results/small" / part, folder / "results/small" / part)
    return folder


def test_a_job_that_no_node_can_hold_is_refused_at_once(lab, small, tmp_path) -> None:
    folder = with_data(small, tmp_path / "project")
    arguments = (*overlay(folder, LONG), *ONLY_TRAINING, "--slurm-jobname-prefix", "huge")
    asked = ("--set-resources", "train_model:mem_mb=900000000", "--retries", "0")
    printed = Driver(lab, folder, WEIGHTS, *arguments, *asked).finish(ok=False)
    refusals = [line for line in printed.splitlines() if "sbatch failed" in line]
    assert len(refusals) == 1, printed
    assert "Memory specification can not be satisfied" in printed
    assert "Traceback" not in printed
    assert {job.state for job in lab.jobs("huge")} <= {"FAILED"}
