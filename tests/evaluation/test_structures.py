"""Structures by a network that others trained: agreement and volume."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import dice as dissimilarity

from lmidiff.evaluation.published import NETWORKS
from lmidiff.evaluation.structures import COLUMNS, measure_structures, structures_table
from lmidiff.figures.structures import figure_structures

LABELS = {"thalamus": 7, "caudate": 8, "accumbens": 16}


def test_the_networks_structures_are_all_of_its_labels():
    assert sorted(NETWORKS["model30chan18cls"].labels.values()) == list(range(1, 18))


def test_dice_and_volume_inside_the_brain():
    rng = np.random.default_rng(0)
    found, wanted = (rng.choice([0, 7, 8], (8, 9, 5)) for _ in range(2))
    mask = np.zeros(found.shape, bool)
    mask[2:7, 1:8] = True
    cells = {name: rest for name, *rest in measure_structures(found, wanted, mask, LABELS, 0.008)}
    for name in ("thalamus", "caudate"):
        ours, theirs = (each[mask] == LABELS[name] for each in (found, wanted))
        assert cells[name][0] == pytest.approx(1 - dissimilarity(ours, theirs))
        assert cells[name][1:] == pytest.approx([0.008 * ours.sum(), 0.008 * theirs.sum()])
    assert np.isnan(cells["accumbens"][0])
    assert cells["accumbens"][1:] == [0, 0]


def measured() -> pd.DataFrame:
    """Two rows of four people; the second row makes structures a quarter too large."""
    rows = []
    for method, ml in (("source", 4.0), ("ours", 5.0)):
        for number, person in enumerate("abcd"):
            for name in LABELS:
                value = (0.1 if method == "source" else 0.8) + 0.02 * number
                cell = (name, value, ml, 4.0) if name != "accumbens" else (name, np.nan, 0.5, 0.0)
                rows.append(("s", method, "FLAIR", "T1w", person, 1, *cell))
    return pd.DataFrame(rows, columns=COLUMNS)


def test_means_over_people():
    labels = {"ours": "Ours", "other": "Other", "source": "Source"}
    table = structures_table(measured(), labels, ["FLAIR"], seed=1)
    assert list(dict.fromkeys(table["method"])) == ["ours", "source"], "in order, those measured"
    cells = table.set_index(["method", "structure", "measure"])
    ours = cells.loc[("ours", "thalamus", "dice")]
    assert ours["mean"] == pytest.approx(0.83)
    assert 0.8 < ours["low"] < 0.83 < ours["high"] < 0.86
    assert cells.loc[("ours", "caudate", "excess"), "mean"] == pytest.approx(0.25)
    assert cells.loc[("source", "caudate", "excess"), "mean"] == pytest.approx(0)
    gone = cells.loc[("ours", "accumbens", "excess")]
    assert np.isnan(gone["mean"]), "no ratio to a structure that is not there"
    assert gone["n"] == 0


def test_it_is_drawn_with_what_nobody_has(tmp_path):
    table = structures_table(measured(), {"ours": "Ours", "source": "Source"}, ["FLAIR"], seed=1)
    figure_structures(table, ["FLAIR"], tmp_path / "a.png", tmp_path / "a.pdf")
    assert (tmp_path / "a.png").stat().st_size > 5000
