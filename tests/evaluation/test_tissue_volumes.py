"""Tissue volumes of translations that keep people apart, make them alike, or add to all."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy import stats

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.segmentation import KMeansModel
from lmidiff.evaluation.tissue_volumes import COLUMNS, Person, volumes_table
from lmidiff.figures.dots import DotPage
from lmidiff.figures.tissue_volumes import _slopes, figure_tissue_volumes

KMEANS = KMeansModel((0.1, 0.5, 0.9), 10, 0)
TISSUES = ("csf", "gm", "wm")


def test_millilitres_are_voxels_inside_the_mask_times_their_size():
    target = np.full((10, 10, 4), 0.9)
    target[:2], target[2:5] = 0.1, 0.5
    mask = np.ones(target.shape)
    mask[..., 3] = 0
    truth = np.full(target.shape, 3)
    affine = np.diag([2.0, -2.0, 7.5, 1.0])
    person = Person(KMEANS, mask, target, truth, affine)
    rows = {row["tissue"]: row for row in person.measure(np.full(target.shape, 2))}
    each = 2 * 2 * 7.5 / 1000
    assert {t: row["kmeans_ml"] for t, row in rows.items()} == pytest.approx(
        {"csf": 60 * each, "gm": 90 * each, "wm": 150 * each}
    )
    assert [rows[t]["ml"] for t in TISSUES] == pytest.approx([0, 300 * each, 0])
    assert [rows[t]["truth_ml"] for t in TISSUES] == pytest.approx([0, 0, 300 * each])
    assert rows["csf"]["brain_ml"] == pytest.approx(300 * each)
    unknown = Person(KMEANS, mask, target, None, affine).measure(truth)
    assert all(np.isnan(row["truth_ml"]) for row in unknown)


def people(shown, seeds=(1,), count=12, truth=False) -> pd.DataFrame:
    """Rows of ``COLUMNS``; ``shown(share, seed)`` is the share that the translation shows."""
    generator, rows = np.random.default_rng(3), []
    for number in range(count):
        brain = generator.uniform(800, 1200)
        shares = generator.dirichlet((20, 40, 40))
        for seed in seeds:
            key = ("s", "row", "FLAIR", "T1w", f"sub-{number:02d}", seed)
            for tissue, share in zip(TISSUES, shares, strict=True):
                true = share * brain
                found = shown(share, seed) * brain
                rows.append((*key, tissue, found, true, true if truth else np.nan, brain))
    return pd.DataFrame(rows, columns=COLUMNS)


def table_of(frame: pd.DataFrame) -> pd.DataFrame:
    table = volumes_table(frame, {"row": "Row", "absent": "Absent"}, ["FLAIR"], seed=1)
    return table.set_index(["tissue", "reference"])


def test_the_truth_has_slope_one_and_no_bias():
    table = table_of(people(lambda share, _: share, truth=True))
    assert len(table) == 6
    assert table["slope"].tolist() == pytest.approx([1] * 6)
    assert table["variation"].tolist() == pytest.approx([1] * 6)
    assert table[["bias", "spread"]].to_numpy() == pytest.approx(0, abs=1e-9)


def test_everybody_made_alike_has_slope_zero_though_brains_differ_in_size():
    table = table_of(people(lambda *_: 0.3))
    assert len(table) == 3
    assert table[["slope", "low", "high"]].to_numpy() == pytest.approx(0, abs=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.floats(-1, 2), st.floats(-0.2, 0.2))
def test_a_pull_to_the_mean_is_the_slope(pull, offset):
    table = table_of(people(lambda share, _: offset + pull * share))
    assert table["slope"].tolist() == pytest.approx([pull] * 3, abs=1e-6)
    assert table["variation"].tolist() == pytest.approx([abs(pull)] * 3, abs=1e-6)


def test_numbers_are_those_of_another_library_and_trainings_are_averaged_first():
    noise = np.random.default_rng(5).normal(0, 0.02, 200)
    draw = iter(noise)
    frame = people(lambda share, _: 0.1 + 0.5 * share + next(draw), seeds=(1, 2))
    cell = table_of(frame).loc[("gm", "kmeans")]
    own = frame[frame["tissue"] == "gm"].groupby("subject").mean(numeric_only=True)
    found = stats.linregress(own["kmeans_ml"] / own["brain_ml"], own["ml"] / own["brain_ml"])
    assert cell["slope"] == pytest.approx(found.slope)
    # A low slope of people who differ otherwise: correlation times variation.
    assert cell["variation"] == pytest.approx(found.slope / found.rvalue)
    assert cell["low"] < cell["slope"] < cell["high"]
    difference = own["ml"] - own["kmeans_ml"]
    assert (cell["bias"], cell["spread"]) == pytest.approx((difference.mean(), difference.std()))
    assert (cell["n"], cell["trainings"]) == (12, 2)


def test_people_who_are_all_alike_have_no_slope():
    frame = people(lambda share, _: share)
    frame["kmeans_ml"] = frame["brain_ml"] / 3  # a share that only rounding varies
    table = table_of(frame)
    assert table[["slope", "low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize("count", [1, 2])
def test_two_people_have_no_slope(count):
    table = table_of(people(lambda share, _: share, count=count))
    assert table[["slope", "low", "high"]].isna().all(axis=None)
    assert table["bias"].notna().all()


def test_it_is_drawn_the_same_twice_and_with_too_few_people(tmp_path):
    for count in (1, 6):
        frame = people(lambda share, _: 0.2 + 0.5 * share, count=count)
        table = volumes_table(frame, {"row": "Row"}, ["FLAIR"], seed=1)
        for number in (1, 2):
            files = [tmp_path / f"{count}_{number}.{kind}" for kind in ("png", "pdf")]
            figure_tissue_volumes(table, ["FLAIR"], *files, ceilings=[])
        drawn = [(tmp_path / f"{count}_{number}.png").read_bytes() for number in (1, 2)]
        assert drawn[0] == drawn[1]
    with pytest.raises(StudyError, match="nothing to draw"):
        figure_tissue_volumes(table.iloc[:0], ["FLAIR"], *files, ceilings=[])


def test_an_interval_beyond_the_axis_has_an_arrow_where_it_goes_on():
    figure = Figure()
    axes = figure.subplots()
    names = pd.Series({"a": "A", "b": "B", "c": "C"})
    cells = pd.DataFrame(
        {"slope": 0.5, "low": [-3.0, 0.0, 0.0], "high": [1.0, 5.0, 1.0]}, index=names.index
    )
    _slopes(DotPage(figure, np.array([[axes]]), names, ()), axes, cells)
    arrows = {(line.get_marker(), line.get_ydata()[0]) for line in axes.lines}
    assert {arrow for arrow in arrows if arrow[0] in "<>"} == {("<", 0), (">", 1)}
