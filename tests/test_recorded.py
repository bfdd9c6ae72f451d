"""Recorded runs: kept whole, never edited, and the README says what they say."""

from pathlib import Path

import pandas as pd
import pytest

from lmidiff.__main__ import main, summary
from lmidiff.costs import summarise_costs
from lmidiff.errors import StudyError
from lmidiff.recorded import SUMS, check_record, filled, record

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
RECORDED = sorted(path.parent for path in REFERENCE.glob(f"*/{SUMS}"))


@pytest.mark.parametrize("folder", RECORDED, ids=lambda p: p.name)
def test_recorded_files_are_as_recorded(folder):
    check_record(folder)


def test_readme_says_what_the_records_say(monkeypatch):
    monkeypatch.chdir(ROOT)
    text = Path("README.md").read_text()
    assert filled(text, Path("results/reference")) == text, "run `make record`"


@pytest.fixture
def finished(tmp_path):
    folder = tmp_path / "results" / "tiny"
    for name in ("record/provenance.json", "metrics.csv", "figures/figure2.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    rows = [
        {
            "source": "PDw", "target": "T1w", "method": "sdedit", "label": "SDEdit",
            "training": "target", "tuned": "nothing", "status": "measured", "quantity": quantity,
            "unit": "1", "mean": mean, "low": low, "high": high, "n": 3, "paper": "not obtained",
        }
        for quantity, mean, low, high in (
            ("ssim_brain", "0.5", "0.4", "0.6"),
            ("psnr_brain", "inf", "inf", "inf"),
            ("dice_kmeans_mean", "", "", ""),
            ("dice_truth_mean", "0.25", "0.2", "0.3"),
        )
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "table1.csv", index=False)
    cost = {"stage": "train", "job": "all", "jobs": 2, "seconds": 90.0, "memory_mb": 700}
    pd.DataFrame([cost]).to_csv(folder / "record" / "cost.csv", index=False)
    return folder


def test_record_keeps_files_with_checksums(finished, tmp_path):
    kept = record(finished, tmp_path / "reference")
    assert (kept / "metrics.csv").read_text() == "x"
    check_record(kept)
    (kept / "metrics.csv").write_text("better")
    with pytest.raises(StudyError, match=r"metrics\.csv: differs from what was recorded"):
        check_record(kept)
    (kept / "metrics.csv").unlink()
    with pytest.raises(StudyError, match=r"metrics\.csv: recorded, but missing"):
        check_record(kept)


def test_unfinished_study_is_not_recorded(finished, tmp_path):
    (finished / "record" / "provenance.json").unlink()
    with pytest.raises(StudyError, match=r"provenance\.json: missing"):
        record(finished, tmp_path / "reference")
    assert not (tmp_path / "reference").exists()


def test_readme_block_is_filled_from_files_and_stable(finished):
    before = "a\n<!-- results:tiny -->\nold\n<!-- /results -->\nz\n"
    after = filled(before, finished.parent)
    assert "0.500 [0.400, 0.600]" in after
    assert "∞" in after
    assert "missing" in after
    assert "| 1.5 " in after.replace("  ", " ") or "1.5" in after
    assert "old" not in after
    assert filled(after, finished.parent) == after


def test_show_prints_the_table_and_where_things_are(finished, capsys):
    assert main(["show", str(finished)]) == 0
    printed = capsys.readouterr().out
    assert "SDEdit" in printed
    assert f"{finished}/figures/" in printed
    assert printed.strip() == summary(finished)


def test_show_without_a_table_is_one_line(tmp_path, capsys):
    assert main(["show", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "table1.csv: no such table" in error


def test_costs_add_up_by_stage(tmp_path):
    for stage, job, seconds, memory in (
        ("train", "a", 2, 10),
        ("train", "b", 3, 30),
        ("score", "c", 1, 5),
    ):
        (tmp_path / stage).mkdir(exist_ok=True)
        line = {"s": seconds, "max_rss": memory, "cpu_time": seconds * 2}
        pd.DataFrame([line]).to_csv(tmp_path / stage / f"{job}.tsv", sep="\t", index=False)
    costs = summarise_costs(tmp_path).set_index(["stage", "job"])
    assert costs.loc[("train", "all"), "seconds"] == 5
    assert costs.loc[("train", "all"), "memory_mb"] == 30
    assert costs.loc[("train", "b"), "cpu_seconds"] == 6
    assert costs.loc[("score", "all"), "jobs"] == 1
