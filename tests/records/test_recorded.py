"""Recorded runs: kept whole, never edited, and the README says what they say."""

import argparse
import json
import lzma
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from lmidiff.__main__ import main
from lmidiff.cli import study as commands
from lmidiff.cli.study import summary
from lmidiff.common.errors import StudyError
from lmidiff.evaluation.costs import Cost, row_costs, summarise_costs
from lmidiff.records.provenance import devices_of
from lmidiff.records.recorded import SPARED, SUMS, check_record, record
from lmidiff.records.replay import recorded_config, restore
from lmidiff.report.recorded_text import results_page
from lmidiff.report.summary_page import report_text
from workflows import copy_project, run

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference"
RECORDED = sorted(path.parent for path in REFERENCE.glob(f"*/{SUMS}"))


@pytest.mark.parametrize("folder", RECORDED, ids=lambda p: p.name)
def test_recorded_files_are_as_recorded(folder):
    check_record(folder)


def test_a_record_is_drawn_without_the_weights_that_its_study_took_over():
    took = [f for f in RECORDED if "checkpoints:" in (f / "record/config.yaml").read_text()]
    assert {"draws", "case_patient"} <= {folder.name for folder in took}
    for folder in took:
        config = recorded_config(folder)
        assert config["recorded"] == str(folder)
        assert "checkpoints" not in config


VERSIONS = {"python": "3.11", "torch": "2", "snakemake": "9"}
CONFIG = {
    "study": "tiny",
    "seed": 3,
    "data": {
        "target": "T1w",
        "sources": ["PDw"],
        "grid": {"image_size": 64, "pixel_size": 3.0, "slices": 10},
        "cohorts": {
            "made": {"kind": "simulated", "subjects": {"train": 5, "val": 0, "test": 3}},
            "none": {"kind": "labels", "subjects": {"train": 0, "val": 0, "test": 0}},
            "mine": {"kind": "sheet", "sheet": "my.tsv"},
        },
    },
}


@pytest.fixture
def finished(tmp_path):
    folder = tmp_path / "results" / "tiny"
    names = ("metrics.csv", "slices.csv", "comparisons.csv", "verdict_parts.csv", "report.md")
    for name in (*names, "figures/figure2.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    rows = [
        {
            "source": "PDw", "target": "T1w", "method": "sdedit", "label": "SDEdit",
            "training": "target", "tuned": "nothing", "status": "measured", "quantity": quantity,
            "unit": "1", "mean": mean, "low": low, "high": high, "n": 3, "expected": 4,
            "trainings": 1, "paper": "not obtained", "page": "", "difference": "",
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
    (folder / "record").mkdir()
    pd.DataFrame([cost]).to_csv(folder / "record" / "cost.csv", index=False)
    provenance = {"commit": "c" * 40, "code_sha256": "d" * 64, "config_sha256": "e" * 64}
    provenance |= {"device": "a slide rule", "versions": VERSIONS}
    (folder / "record" / "provenance.json").write_text(json.dumps(provenance))
    (folder / "record" / "config.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    shutil.copy(REFERENCE / "default" / "verdicts.csv", folder)
    return folder


def test_record_keeps_files_with_checksums(finished, tmp_path):
    kept = record(finished, tmp_path / "reference")
    assert lzma.decompress((kept / "metrics.csv.xz").read_bytes()) == b"x"
    for name in ("verdicts.csv", "verdict_parts.csv", "comparisons.csv", "report.md"):
        assert (kept / name).read_bytes() == (finished / name).read_bytes()
    check_record(kept)
    (kept / "comparisons.csv").write_text("better")
    with pytest.raises(StudyError, match=r"comparisons\.csv: differs from what was recorded"):
        check_record(kept)
    (kept / "comparisons.csv").write_text("x")
    (kept / "extra.csv").write_text("x")
    with pytest.raises(StudyError, match=r"extra\.csv: was not recorded"):
        check_record(kept)
    (kept / "comparisons.csv").unlink()
    with pytest.raises(StudyError, match=r"comparisons\.csv: recorded, but missing"):
        check_record(kept)


PARTS = {
    "previews": ["models/some/previews.npz.xz"],
    "samples": ["figures/samples.png", "figures/samples.csv"],
    "figure2": ["figures/figure2.png"],
    "training_cost": ["figures/training_cost.png"],
    "volumes": ["figures/volumes.png"],
    "figure1": ["extracts/trajectories.csv", "extracts/trajectories.safetensors.xz"],
    "viewer": ["extracts/viewer.safetensors.xz"],
}


@pytest.mark.parametrize("without", [[], *([part] for part in PARTS), list(PARTS)])
def test_a_part_is_kept_unless_nobody_wants_it(finished, tmp_path, without):
    others = ["models/some/curve.csv", "extracts/figure2.safetensors.xz", "figures/pareto.png"]
    for name in (*others, *(name for names in PARTS.values() for name in names)):
        file = finished / name.removesuffix(".xz")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"some")
    kept = record(finished, tmp_path / "records", without=without)
    check_record(kept)
    for part, names in PARTS.items():
        assert {(kept / name).exists() for name in names} == {part not in without}, part
    assert all((kept / name).exists() for name in others)


def test_the_command_knows_the_parts_that_can_be_left_out():
    parser = argparse.ArgumentParser()
    commands.add(parser.add_subparsers())
    assert parser.parse_args(["record", "x", "--without", *SPARED]).without == list(SPARED)


@pytest.mark.parametrize("name", ["record/provenance.json", "verdicts.csv", "report.md"])
def test_unfinished_study_is_not_recorded(finished, tmp_path, name):
    (finished / name).unlink()
    with pytest.raises(StudyError, match=rf"{name}: missing"):
        record(finished, tmp_path / "reference")
    assert not (tmp_path / "reference").exists()


def test_a_records_page_is_made_from_its_files(finished):
    page = results_page(finished)
    assert "0.500 [0.400, 0.600]" in page
    assert "∞" in page
    assert "| –  " in page, "measured, and no Dice: there are no labels"
    assert "1.5" in page
    assert "record/" in page
    assert results_page(finished) == page


def test_show_prints_the_table_and_where_things_are(finished, capsys):
    assert main(["show", str(finished)]) == 0
    printed = capsys.readouterr().out
    assert "SDEdit" in printed
    assert f"{finished}/figures/" in printed
    assert printed.strip() == summary(finished)


def test_show_counts_the_subjects_of_the_fullest_cell(finished):
    table = pd.read_csv(finished / "table1.csv")
    table.loc[0, "n"] = 2
    table.to_csv(finished / "table1.csv", index=False)
    assert "interval over 3 test subjects" in " ".join(summary(finished).split())


def test_the_record_names_the_devices_that_trained_whichever_machine_writes_it(tmp_path):
    weights = [tmp_path / name / "weights.safetensors" for name in "abcde"]
    for path, device in zip(weights, ("a GPU", "a CPU", "a GPU", None, None), strict=True):
        path.parent.mkdir()
        if path.parent.name != "e":
            path.with_name("config.json").write_text(json.dumps({"device": device}))
    assert devices_of(weights) == "a GPU; a CPU"
    assert devices_of([]) == "nothing trained"
    rules = (ROOT / "workflow" / "rules" / "evaluate.smk").read_text()
    assert "device" not in rules, "or a change of device would write the record again"


def test_show_without_a_table_is_one_line(tmp_path, capsys):
    assert main(["show", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "table1.csv: no such table" in error


@pytest.mark.parametrize("command", ["show", "record"])
def test_an_unknown_study_is_one_line(tmp_path, capsys, command):
    assert main([command, str(tmp_path / "results" / "nowhere")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "nowhere" in error
    assert "Traceback" not in error


def test_show_without_verdicts_is_one_line(finished, capsys):
    (finished / "verdicts.csv").unlink()
    assert main(["show", str(finished)]) == 1
    assert "verdicts.csv: no verdicts; run the study first" in capsys.readouterr().err


def test_costs_add_up_by_stage(tmp_path):
    for stage, job, seconds, memory in (
        ("train", "a", 2, 10),
        ("train", "b", 3, 30),
        ("score", "c", 1, 5),
        ("translate", "x_from-PDw_shard-0", 4, 5),
        ("translate", "x_from-PDw_shard-11", 6, 5),
    ):
        (tmp_path / stage).mkdir(exist_ok=True)
        line = {"s": seconds, "max_rss": memory, "cpu_time": seconds * 2}
        pd.DataFrame([line]).to_csv(tmp_path / stage / f"{job}.tsv", sep="\t", index=False)
    summed = summarise_costs(tmp_path)
    costs = summed.set_index(["stage", "job"])
    assert costs.loc[("train", "all"), "seconds"] == 5
    assert costs.loc[("train", "all"), "memory_mb"] == 30
    assert costs.loc[("train", "b"), "cpu_seconds"] == 6
    assert costs.loc[("score", "all"), "jobs"] == 1
    assert ("score", "c") not in costs.index
    assert costs.loc[("translate", "x_from-PDw"), ["jobs", "seconds"]].tolist() == [2, 10]

    # A training that a job found finished, or went on with, took what all of its runs took.
    known = summarise_costs(tmp_path, {"a": 100.0, "b": 1.0}).set_index(["stage", "job"])
    assert known.loc["train", "seconds"].to_dict() == {"all": 103, "a": 100, "b": 3}
    assert known.loc[("score", "all"), "seconds"] == 1

    # Model a was trained in 100 s and its job found that; b has no curve; c nothing at all.
    curve = pd.DataFrame({"step": [1, 2], "seconds": [50.0, 100.0]})
    curves = {"a": curve, "b": curve.iloc[:0]}
    models = {"x": "a", "y": "b", "z": "c", "plain": None}
    slices = {"x": 20, "y": 40, "z": 5, "plain": 5}
    found = row_costs(summed, curves, models, ["PDw", "T2w"], slices)
    assert found["x", "PDw"] == Cost(100.0, 0.5)
    assert found["y", "PDw"].training == 3
    assert found["plain", "PDw"].training == 0
    for missing in (found["x", "T2w"].translation, found["z", "PDw"].training):
        assert missing != missing


# -- the page to paste ----------------------------------------------------------------------------


def test_the_page_says_what_the_files_say(finished):
    text = report_text(finished)
    for fact in (
        "# Study `tiny`: what held",
        "T1w from PDw",
        "made (simulated: 5 train, 0 val, 3 test); mine (sheet)",
        "64 px of 3.0 mm, 10 slices",
        "0.500 [0.400, 0.600]",
        "SDEdit from PDw: ssim_brain of 3 of 4 subjects",
        "paper's own values: not obtained",
        "| train   | 2      | 1.5 ",
        "commit `cccccccccccc`",
        "a slide rule",
    ):
        assert fact in text, fact
    assert "none (labels" not in text
    verdicts = pd.read_csv(finished / "verdicts.csv", dtype=str, keep_default_na=False)
    for _, row in verdicts.iterrows():
        assert row["sentence"] in text, "a claim that was not run is named as well"
        if row["effect"]:
            assert f"{float(row['effect']):+.3f} [{float(row['low']):+.3f}" in text
    # Change the file, and the page follows.
    verdicts.loc[verdicts["effect"] != "", "effect"] = "0.123456"
    verdicts.to_csv(finished / "verdicts.csv", index=False)
    assert "+0.123 [" in report_text(finished)


@pytest.mark.parametrize("name", ["verdicts.csv", "table1.csv", "record/cost.csv"])
def test_a_page_without_its_files_is_one_line(finished, name):
    (finished / name).unlink()
    with pytest.raises(StudyError, match="run the study first") as caught:
        report_text(finished)
    assert name in str(caught.value)


@pytest.mark.study
def test_from_the_recorded_scores_come_the_recorded_verdicts_and_tables(tmp_path):
    folder = copy_project(tmp_path / "a project")
    results = folder / "results" / "default"
    shutil.copytree(REFERENCE / "default", results)
    derived = [
        *(f"table1.{kind}" for kind in ("csv", "md")),
        *("verdicts.csv", "verdict_parts.csv", "comparisons.csv", "gap.csv", "report.md"),
    ]
    for name in derived:
        (results / name).unlink()
    for name in ("metrics.csv", "slices.csv"):
        (results / name).write_bytes(lzma.decompress((results / f"{name}.xz").read_bytes()))
    wanted = [f"results/default/{name}" for name in derived]
    rules = ("write_table", "write_verdicts", "write_report")
    run(folder, *wanted, "--allowed-rules", *rules, "--rerun-triggers", "mtime")
    before = REFERENCE / "default"
    # Claims that were added since are not in the record; those that are in it came out the same.
    known = set(pd.read_csv(before / "verdicts.csv")["claim"])
    for name in ("verdicts.csv", "verdict_parts.csv"):
        kept, anew = (pd.read_csv(f / name, dtype=str) for f in (before, results))
        anew = anew[anew["claim"].isin(known)].reset_index(drop=True)
        pd.testing.assert_frame_equal(anew, kept)
    for name in set(derived) - {"verdicts.csv", "verdict_parts.csv", "report.md"}:
        assert (results / name).read_bytes() == (before / name).read_bytes(), name
    pages = [(f / "report.md").read_text().splitlines() for f in (before, results)]
    # The sentence above the verdicts says more since than when the study was recorded.
    decided, again = (
        [row for row in page if "not run" not in row.lower() and " test subjects" not in row]
        for page in pages
    )
    assert decided == again


def test_a_replay_may_leave_somebody_out(tmp_path):
    gone, record = "sub-33", REFERENCE / "default"
    names = ("metrics.csv.xz", "slices.csv.xz", "split.tsv", "table1.csv", "record/config.yaml")
    files = {name: str(tmp_path / name.removesuffix(".xz")) for name in names}
    restore(record, files, [gone])
    for name in ("metrics.csv", "slices.csv", "split.tsv"):
        path = record / name if (record / name).is_file() else record / f"{name}.xz"
        between = "\t" if name.endswith(".tsv") else ","
        before, after = (pd.read_csv(p, sep=between, dtype=str) for p in (path, tmp_path / name))
        assert (before["subject"] == gone).any()
        kept = before[before["subject"] != gone].reset_index(drop=True)
        pd.testing.assert_frame_equal(after, kept)
    assert (tmp_path / "table1.csv").read_bytes() == (record / "table1.csv").read_bytes()
    config = yaml.safe_load((tmp_path / "record/config.yaml").read_text())
    assert config["data"]["exclude"] == [gone]
    assert recorded_config(record, [gone])["data"]["exclude"] == [gone]
    picture = {"extracts/figure2.safetensors.xz": str(tmp_path / "figure2.safetensors")}
    with pytest.raises(StudyError, match="shows sub-33, who is to be left out"):
        restore(record, picture, [gone])
    restore(record, picture, ["sub-34"])


def test_the_page_of_one_person_decides_nothing():
    page = results_page(Path("results/reference/case_patient"))
    assert "A case: one subject tells nothing about others" in page
    assert "undecided" not in page.lower()
    assert "| T2w" in page
    assert "**undecided**" in results_page(Path("results/reference/default"))


def test_a_page_says_what_its_scores_rest_on(monkeypatch):
    monkeypatch.chdir(ROOT)
    case, old, now = (
        results_page(Path("results/reference", name))
        for name in ("case_patient", "ablation", "default")
    )
    assert "Weights that `results/real` has were taken over from there" in case
    assert "taken over" not in now
    assert "Recorded by earlier code" in old
    assert "Recorded by earlier code" not in now
    assert "*Figure 2. Source, true target and each method's translation" in now
    assert re.search(r"Not run: \d+ claims", now)


@pytest.mark.parametrize("kept", [True, False])
def test_figure1_is_planned_where_the_record_has_what_it_shows(kept):
    has = {f.name: any(f.glob("extracts/trajectories.safetensors*")) for f in RECORDED}
    name = "default" if kept else "case_sri24"
    assert has[name] == kept
    plan = [sys.executable, "-m", "snakemake", "-n", "--cores", "1"]
    plan += ["--config", f"recorded=results/reference/{name}"]
    done = subprocess.run(plan, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert ("plot_figure1" in done.stdout + done.stderr) == kept
