"""The report's first page says what the study's files say."""

import base64
import re
import shutil
from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.costs import STAGES
from lmidiff.report.front import BEST, best_rows, write_front
from lmidiff.report.summary import read_table

RECORD = Path(__file__).parents[2] / "results" / "reference" / "default"
ABOUT = {"study": "a <b>", "sources": "PDw, T2w", "target": "T1w"}


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("front") / "front.html"
    write_front(RECORD, RECORD / "figures" / "figure2.png", path, ABOUT)
    return path.read_text()


def test_every_verdict_is_counted_and_said(page):
    verdicts = pd.read_csv(RECORD / "verdicts.csv", dtype=str, keep_default_na=False)
    ran = verdicts[verdicts["verdict"] != "not run"]
    text = unescape(re.sub("</?code>", "`", page))
    for verdict, count in ran["verdict"].value_counts().items():
        assert f"{count} {verdict}" in text
    assert all(sentence in text for sentence in ran["sentence"])
    assert len(re.findall("<li>", page)) == len(ran)
    left = len(verdicts) - len(ran)
    assert (f"{left} further claim" in text) is (left > 0)


def test_names_are_text_and_the_picture_is_the_figure(page):
    assert "a &lt;b&gt;" in page
    held = re.search(r"base64,([^\"]+)", page).group(1)
    assert base64.b64decode(held) == (RECORD / "figures" / "figure2.png").read_bytes()


def test_the_rows_are_the_best_of_the_table():
    table = read_table(RECORD)
    rows = best_rows(table)
    ssim = table[table["quantity"] == "ssim_brain"]
    for source in table["source"].unique():
        mine = [row for row in rows if row["source"] == source]
        assert len(mine) == BEST + 2
        assert mine[0]["label"] == "Source, untouched"
        assert mine[-1]["saw"] == "the answer"
        shown = [float(row["values"][0].split()[0]) for row in mine[1:-1]]
        assert shown == sorted(shown, reverse=True)
        there = ssim[(ssim["source"] == source) & ~ssim["training"].eq("the answer")]
        rest = there[~there["label"].isin([row["label"] for row in mine])]
        assert pd.to_numeric(rest["mean"]).max() <= shown[-1] + 5e-4


def test_stages_come_from_the_record(page):
    costs = pd.read_csv(RECORD / "record" / "cost.csv")
    train = costs[(costs["job"] == "all") & (costs["stage"] == "train")].iloc[0]
    assert f"<div>train<small>{train['jobs']} jobs, {train['seconds'] / 60:.1f} min" in page


def test_every_stage_that_cost_something_is_shown(tmp_path):
    for name in ("verdicts.csv", "table1.csv", "record/config.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(RECORD / name, tmp_path / name)
    stages = [{"stage": s, "job": "all", "jobs": 1, "seconds": 60.0} for s in STAGES]
    pd.DataFrame(stages).to_csv(tmp_path / "record" / "cost.csv", index=False)
    write_front(tmp_path, RECORD / "figures" / "figure2.png", tmp_path / "front.html", ABOUT)
    page = (tmp_path / "front.html").read_text()
    for stage in STAGES:
        assert f"{stage}<small>1 jobs, 1.0 min" in page


def test_a_study_that_is_not_finished_has_no_front(tmp_path):
    with pytest.raises(StudyError, match="no verdicts; run the study first"):
        write_front(tmp_path, tmp_path / "none.png", tmp_path / "front.html", ABOUT)
