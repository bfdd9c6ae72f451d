"""Lesions in translations that were made to keep, lose or overdo them."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmidiff.evaluation.lesions import (
    COLUMNS,
    CSF,
    GM,
    MEASURES,
    WM,
    lesions_table,
    measure_lesions,
)
from lmidiff.evaluation.segmentation import KMeansModel, segment
from lmidiff.figures.lesions import figure_lesions

FLUID, GREY, WHITE = 0.1, 0.5, 0.9
KMEANS = KMeansModel((FLUID, GREY, WHITE), 10, 0)


@pytest.fixture
def person() -> dict[str, np.ndarray]:
    """White matter with a rim of fluid; in it two lesions in one slice, one in the next."""
    truth = np.full((20, 20, 3), WM, np.uint8)
    truth[:3], truth[3:6] = CSF, GM
    lesions = np.zeros(truth.shape, bool)
    lesions[10:12, 4:6, 0] = lesions[14:17, 10:13, 0] = lesions[10:12, 4:6, 1] = True
    lesions[8, 15, 2] = True  # a single pixel is none
    target = np.choose(truth, [0, FLUID, GREY, WHITE]).astype(float)
    target[lesions] = 0.6
    return {"target": target, "truth": truth, "lesions": lesions}


def measured(person: dict[str, np.ndarray], image: np.ndarray) -> dict[str, float]:
    found = segment(KMEANS, image, np.ones(image.shape))
    return measure_lesions(image, person["target"], found, person["truth"], person["lesions"])


def test_the_truth_keeps_every_lesion(person):
    row = measured(person, person["target"])
    assert (row["lesions"], row["visible"], row["pixels"]) == (3, 3, 17)
    assert row["contrast"] == row["true_contrast"] == pytest.approx(-0.3)
    assert (row["vanished"], row["into_csf"]) == (0, 0)
    assert (row["kmeans_csf"], row["kmeans_gm"], row["kmeans_wm"]) == (0, 1, 0)


@pytest.mark.parametrize(
    ("level", "vanished", "into_csf"),
    [(0.9, 1, 0), (0.85, 1, 0), (0.8, 0, 0), (0.6, 0, 0), (0.51, 0, 0), (0.49, 0, 1), (0.1, 0, 1)],
)
def test_a_lesion_vanishes_above_and_turns_fluid_below(person, level, vanished, into_csf):
    image = np.where(person["lesions"], level, person["target"])
    row = measured(person, image)
    assert (row["vanished"], row["into_csf"]) == (vanished, into_csf)
    assert row["contrast"] == pytest.approx(level - WHITE)


def test_shares_are_of_lesions_and_not_of_pixels(person):
    image = person["target"].copy()
    image[14:17, 10:13, 0] = WHITE
    row = measured(person, image)
    assert row["vanished"] == pytest.approx(1 / 3)
    assert row["kmeans_wm"] == pytest.approx(9 / 17)


def test_what_does_not_show_cannot_vanish_and_what_is_fluid_cannot_turn(person):
    target = np.where(person["lesions"], WHITE - 0.01, person["target"])
    row = measured({**person, "target": target}, person["target"])
    assert (row["visible"], row["into_csf"]) == (0, 0)
    assert math.isnan(row["vanished"])
    target = np.where(person["lesions"], FLUID, person["target"])
    assert math.isnan(measured({**person, "target": target}, target)["into_csf"])


def test_without_lesions_or_tissue_there_is_no_number(person):
    none = measured({**person, "lesions": np.zeros_like(person["lesions"])}, person["target"])
    assert none["lesions"] == none["pixels"] == 0
    grey = measured({**person, "truth": np.full_like(person["truth"], GM)}, person["target"])
    for row in (none, grey):
        assert all(math.isnan(row[name]) for name in MEASURES)


@given(st.floats(0.2, 3), st.floats(-0.1, 0.5))
def test_scale_and_offset_of_a_translation_change_no_share(scale, offset):
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 4, (12, 12, 2))
    lesions = np.zeros(truth.shape, bool)
    lesions[2:5, 2:5], lesions[7:9, 7:10, 0] = True, True
    target, image = generator.random((2, *truth.shape)) * 0.2 + np.choose(truth, [0, 0.1, 0.5, 0.7])
    target[lesions] = 0.55
    labels = np.zeros_like(truth)
    plain = measure_lesions(image, target, labels, truth, lesions)
    moved = measure_lesions(image, target * scale + offset, labels, truth, lesions)
    assert (plain["visible"], plain["lesions"]) == (moved["visible"], moved["lesions"])
    moved = measure_lesions(image * scale + offset, target, labels, truth, lesions)
    assert moved["into_csf"] == plain["into_csf"] >= 0
    assert moved["contrast"] == pytest.approx(plain["contrast"] * scale)


def frame() -> pd.DataFrame:
    rows = []
    for method, seeds in (("source", (1,)), ("lmi", (1, 2))):
        for seed in seeds:
            for number in range(4):
                key = ("s", method, "FLAIR", "T1w", f"sub-{number}", seed)
                values = [0.1 * number + 0.01 * seed] * len(MEASURES)
                rows.append((*key, 3, 3, 17, *values))
    return pd.DataFrame(rows, columns=COLUMNS)


def test_means_are_over_people_and_trainings_and_are_drawn(tmp_path):
    labels = {"source": "Source", "absent": "Absent", "lmi": "LMI"}
    table = lesions_table(frame(), labels, ["FLAIR"], seed=1)
    assert list(dict.fromkeys(table["method"])) == ["source", "lmi"]
    cell = table.set_index(["method", "measure"]).loc[("lmi", "vanished")]
    assert cell["mean"] == pytest.approx(0.15 + 0.015)
    assert (cell["n"], cell["trainings"]) == (4, 2)
    assert cell["low"] < cell["mean"] < cell["high"]
    for number in (1, 2):
        files = [tmp_path / f"{number}.{kind}" for kind in ("png", "pdf")]
        figure_lesions(table, ["FLAIR"], *files, ceilings=["source"])
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_no_interval_of_a_share_passes_its_ends():
    measured = frame()
    for measure in MEASURES:
        measured[measure] = np.where(measured["subject"] == "sub-0", 0.6, 0.0)
    table = lesions_table(measured, {"lmi": "LMI"}, ["FLAIR"], seed=1).set_index("measure")
    assert table.loc["contrast", "low"] < 0  # a difference may be
    shares = table.drop(["contrast", "true_contrast"])
    assert (shares["low"] == 0).all()
    assert (shares["high"] < 1).all()
    measured[list(MEASURES)] = 1 - measured[list(MEASURES)]
    table = lesions_table(measured, {"lmi": "LMI"}, ["FLAIR"], seed=1).set_index("measure")
    assert (table["high"].drop(["contrast", "true_contrast"]) == 1).all()
