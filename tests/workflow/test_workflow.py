"""The study end to end, through the real command line, in a folder with a space in its name."""

import csv
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from lmidiff.evaluation.published import NETWORKS
from meshnets import publish
from shells import PDW, T1W, shells, write_shells
from workflows import (
    SMOKE,
    command,
    copy_project,
    environment,
    metrics,
    orphans,
    planned,
    run,
)

pytestmark = pytest.mark.study

NOTHING = "Nothing to be done"
COLUMNS = ["study", "method", "source", "target", "subject", "seed", "region", "metric", "value"]
METHODS = {
    "source",
    "histogram",
    "inverted_histogram",
    "lookup",
    "cyclegan",
    "cyclegan_unseen",
    "sdedit",
    "sdedit_inverted",
    "stylegan",
    "ilvr",
    "fgdm",
    "lmidiffusion",
    "lmidiffusion_cr",
    "image_cr",
    "edges",
    "self_consistent",
    "cr_regression",
    "cr_regression_consistent",
    "synth_regression",
    "supervised",
    "oracle",
}

# One diffusion model, one source: what the tests below run again and again.
SMALL = {
    "study": "small",
    "data": {"sources": ["PDw"]},
    "model_defaults": {"training": {"steps": 60, "checkpoint_every": 5}},
    "rows": ["source", "lmidiffusion", "oracle"],
}
# No network at all.
CHEAP = {
    "study": "cheap",
    "data": {
        "sources": ["PDw"],
        "cohorts": {"simulated": {"subjects": {"train": 0, "val": 0, "test": 0}}},
    },
    "rows": ["source", "histogram", "oracle"],
}


def overlay(folder: Path, settings: dict, *more: str) -> tuple[str, ...]:
    """Arguments that lay ``settings`` over the smoke study."""
    name = f"{settings['study']}.yaml"
    (folder / name).write_text(yaml.safe_dump(settings))
    return (*SMOKE, name, *more)


def images(folder: Path, study: str) -> dict[str, np.ndarray]:
    """Every translated volume by method, source and file name."""
    root = folder / "results" / study / "translations"
    return {
        f"{path.parts[-4]}/{path.parts[-3]}/{path.name}": np.asarray(nib.load(path).dataobj)
        for path in sorted(root.rglob("*.nii.gz"))
    }


# -- what is promised -----------------------------------------------------------------------------


def test_every_promised_file_is_there(finished: Path) -> None:
    results = finished / "results" / "smoke"
    promised = [
        *(f"table1.{kind}" for kind in ("csv", "md", "tex")),
        *(
            f"figures/{name}.{kind}"
            for name in ("figure2", "scores", "curves")
            for kind in ("png", "pdf")
        ),
        *(
            f"models/{model}/{file}"
            for model in (
                "histogram",
                "cyclegan_PDw",
                "cyclegan_T2w",
                "unconditional",
                "lmidiffusion",
                "lmidiffusion_cr",
            )
            for file in ("weights.safetensors", "config.json", "curve.csv")
        ),
        *(
            f"volumes/sub-0{n}/sub-0{n}_{suffix}.nii.gz"
            for n in range(1, 7)
            for suffix in ("T1w", "PDw", "T2w", "dseg", "desc-brain_mask")
        ),
        *(
            "slices.csv",
            "verdicts.csv",
            "verdict_parts.csv",
            "comparisons.csv",
            "gap.csv",
            "report.md",
            "record/cost.csv",
            "record/provenance.json",
            "record/config.yaml",
            "models/kmeans/kmeans.json",
        ),
    ]
    for name in promised:
        assert (results / name).stat().st_size > 0, name
    with open(results / "metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == COLUMNS
    assert {row["method"] for row in rows} == METHODS
    assert {row["source"] for row in rows} == {"PDw", "T2w"}
    assert {row["subject"] for row in rows} == {"sub-05", "sub-06"}
    assert {row["study"] for row in rows} == {"smoke"}
    assert orphans(finished) == []


def test_the_table_has_the_cost_of_every_row(finished: Path) -> None:
    with open(finished / "results" / "smoke" / "table1.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        trained = row["method"] not in ("source", "lookup", "oracle")
        assert (float(row["training_seconds"]) > 0) is trained, row
        # A job starts in seconds, so a slice of its six costs a good part of one.
        assert 0 < float(row["translation_seconds"]) < 100, row


def test_the_record_names_data_weights_code_and_versions(finished: Path) -> None:
    folder = finished / "results" / "smoke" / "record"
    record = json.loads((folder / "provenance.json").read_text())
    assert {"data", "weights", "metrics"} <= set(record["files"])
    assert {"config_sha256", "code_sha256", "versions", "device"} <= set(record)
    assert yaml.safe_load((folder / "config.yaml").read_text())["study"] == "smoke"


def test_a_second_run_does_nothing(finished: Path) -> None:
    assert NOTHING in run(finished, *SMOKE)


def test_editing_code_reruns_what_depends_on_it_and_nothing_else(finished: Path) -> None:
    package = finished / "workflow" / "lmidiff"

    def rules_after_editing(path: Path) -> tuple[set[str], str]:
        before = path.read_text() if path.exists() else None
        stat = path.stat() if path.exists() else None
        path.write_text((before or "").replace('"""', '"""Edited. ', 1) + "\n")
        jobs = planned(finished, *SMOKE)
        if before is None:
            path.unlink()
        else:
            path.write_text(before)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        outputs = " ".join(output for job in jobs for output in job.outputs)
        return {job.rule for job in jobs}, outputs

    rules, _ = rules_after_editing(package / "figures" / "scores.py")
    assert {"plot_scores", "plot_curves"} <= rules <= {"plot_scores", "plot_curves", "all"}
    rules, outputs = rules_after_editing(package / "lmi" / "__init__.py")
    assert {"train_model", "translate", "score"} <= rules
    assert not {"simulate_simulated", "preprocess_simulated", "train_segmenter"} & rules
    assert "models/lmidiffusion/weights" in outputs
    assert "models/histogram/weights" not in outputs
    rules, _ = rules_after_editing(package / "images" / "similarity.py")
    assert {"score", "tune_method"} <= rules
    assert "train_model" not in rules
    rules, _ = rules_after_editing(package / "evaluation" / "metrics.py")
    assert "score" in rules
    assert not {"tune_method", "translate"} & rules
    assert rules_after_editing(finished / "README.md")[0] == set()
    assert rules_after_editing(finished / "config" / "README.md")[0] == set()


@pytest.mark.parametrize(("batch_size", "subjects_per_shard"), [(4, 1), (100, 2)])
def test_shards_and_batches_do_not_change_an_image(
    finished: Path, batch_size: int, subjects_per_shard: int
) -> None:
    # The smoke study has one shard of two subjects and batches of one subject.
    before = images(finished, "smoke")
    # A second study's folder is filled with the first one's volumes and models.
    other = finished / "results" / "sharded"
    for part in ("raw", "volumes", "models", "tuning"):
        shutil.copytree(finished / "results" / "smoke" / part, other / part)
    translation = {"batch_size": batch_size, "subjects_per_shard": subjects_per_shard}
    arguments = overlay(finished, {"study": "sharded", "translation": translation})
    methods = ("lmidiffusion", "sdedit", "histogram", "source")
    folders = [
        f"results/sharded/translations/{method}/from-PDw/shard-{shard}"
        for method in methods
        for shard in range(2 // subjects_per_shard)
    ]
    try:
        only = ("--allowed-rules", "translate", "--rerun-triggers", "mtime")
        run(finished, *folders, *arguments, *only)
        after = images(finished, "sharded")
        assert len(after) == 2 * (4 + 2)  # two samplers write a spread as well
        for name, image in after.items():
            np.testing.assert_allclose(image, before[name], atol=1e-5, err_msg=name)
    finally:
        shutil.rmtree(other)


# -- twice the same, killed or not ----------------------------------------------------------------


def kill_when(folder: Path, arguments: tuple[str, ...], reached: Callable[[], bool]) -> None:
    """Start Snakemake and SIGKILL it with all its children as soon as ``reached``."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not reached():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        member.send_signal(signal.SIGSTOP)
    for member in family:
        member.kill()
    process.wait()


@pytest.mark.variant
def test_two_trainings_of_each_network_are_scored_and_compared(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "a project")
    steps = {"training": {"steps": 5, "checkpoint_every": 5}}
    twice = SMALL | {"study": "twice", "seeds": 2, "model_defaults": steps}
    twice["rows"] = ["source", "sdedit", "lmidiffusion", "oracle"]
    asked = ("results/twice/report.md", *overlay(project, twice))
    run(project, *asked)
    results = project / "results" / "twice"
    seeds: dict[str, set[str]] = {}
    for row in csv.DictReader(metrics(project, "twice").decode().splitlines()):
        seeds.setdefault(row["method"], set()).add(row["seed"])
    once, both = {"1"}, {"1", "2"}
    assert seeds == {"source": once, "oracle": once, "sdedit": both, "lmidiffusion": both}
    for name, seed in (("lmidiffusion", 1), ("lmidiffusion_seed-2", 2)):
        trained = json.loads((results / "models" / name / "config.json").read_text())
        assert trained["training"]["seed"] == seed
    drawn = images(project, "twice")
    for key, image in drawn.items():
        if key.startswith("lmidiffusion/"):
            other = drawn[key.replace("lmidiffusion/", "lmidiffusion_seed-2/")]
            assert not np.array_equal(image, other)
    with open(results / "verdicts.csv") as stream:
        verdicts = {row["claim"]: row for row in csv.DictReader(stream)}
    assert verdicts["beats_sdedit"]["trainings"] == "2"
    assert "2 trainings of each model" in (results / "report.md").read_text()
    with open(results / "table1.csv") as stream:
        assert {row["trainings"] for row in csv.DictReader(stream)} == {"1", "2"}
    assert NOTHING in run(project, *asked)


@pytest.mark.variant
def test_deleted_and_run_from_scratch_and_killed_twice_it_gives_the_same_bytes(
    tmp_path: Path,
) -> None:
    folder = copy_project(tmp_path / "a project")
    arguments = overlay(folder, SMALL)
    results = folder / "results"
    weights = results / "small" / "models" / "lmidiffusion" / "weights.safetensors"
    shard = results / "small" / "translations" / "lmidiffusion" / "from-PDw"
    run(folder, *arguments)
    before = metrics(folder, "small"), weights.read_bytes()
    shutil.rmtree(results)

    kill_when(folder, arguments, lambda: any(results.glob(".state/*/checkpoint.pt")))
    assert not weights.exists()
    assert "--unlock" in run(folder, *arguments, "--rerun-incomplete", ok=False)
    run(folder, *arguments, "--unlock")

    kill_when(folder, (*arguments, "--rerun-incomplete"), lambda: any(shard.glob(".tmp-*-shard-0")))
    log = (results / "small" / "logs" / "train" / "lmidiffusion.log").read_text()
    assert "resumes at step" in log
    assert weights.exists()
    assert not (shard / "shard-0").exists()
    assert orphans(folder)
    run(folder, *arguments, "--unlock")

    run(folder, *arguments, "--rerun-incomplete")
    assert (metrics(folder, "small"), weights.read_bytes()) == before
    assert orphans(folder) == []
    assert NOTHING in run(folder, *arguments)


# -- bad input, each with one line that says what and where ---------------------------------------


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project without results, for runs that must fail early."""
    return copy_project(tmp_path_factory.mktemp("bad") / "a project")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sede": 3}, "config: sede is not a known key"),
        ({"data": {"grid": {"image_sise": 64}}}, "config: data.grid.image_sise is not a known key"),
        (
            {"model_defaults": {"training": {"stepz": 5}}},
            "config: model_defaults.training.stepz is not a known key",
        ),
        ({"methods": {"sdedit": {"strenght": 0.5}}}, "config: methods.sdedit.strenght is not a"),
        ({"methods": {"telepathy": {}}}, "config: unknown method 'telepathy'"),
    ],
)
def test_a_bad_config_ends_before_any_job(clean: Path, settings: dict, says: str) -> None:
    printed = run(clean, *overlay(clean, {"study": "bad", **settings}), ok=False)
    errors = [line for line in printed.splitlines() if line.startswith("ERROR")]
    assert len(errors) == 1, printed
    assert says in errors[0]
    assert printed.rstrip().endswith(errors[0])
    assert "Traceback" not in printed
    assert not (clean / "results").exists()


def sheet(folder: Path, name: str, subjects: dict[str, str]) -> tuple[str, ...]:
    """A study of good synthetic scans; returns its arguments."""
    lines = ["subject\tmodality\tpath\tsplit"]
    for number, (subject, split) in enumerate(subjects.items()):
        for modality, contrast in (("T1w", T1W), ("PDw", PDW)):
            path = folder / name / f"{subject}_{modality}.nii.gz"
            write_shells(path, shells(contrast) * (1 + number / 50))
            lines.append(f"{subject}\t{modality}\t{path}\t{split}")
    (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    cohorts = {**CHEAP["data"]["cohorts"], "mine": {"kind": "sheet", "sheet": f"{name}.tsv"}}
    settings = {**CHEAP, "study": name, "data": {**CHEAP["data"], "cohorts": cohorts}}
    return overlay(folder, settings)


def test_bad_volumes_are_named_and_the_good_ones_go_on(clean: Path) -> None:
    faults = ("empty", "cut", "flat", "zero", "nan", "shape", "text")
    subjects = {f"sub-{fault}": "test" for fault in faults}
    arguments = sheet(clean, "faults", {"sub-good": "train", **subjects})
    files = {fault: clean / "faults" / f"sub-{fault}_PDw.nii.gz" for fault in faults}
    good = shells(PDW)
    files["empty"].write_bytes(b"")
    whole = files["cut"].read_bytes()
    files["cut"].write_bytes(whole[: len(whole) // 2])
    write_shells(files["flat"], good[:, :, 10])
    write_shells(files["zero"], np.zeros_like(good))
    holed = good.copy()
    holed[10, 10, 10] = np.nan
    write_shells(files["nan"], holed)
    write_shells(files["shape"], good[:, :, 2:])
    files["text"].write_text("no image\n")

    printed = run(clean, *arguments, "--keep-going", ok=False)
    assert "Traceback" not in printed
    for fault, says in {
        "empty": "the file is empty (0 bytes)",
        "cut": "the file is truncated or damaged",
        "flat": "is not 3-D",
        "zero": "every voxel is 0",
        "nan": "1 voxels are NaN or infinite",
        "shape": "is not on the grid of",
        "text": "cannot be read as NIfTI",
    }.items():
        lines = [
            line for line in printed.splitlines() if "ERROR" in line and f"sub-{fault}" in line
        ]
        assert any(says in line for line in lines), (fault, lines)
        assert not (clean / "results" / "faults" / "volumes" / f"sub-{fault}").exists() or not list(
            (clean / "results" / "faults" / "volumes" / f"sub-{fault}").iterdir()
        )
    assert len(list((clean / "results" / "faults" / "volumes" / "sub-good").iterdir())) == 3


def test_a_sheet_that_names_a_missing_file_or_splits_a_subject(clean: Path) -> None:
    arguments = sheet(clean, "lists", {"sub-a": "train", "sub-b": "test"})
    path = clean / "lists.tsv"
    good = path.read_text()
    path.write_text(good.replace("sub-b_PDw.nii.gz", "gone.nii.gz"))
    printed = run(clean, *arguments, "-n", ok=False)
    assert "lists.tsv, line 5 (sub-b): path" in printed
    assert "gone.nii.gz' is no file" in printed
    *rest, last = good.rstrip("\n").split("\n")
    path.write_text("\n".join([*rest, last.replace("\ttest", "\ttrain")]) + "\n")
    printed = run(clean, *arguments, "-n", ok=False)
    assert "lists.tsv, line 5 (sub-b): split is 'train' here and 'test' before" in printed
    assert "Traceback" not in printed


def test_ones_own_scans_need_no_network_and_no_labels(clean: Path) -> None:
    arguments = sheet(clean, "own", {"sub-a": "train", "sub-b": "test", "sub-c": "test"})
    run(clean, *arguments)
    rows = list(csv.DictReader((clean / "results/own/metrics.csv").read_text().splitlines()))
    assert {row["method"] for row in rows} == {"source", "histogram", "oracle"}
    with open(clean / "results/own/verdicts.csv", newline="") as stream:
        assert {row["verdict"] for row in csv.DictReader(stream)} == {"not run"}
    assert "No claim could be run" in (clean / "results/own/report.md").read_text()
    assert (clean / "results/own/comparisons.csv").read_text().count("\n") == 1
    assert NOTHING in run(clean, *arguments)


@pytest.mark.variant
def test_marked_lesions_are_measured_in_every_row(clean: Path) -> None:
    people = {"sub-a": "train", "sub-b": "test", "sub-c": "test"}
    arguments = sheet(clean, "marked", people)
    tissues = np.rint(np.interp(shells(T1W), [0, 200, 450, 700], [0, 1, 2, 3]))
    lesions = np.zeros(tissues.shape)
    lesions[18:22, 18:22] = 1
    write_shells(clean / "marked" / "labels.nii.gz", tissues)
    write_shells(clean / "marked" / "lesions.nii.gz", lesions)
    lines = (clean / "marked.tsv").read_text().splitlines()
    more = {"sub-b": "\tmarked/labels.nii.gz\tmarked/lesions.nii.gz"}
    told = [f"{line}{more.get(line.split()[0], chr(9) * 2)}" for line in lines[1:]]
    (clean / "marked.tsv").write_text("\n".join([lines[0] + "\tlabels\tlesions", *told]) + "\n")
    made = ("results/marked/lesions.csv", "results/marked/figures/lesions.png")
    run(clean, *made, *arguments)
    rows = list(csv.DictReader((clean / made[0]).read_text().splitlines()))
    assert {row["method"] for row in rows} == {"source", "histogram", "oracle"}
    assert {row["subject"] for row in rows} == {"sub-b"}
    assert all(int(row["pixels"]) > 0 for row in rows)
    truth = next(row for row in rows if row["method"] == "oracle")
    assert truth["contrast"] == truth["true_contrast"]
    assert (clean / made[1]).stat().st_size > 5000


@pytest.mark.variant
def test_a_network_labels_whole_brains_of_every_row(clean: Path) -> None:
    people = {"sub-a": "train", "sub-b": "test", "sub-c": "test", "sub-d": "test"}
    arguments = sheet(clean, "judged", people)
    for published in NETWORKS.values():
        model, weights = (Path(file) for file in published.files)
        publish(clean / "nets" / model.parent, weights=weights.name)
    settings = yaml.safe_load((clean / "judged.yaml").read_text())
    settings["data"] |= {"grid": {"image_size": 64, "pixel_size": 3.0}, "roots": [".", "nets"]}
    structures = {"model": "model30chan18cls", "rows": ["source", "oracle"]}
    network = {"model": "model5_gw_ae", "slices": 48, "structures": structures}
    settings["segmentation"] = {"network": network}
    (clean / "judged.yaml").write_text(yaml.safe_dump(settings))
    results = clean / "results" / "judged"
    made = [f"results/judged/{name}" for name in ("table1.csv", "figures/volumes.csv")]
    made += [f"results/judged/figures/structures.{kind}" for kind in ("csv", "png")]
    run(clean, *made, *arguments)
    rows = list(csv.DictReader((results / "metrics.csv").read_text().splitlines()))
    found = [row for row in rows if row["metric"] == "dice_net"]
    assert len(found) == 3 * 3 * 2  # rows, people, tissues
    for row in found:
        value = float(row["value"])
        assert value == 1 if row["method"] == "oracle" else 0 < value < 1
    whole = nib.load(results / "whole/volumes/sub-b/sub-b_T1w.nii.gz")
    assert whole.shape == (64, 64, 48)
    labels = nib.load(results / "whole/segmentations/true/sub-b_dseg.nii.gz")
    assert np.allclose(labels.affine, whole.affine)
    with open(results / "table1.csv", newline="") as stream:
        table = {(row["method"], row["quantity"]): row["mean"] for row in csv.DictReader(stream)}
    means = [float(r["value"]) for r in found if r["method"] == "source"]
    assert float(table["source", "dice_net_mean"]) == pytest.approx(np.mean(means), abs=2e-6)
    with open(results / "volumes.csv", newline="") as stream:
        volumes = list(csv.DictReader(stream))
    assert len(volumes) == 3 * 3 * 3
    assert all(row["ml"] == row["kmeans_ml"] for row in volumes if row["method"] == "oracle")
    with open(results / "figures/volumes.csv", newline="") as stream:
        cells = [row for row in csv.DictReader(stream) if row["method"] == "oracle"]
    # These people are one ellipsoid: nobody differs from the others.
    assert [(row["bias"], row["slope"], row["n"]) for row in cells] == [("0.000000", "", "3")] * 3
    parts = pd.read_csv(results / "structures.csv")
    assert len(parts) == 2 * 3 * 17, "rows, people, structures"
    # The small network has three labels, so only the first two structures are there.
    found = parts[parts["dice"].notna()]
    assert set(found["structure"]) == {"cerebral_white_matter", "cerebral_cortex"}
    assert found.loc[found["method"] == "oracle", "dice"].eq(1).all()
    assert found.loc[found["method"] == "source", "dice"].lt(1).all()
    assert NOTHING in run(clean, *made, *arguments)


@pytest.fixture
def small_disk(tmp_path: Path):
    """A project whose results folder is a file system of 200 kB."""
    folder = copy_project(tmp_path / "a project")
    results = folder / "results"
    results.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(results)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(results)], check=True)


@pytest.mark.variant
def test_two_runs_on_one_folder(tmp_path: Path) -> None:
    """The second is refused in words and disturbs nothing; the first ends well."""
    folder = copy_project(tmp_path / "a project")
    arguments = overlay(folder, {"study": "twice", "rows": ["source", "oracle"]})
    first = subprocess.Popen(
        command("table", *arguments),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    end = time.monotonic() + 60
    while not list((folder / ".snakemake/locks").glob("*")) and time.monotonic() < end:
        assert first.poll() is None
        time.sleep(0.05)
    printed = run(folder, "table", *arguments, "--rerun-incomplete", ok=False)
    assert "cannot be locked" in printed
    assert "--unlock" in printed
    assert "Traceback" not in printed
    said, _ = first.communicate(timeout=600)
    assert first.returncode == 0, said[-3000:]
    assert orphans(folder) == []


def test_a_full_disk_and_a_read_only_one(small_disk: Path) -> None:
    arguments = sheet(small_disk, "own", {"sub-a": "train", "sub-b": "test"})
    results = small_disk / "results"
    filler = results / "filler"
    filler.write_bytes(b"0" * 180_000)
    printed = run(small_disk, *arguments, ok=False)
    assert "cannot be written (No space left on device)" in printed, printed
    assert "Traceback" not in printed
    assert orphans(small_disk) == []
    for path in results.rglob("*.nii.gz"):
        assert np.isfinite(np.asarray(nib.load(path).dataobj)).all()
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(results)], check=True)
    printed = run(small_disk, *arguments, "--rerun-incomplete", ok=False)
    assert "Read-only file system" in printed
