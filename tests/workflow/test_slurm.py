"""The study on a real Slurm cluster, which breaks in the ways that clusters do.

The training that meets its time limit runs beside the other tests: its minute is mostly waiting.
"""

import re
import shutil
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from clusters import SCORES, SMALL, Driver, has_plugin, long_test, overlay, training_in
from lmidiff.benchmarks.measure import load_config
from lmidiff.data.training_data import ROLES, TrainingData
from lmidiff.models import family_module
from lmidiff.study.study import Study
from slurmlab import SlurmLab, why_not
from workflows import copy_project, metrics, orphans, run

pytestmark = pytest.mark.variant

STEPS = 200
# One training, long enough to be stopped on the way.
LONG = {
    **SMALL,
    "rows": ["sdedit"],
    "model_defaults": {"training": {"steps": STEPS, "checkpoint_every": 10, "log_every": 10}},
}
WEIGHTS = "results/small/models/unconditional/weights.safetensors"
UNFINISHED = ("PENDING", "RUNNING", "COMPLETING")
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


def with_data(small: Path, folder: Path) -> Path:
    """A project whose volumes are there already."""
    copy_project(folder)
    for part in ("raw", "volumes"):
        shutil.copytree(small / "results/small" / part, folder / "results/small" / part)
    return folder


@dataclass
class Overtime:
    """A training that is held up until its time limit."""

    folder: Path
    driver: Driver
    holder: threading.Thread


@pytest.fixture(scope="module")
def overtime(
    lab: SlurmLab, small: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Overtime]:
    """Started before all tests, looked at by the last."""
    folder = with_data(small, tmp_path_factory.mktemp("overtime") / "project")
    arguments = (*overlay(folder, LONG), *ONLY_TRAINING, "--slurm-jobname-prefix", "overtime")
    driver = Driver(lab, folder, WEIGHTS, *arguments)

    def hold_up() -> None:
        driver.wait_for(lambda: any((folder / "results/.state").glob("*/checkpoint.pt")))
        # A process that stands still reaches its limit without taking the tests' time.
        for process in training_in(folder):
            process.send_signal(signal.SIGSTOP)
        # A minute is the least that Slurm knows; on a slow machine, it may take that to begin.
        lab.run("scontrol", "update", f"JobId={lab.jobs('overtime')[0].id}", "TimeLimit=1")

    holder = threading.Thread(target=hold_up)
    holder.start()
    yield Overtime(folder, driver, holder)
    if driver.process.poll() is None:
        driver.kill()


@pytest.fixture(scope="module", autouse=True)
def _begin_overtime(request: pytest.FixtureRequest) -> None:
    if any("overtime" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("overtime")


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


def test_a_gpu_job_goes_to_the_gpu_partition_and_sees_its_device(lab, small, tmp_path) -> None:
    folder = with_data(small, tmp_path / "project")
    arguments = overlay(folder, {**LONG, "device": "cuda"})
    arguments += (*ONLY_TRAINING, "--slurm-jobname-prefix", "gpu", "--retries", "0")
    # The cluster's GPU is /dev/null: the job starts beside it, and must say so.
    Driver(lab, folder, WEIGHTS, *arguments).finish(ok=False)
    (job,) = lab.jobs("gpu")
    assert job.partition == "gpu"
    assert "gres:gpu:1" in lab.run("scontrol", "show", "job", job.id)
    log = (folder / "results/small/logs/train/unconditional.log").read_text()
    assert re.search(r"CUDA_VISIBLE_DEVICES=[01]\b", log), log


def test_a_job_out_of_memory_is_tried_again_with_more(lab, small, tmp_path) -> None:
    folder = with_data(small, tmp_path / "project")
    # As if the recorded costs were a seventh of what they are: too little from its first imports,
    # so that the cluster, which looks once a second, cannot miss it.
    costs = pd.read_csv(folder / "config/costs.csv")
    costs["megabytes"] *= 0.15
    costs.to_csv(folder / "config/costs.csv", index=False)
    arguments = (*overlay(folder, LONG), "--rerun-triggers", "mtime")
    arguments += ("--allowed-rules", "train_segmenter", "--slurm-jobname-prefix", "memory")
    Driver(lab, folder, "results/small/models/kmeans/kmeans.json", *arguments).finish()
    *killed, last = lab.jobs("memory")
    assert killed
    assert {job.state for job in killed} <= {"OUT_OF_MEMORY", "FAILED", "CANCELLED"}
    kept = list((folder / ".snakemake/slurm_logs").rglob("*.log"))
    assert len(kept) == len(killed)
    assert all("exceeded memory limit" in log.read_text() for log in kept)
    assert last.state == "COMPLETED"
    asked = [int(job.memory.removesuffix("M")) for job in (*killed, last)]
    # Twice, three times ... the first request, each rounded up by itself.
    for attempt, memory_mb in enumerate(asked, start=1):
        assert 0 <= asked[0] * attempt - memory_mb < attempt


def test_killed_driver_recovered_without_network_gives_the_same_bytes(lab, small, tmp_path) -> None:
    folder = copy_project(tmp_path / "project")
    arguments = (SCORES, *overlay(folder, SMALL), "--slurm-jobname-prefix", "small")
    if lab.isolated:
        assert "unreachable" in lab.run("bash", "-c", "echo > /dev/tcp/198.51.100.1/80")
    driver = Driver(lab, folder, *arguments)

    def holds_training_alone() -> bool:
        for process in training_in(folder):
            process.send_signal(signal.SIGSTOP)
        if "train_segmenter)" not in driver.printed or len(training_in(folder)) != 1:
            return False
        return [j.state for j in lab.jobs("small") if j.state in UNFINISHED] == ["RUNNING"]

    driver.wait_for(holds_training_alone)
    driver.kill()
    done_before = {job.comment for job in lab.jobs("small") if job.state == "COMPLETED"}
    assert len(done_before) >= 2  # the data, and what has no network

    # What docs/cluster.md says under "After a crash".
    recovered = lab.run("workflow/profiles/slurm/cancel.sh", "small", folder=folder)
    assert re.fullmatch(r"cancelled: \d+\n", recovered), recovered
    run(folder, *arguments[:-2], "--unlock")
    Driver(lab, folder, *arguments).finish()

    assert metrics(folder, "small") == metrics(small, "small")
    assert orphans(folder) == []
    jobs = lab.jobs("small")
    completed = Counter(job.comment for job in jobs if job.state == "COMPLETED")
    assert set(completed.values()) == {1}, "a job was done twice"
    assert done_before < set(completed)
    assert {job.cores for job in jobs} == {"1"}  # of a group too: its jobs take turns
    cancelled = [job for job in jobs if job.state == "CANCELLED"]
    assert len(cancelled) == 1
    assert cancelled[0].comment in completed
    if not lab.isolated:
        pytest.skip("all held but this: the cluster could not be cut off the network here")


@long_test
def test_the_smoke_study_gives_the_bytes_of_a_local_run(lab, finished, tmp_path) -> None:
    folder = copy_project(tmp_path / "project")
    scores = "results/smoke/metrics.csv"
    arguments = (scores, *overlay(folder, {"device": "cpu"}), "--slurm-jobname-prefix", "smoke")
    Driver(lab, folder, *arguments).finish(seconds=1800)
    assert metrics(folder, "smoke") == metrics(finished, "smoke")
    assert orphans(folder) == []
    done = Counter((job.comment, job.state) for job in lab.jobs("smoke"))
    assert {state for _, state in done} == {"COMPLETED"}
    print(f"{len(lab.jobs('smoke'))} submissions")


def test_a_training_over_its_time_limit_goes_on_and_ends_the_same(
    lab: SlurmLab, overtime: Overtime, tmp_path: Path
) -> None:
    overtime.driver.finish()
    overtime.holder.join()
    folder = overtime.folder
    first, second = lab.jobs("overtime")
    assert (first.state, second.state) == ("TIMEOUT", "COMPLETED")
    assert first.limit == "1:00"
    (killed,) = (folder / ".snakemake/slurm_logs").rglob("*.log")  # of the job that failed
    stopped = re.search(r"asked to stop \(SIGTERM\) at step (\d+) of", killed.read_text())
    log = (folder / "results/small/logs/train/unconditional.log").read_text()
    assert f"resumes at step {stopped[1]} of {STEPS}" in log
    curve = pd.read_csv(folder / Path(WEIGHTS).parent / "curve.csv")
    assert list(curve["step"]) == list(range(10, STEPS + 1, 10))

    files = ("config/config.yaml", "config/smoke.yaml", "part.yaml")
    study = Study(load_config(*(folder / file for file in files)))
    files = study.models.files("unconditional")
    handed = {role: [str(folder / f) for f in files.get(role, [])] for role in ROLES}
    data = TrainingData(handed, study.models.needs("unconditional"))
    settings = study.models.settings("unconditional")
    family = family_module(settings["family"])
    weights, _ = family.fit(settings, data, tmp_path, torch.device("cpu"), "uninterrupted")
    published = load_file(folder / WEIGHTS)
    assert set(published) == set(weights)
    for name, value in weights.items():
        assert torch.equal(published[name], value), name
