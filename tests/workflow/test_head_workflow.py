"""Whole heads through the real command line: ``config/head.yaml``, small, in both directions."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from ball_heads import write_ball_heads
from workflows import copy_project, orphans, run

pytestmark = pytest.mark.variant

SMALL = {
    "study": "heads",
    "device": "cpu",
    "data": {
        "grid": {"image_size": 32, "pixel_size": 7.0, "slices": 3},
        "cohorts": {
            "anatomies": {"folder": "heads", "subjects": {"train": 2, "val": 1, "test": 1}}
        },
    },
    "model_defaults": {
        "unet": {"channels": [16, 32], "attention": [False, True], "head_channels": 16},
        "training": {"steps": 8, "batch_size": 4, "checkpoint_every": 4, "log_every": 2},
    },
    "models": {
        "cyclegan": {
            "cyclegan": {"channels": 4, "blocks": 1, "critic_channels": 4},
            "training": {"steps": 4},
        }
    },
    "sampling": {"steps": 3, "draws": 2},
    "methods": {"sdedit": {"tune": {"strength": [0.4]}}},
    "figures": {"samples": {"drawn": 4, "shown": 2}},
}
ROWS = {
    *("source", "inverted_histogram", "cyclegan", "sdedit"),
    *("lmidiffusion", "lmidiffusion_cr", "oracle"),
}
#: As the head of config/head.yaml has it.
TURNED = (
    *("study=turned", "data={target: PDw, sources: [T1w]}"),
    *("models={cyclegan: {source: T1w}}", "methods={cyclegan: {model: {T1w: cyclegan}}}"),
)


def test_the_turn_is_the_one_that_the_config_names() -> None:
    text = (Path(__file__).parents[2] / "config" / "head.yaml").read_text()
    told = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    assert all(f"'{part}'" in told for part in TURNED[1:])


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("heads") / "a project")
    write_ball_heads(folder / "heads", 4)
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    files = ("--configfile", "config/head.yaml", "small.yaml")
    made = [f"results/heads/{name}" for name in ("figures/figure2.png", "report/viewer.html")]
    run(folder, "table", *made, *files)
    run(folder, "table", *files, "--config", *TURNED)
    return folder


@pytest.mark.parametrize(
    ("study", "source", "target"), [("heads", "PDw", "T1w"), ("turned", "T1w", "PDw")]
)
def test_heads_are_translated_labelled_and_scored(heads, study, source, target) -> None:
    results = heads / "results" / study
    with open(results / "metrics.csv") as stream:
        scores = list(csv.DictReader(stream))
    assert {row["method"] for row in scores} == ROWS
    assert {(row["source"], row["target"]) for row in scores} == {(source, target)}
    dice = {row["region"] for row in scores if row["metric"] == "dice_kmeans"}
    assert dice == {"dark", "middle", "bright"}
    assert not [row for row in scores if row["metric"] == "dice_truth"]
    assert {"image", "brain", "interior"} <= {row["region"] for row in scores}
    kmeans = json.loads((results / "models/kmeans/kmeans.json").read_text())
    assert (kmeans["field"], kmeans["images"], kmeans["labels"]) == ("head", "head", [1, 2, 3])
    for subject in sorted((results / "volumes").iterdir()):
        shown = [
            nib.load(subject / f"{subject.name}_{name}.nii.gz").get_fdata() > 0
            for name in (source, target, "desc-brain_mask")
        ]
        np.testing.assert_array_equal(shown[0], shown[1])
        assert (shown[2] <= shown[0]).all()
        assert shown[0].sum() > 1.3 * shown[2].sum()
    (labels,) = results.glob(f"segmentations/oracle/from-{source}/*_dseg.nii.gz")
    assert set(np.unique(nib.load(labels).get_fdata())) == {1, 2, 3}, "the air too"
    trained = json.loads((results / "models/lmidiffusion/config.json").read_text())
    assert (trained["images"]["field"], trained["images"]["target"]) == ("head", target)
    assert orphans(heads) == []


def test_a_head_study_has_its_figures_and_pages(heads) -> None:
    results = heads / "results" / "heads"
    assert (results / "figures" / "figure2.png").stat().st_size > 10_000
    viewer = (results / "report" / "viewer.html").read_text()
    assert '"labels": ["", "dark", "middle", "bright"]' in viewer
    table = (results / "table1.md").read_text()
    assert "pooled over whole slices" in table
