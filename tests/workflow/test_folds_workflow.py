"""Cross-validation end to end: four people in two folds, recorded, drawn again, taken over."""

import csv
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from lmidiff.common.files import sha256_of
from lmidiff.data.splits import read_folds
from lmidiff.evaluation.pictures import read_pictures
from lmidiff.evaluation.segmentation import KMeansModel
from lmidiff.records.checkpoints import keep_weights
from lmidiff.records.recorded import record
from workflows import SMOKE, copy_project, planned, run

pytestmark = pytest.mark.variant

ROWS = ["source", "histogram", "sdedit", "lmidiffusion", "oracle"]
PEOPLE = ["sub-01", "sub-02", "sub-03", "sub-04"]
FOLDED = {
    "study": "folded",
    "folds": 2,
    "rows": ROWS,
    "data": {
        "sources": ["PDw"],
        "cohorts": {"simulated": {"subjects": {"train": 1, "val": 1, "test": 2}}},
    },
    "model_defaults": {"training": {"steps": 5, "checkpoint_every": 5}},
    "translation": {"subjects_per_shard": 1},
    "figures": {"figure2": {"subjects": 4}},
}
ARGUMENTS = (*SMOKE, "folded.yaml")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after the study, and its record under results/reference."""
    folder = copy_project(tmp_path_factory.mktemp("folds") / "a project")
    (folder / "folded.yaml").write_text(yaml.safe_dump(FOLDED))
    run(folder, *ARGUMENTS)
    record(folder / "results" / "folded", folder / "results" / "reference", keep_weights)
    return folder


@pytest.fixture(scope="module")
def results(project: Path) -> Path:
    return project / "results" / "folded"


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_person_is_scored_once_in_every_row(results: Path) -> None:
    scored: dict[str, list[str]] = {}
    for row in rows_of(results / "metrics.csv"):
        if (row["region"], row["metric"]) == ("brain", "ssim"):
            scored.setdefault(row["method"], []).append(row["subject"])
    assert scored == dict.fromkeys(sorted(ROWS), PEOPLE)
    assert {row["seed"] for row in rows_of(results / "metrics.csv")} == {"1"}
    assert {row["n"] for row in rows_of(results / "table1.csv")} == {"4"}
    verdicts = {row["claim"]: row for row in rows_of(results / "verdicts.csv")}
    assert verdicts["beats_sdedit"]["subjects"] == "4"
    assert verdicts["beats_sdedit"]["verdict"] in ("held", "did not hold", "undecided")
    compared = [r for r in rows_of(results / "comparisons.csv") if r["quantity"] == "ssim_brain"]
    assert {row["method"]: row["subjects"] for row in compared} == dict.fromkeys(
        (row for row in ROWS if row != "lmidiffusion"), "4"
    )


def test_each_was_translated_by_networks_of_the_others(results: Path) -> None:
    first, second = read_folds(results / "split.tsv")
    assert list(first) == list(second) == PEOPLE
    assert [first[s] for s in PEOPLE] == ["train", "val", "test", "test"]
    assert [second[s] for s in PEOPLE] == ["test", "test", "train", "val"]
    for row in ROWS:
        for run_name, fold in ((row, first), (f"{row}_fold-2", second)):
            shards = results / "translations" / run_name / "from-PDw"
            made = sorted(path.name[:6] for path in shards.glob("*/sub-??_T1w.nii.gz"))
            assert made == sorted(subject for subject, split in fold.items() if split == "test")
    for fold, model in ((first, "lmidiffusion"), (second, "lmidiffusion_fold-2")):
        digest = yaml.safe_load((results / "models" / model / "config.json").read_text())["data"]
        (trained,) = (subject for subject, split in fold.items() if split == "train")
        volume = results / "volumes" / trained / f"{trained}_T1w.nii.gz"
        assert digest == f"target:{sha256_of([volume])}"
    weights = [
        (results / "models" / f"lmidiffusion{fold}" / "weights.safetensors").read_bytes()
        for fold in ("", "_fold-2")
    ]
    assert weights[0] != weights[1]
    kmeans = [
        KMeansModel.load(results / "models" / f"kmeans{fold}" / "kmeans.json").centres
        for fold in ("", "_fold-2")
    ]
    assert kmeans[0] != kmeans[1]


def test_figures_show_a_person_as_the_run_that_tested_them_did(results: Path) -> None:
    names = {path.stem for path in (results / "figures").glob("*.png")}
    assert names >= {"figure1", "figure2", "failures", "uncertainty", "through_plane", "samples"}
    assert names >= {"scores", "curves", "previews", "flow", "data_quality", "training_cost"}
    pictures, panels = read_pictures(results / "extracts" / "figure2.safetensors")
    assert [panel["subject"] for panel in panels] == PEOPLE
    for number, panel in enumerate(panels):
        subject = panel["subject"]
        run_name = "lmidiffusion" if subject in ("sub-03", "sub-04") else "lmidiffusion_fold-2"
        (path,) = (results / "translations" / run_name).glob(f"*/*/{subject}_T1w.nii.gz")
        volume = np.asarray(nib.load(path).dataobj)
        shown = pictures[f"{number}/images/lmidiffusion"]
        np.testing.assert_allclose(shown / 255, volume[:, :, panel["slice"]], atol=1 / 255)
    for name in ("uncertainty", "flicker"):
        found = rows_of(results / "extracts" / f"{name}.csv")
        for row in {line["method"] for line in found}:
            assert [line["subject"] for line in found if line["method"] == row] == PEOPLE
    edges = rows_of(results / "figures" / "flow.csv")
    assert "2 people, 2 folds" in {edge["what"] for edge in edges}


def test_the_pages_say_how_people_were_tested(results: Path) -> None:
    said = "People were tested in turn, in 2 folds"
    assert said in (results / "report.md").read_text()
    assert said in (results / "report" / "front.html").read_text()


def test_the_front_page_waits_for_the_config_it_reads(project: Path, results: Path) -> None:
    page, config = results / "report" / "front.html", results / "record" / "config.yaml"
    for path in (page, config):
        path.rename(f"{path}.away")
    try:
        planned = run(project, *ARGUMENTS, "-n", "--", str(page.relative_to(project)))
    finally:
        for path in (page, config):
            Path(f"{path}.away").rename(path)
    assert "rule write_record" in planned


def test_the_study_is_finished_and_its_record_draws_it_again(project: Path, results: Path) -> None:
    assert "Nothing to be done" in run(project, *ARGUMENTS)
    kept = project / "results" / "reference" / "folded"
    assert (kept / "models" / "kmeans_fold-2" / "kmeans.json").is_file()
    assert (kept / "models" / "lmidiffusion" / "previews.npz.xz").is_file()
    assert not list(kept.glob("models/*_fold-*/previews*"))
    run(project, "--config", "recorded=results/reference/folded")
    again = project / "results" / "recorded" / "folded"
    names = ["table1.csv", "table1.md", "verdicts.csv", "comparisons.csv", "gap.csv", "report.md"]
    names += [f"figures/{path.name}" for path in (results / "figures").glob("*.png")]
    for name in names:
        assert (again / name).read_bytes() == (results / name).read_bytes(), name


def test_weights_are_taken_over_if_those_of_every_fold_are_there(project: Path) -> None:
    arguments = ("--configfile", "results/reference/folded/record/config.yaml")
    arguments += ("--config", "checkpoints=results/reference/folded")
    jobs = planned(project, *arguments)
    taken = {Path(job.outputs[0]).parent.name for job in jobs if job.rule == "take_model"}
    used = {"histogram", "unconditional", "lmidiffusion"}
    assert taken == used | {f"{model}_fold-2" for model in used}
    assert not [job for job in jobs if job.rule == "train_model"]
    assert len([job for job in jobs if job.rule == "train_segmenter"]) == 2
    gone = project / "results" / "gone"
    shutil.copytree(project / "results" / "reference" / "folded", gone)
    shutil.rmtree(gone / "models" / "lmidiffusion_fold-2")
    arguments = (*arguments[:3], "checkpoints=results/gone")
    printed = run(project, "-n", *arguments)
    (line,) = (line for line in printed.splitlines() if line.startswith("Left out, since"))
    left = line.rpartition("for them: ")[2].split(", ")
    assert "lmidiffusion" in left
    assert not {"sdedit", "histogram"} & set(left)
