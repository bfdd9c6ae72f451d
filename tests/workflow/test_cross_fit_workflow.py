"""Rows whose teachers are those who are tested, by turns, beside rows of two seeds: end to end."""

import csv
from pathlib import Path

import pytest
import yaml

from lmidiff.records.checkpoints import keep_weights
from lmidiff.records.recorded import record
from workflows import SMOKE, copy_project, run

pytestmark = pytest.mark.variant

ROWS = ["source", "cyclegan", "lmidiffusion", "supervised", "oracle"]
PEOPLE = ["sub-03", "sub-04"]
CROSSED = {
    "study": "crossed",
    "seeds": 2,
    "rows": ROWS,
    "data": {
        "sources": ["PDw"],
        "cohorts": {"simulated": {"subjects": {"train": 1, "val": 1, "test": 2}}},
    },
    "models": {"cyclegan_PDw": {"cross_fit": 2}, "supervised_PDw": {"cross_fit": 2}},
    "model_defaults": {"training": {"steps": 5, "checkpoint_every": 5}},
    "translation": {"subjects_per_shard": 1},
    "figures": {"figure2": {"subjects": 2}},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("crossed") / "a project")
    (folder / "crossed.yaml").write_text(yaml.safe_dump(CROSSED))
    run(folder, *SMOKE, "crossed.yaml")
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_everybody_is_scored_by_a_network_that_learned_from_the_other(project: Path) -> None:
    results = project / "results" / "crossed"
    scored: dict[str, list[tuple[str, str]]] = {}
    for row in rows_of(results / "metrics.csv"):
        if (row["region"], row["metric"]) == ("brain", "ssim"):
            scored.setdefault(row["method"], []).append((row["subject"], row["seed"]))
    once = [(person, "1") for person in PEOPLE]
    assert {row: sorted(found) for row, found in scored.items()} == {
        **dict.fromkeys(("source", "oracle", "cyclegan", "supervised"), once),
        "lmidiffusion": sorted([*once, *((person, "2") for person in PEOPLE)]),
    }
    table = {row["method"]: row for row in rows_of(results / "table1.csv")}
    assert {row["n"] for row in table.values()} == {"2"}
    assert table["supervised"]["training"] == (
        "pairs of target and the source, of others who are tested"
    )
    assert table["lmidiffusion"]["trainings"] == "2"
    assert table["cyclegan"]["trainings"] == "1"
    for name in ("cyclegan_PDw", "cyclegan_PDw_fold-2", "supervised_PDw_fold-2"):
        assert (results / "models" / name / "weights.safetensors").is_file()
    assert not (results / "models" / "cyclegan_PDw_seed-2").exists()
    assert not (results / "models" / "kmeans_fold-2").exists(), "one segmenter, of the train split"


def test_each_is_translated_by_the_run_that_tests_them(project: Path) -> None:
    for person, run_of in zip(PEOPLE, ("supervised", "supervised_fold-2"), strict=True):
        place = project / "results/crossed/translations" / run_of / "from-PDw"
        assert [path.name.split("_")[0] for path in place.glob("*/*.nii.gz")] == [person]
    figure = project / "results/crossed/figures/figure2.png"
    assert figure.stat().st_size > 10_000, "a panel of both people, each from its own run"


def test_its_record_is_drawn_again_to_the_same_table(project: Path) -> None:
    kept = record(project / "results/crossed", project / "results/reference", keep_weights)
    run(project, "table", "--config", f"recorded={Path(kept).relative_to(project)}")
    again = project / "results/recorded/crossed/table1.csv"
    assert again.read_bytes() == (project / "results/crossed/table1.csv").read_bytes()
