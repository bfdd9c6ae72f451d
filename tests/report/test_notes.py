"""That sources are simulated is said wherever their scores are."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from lmidiff.report.front import write_front
from lmidiff.report.notes import note_of, recipe_of
from lmidiff.report.recorded_text import results_page
from lmidiff.report.summary_page import report_text

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "results" / "reference" / "real"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recorded study of real people, said to have simulated sources."""
    goal = tmp_path / "record"
    shutil.copytree(RECORD, goal)
    path = goal / "record" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["data"]["cohorts"]["people"] |= {"kind": "labels", "target": "real"}
    path.write_text(yaml.safe_dump(config))
    return goal


@pytest.mark.parametrize("study", ["default", "real", "case_sri24"])
def test_other_studies_have_no_note(study: str) -> None:
    kept = ROOT / "results" / "reference" / study
    assert note_of(yaml.safe_load((kept / "record" / "config.yaml").read_text())) == ""
    assert "Simulated source" not in report_text(kept) + results_page(kept)


def test_the_config_of_simulated_sources_has_one() -> None:
    config = yaml.safe_load((ROOT / "config" / "simulated_sources.yaml").read_text())
    config["data"]["target"] = "T1w"
    note = note_of(config)
    assert note.startswith("Simulated source, real target: the PDw, T2w, FLAIR of cohort `people_")
    assert "the truth is that T1w" in note


def test_pages_carry_it(folder: Path, tmp_path: Path) -> None:
    note = note_of(yaml.safe_load((folder / "record" / "config.yaml").read_text()))
    assert note in report_text(folder)
    assert f"**{note}**" in results_page(folder)
    about = {"study": "x", "sources": "FLAIR", "target": "T1w"}
    for told in ({}, {"note": note}):
        page = tmp_path / "front.html"
        write_front(folder, folder / "figures" / "figure2.png", page, {**about, **told})
        said = re.findall("<strong>(Simulated source[^<]*)</strong>", page.read_text())
        assert bool(said) is bool(told)


@pytest.mark.parametrize(
    ("study", "recipe"),
    [
        ("ablation", "for 800 steps by Adam. A draw"),
        ("translator", "for 4500 steps by Muon. A draw"),
        (
            "default",
            "by Muon (`cyclegan_PDw`, `cyclegan_T2w`, `cyclegan_FLAIR` for 2400 ",
        ),
        ("recipes", "(`lmidiffusion`, `lmidiffusion_cr`, `cr_regression` for 750 steps by Muon)"),
        ("real", "(`cyclegan_FLAIR` for 2400 steps by Adam; `stylegan` for 8000 steps by Adam)"),
        ("steps", "of a diffusion is one draw."),
    ],
)
def test_a_page_says_how_its_networks_were_trained(study: str, recipe: str) -> None:
    folder = RECORD.with_name(study)
    said = recipe_of(yaml.safe_load((folder / "record" / "config.yaml").read_text()))
    assert recipe in said
    assert said in results_page(folder)
