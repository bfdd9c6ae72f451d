"""The way from the untouched source to the supervised row, on scores that tell the answer."""

import numpy as np
import pandas as pd
import pytest

from lmidiff.evaluation.scores import METRIC_COLUMNS, SLICE_COLUMNS
from lmidiff.verdicts.differences import PairedScores
from lmidiff.verdicts.gap import ALL, COLUMNS, gap_closed

SOURCES = ("PDw", "FLAIR")


def scores(levels: dict[tuple[str, str], list[float]], metric: str = "ssim") -> PairedScores:
    """Brain scores of each row and source, a value a subject."""
    keys = [
        ("demo", row, source, "T1w", f"sub-{number}", value)
        for (row, source), values in levels.items()
        for number, value in enumerate(values)
    ]
    whole = [(*key[:5], 1, "brain", metric, key[5]) for key in keys]
    slices = [(*key[:5], 1, 0, "brain", metric, key[5]) for key in keys]
    return PairedScores(
        pd.DataFrame(whole, columns=METRIC_COLUMNS), pd.DataFrame(slices, columns=SLICE_COLUMNS)
    )


def share(levels, source="PDw", quantity="ssim_brain", **metric) -> pd.Series:
    labels = {row: row.upper() for row, _ in levels}
    frame = gap_closed(scores(levels, **metric), labels, SOURCES, seed=1)
    assert list(frame) == COLUMNS
    rows = frame[(frame["source"] == source) & (frame["quantity"] == quantity)]
    return rows.set_index("method").loc["ours"]


def both(values: dict[str, list[float]]) -> dict[tuple[str, str], list[float]]:
    return {(row, source): level for row, level in values.items() for source in SOURCES}


def test_the_share_is_of_means_and_not_a_mean_of_shares():
    row = share(both({"source": [0.0, 0.2], "supervised": [0.8, 0.4], "ours": [0.6, 0.2]}))
    # Means: way (0.6 + 0.0) / 2, whole (0.8 + 0.2) / 2. The subjects' own shares are 0.75 and 0.
    assert row["share"] == pytest.approx(0.6)
    assert (row["status"], row["subjects"]) == ("measured", 2)
    assert (row["low"], row["high"]) == pytest.approx((0, 0.75))


def test_a_row_at_the_bound_closes_it_all_and_beyond_is_more():
    at = both({"source": [0.1, 0.2, 0.3], "supervised": [0.8, 0.9, 0.7], "ours": [0.8, 0.9, 0.7]})
    assert tuple(share(at)[["share", "low", "high"]]) == pytest.approx((1, 1, 1))
    beyond = both({"source": [0.0], "supervised": [0.5], "ours": [0.6]})
    row = share(beyond)
    assert row["share"] == pytest.approx(1.2)
    assert np.isnan(row["low"]), "one subject has no interval"


def test_where_lower_is_better_the_way_leads_down():
    levels = both({"source": [0.4, 0.4], "supervised": [0.1, 0.1], "ours": [0.2, 0.2]})
    assert share(levels, quantity="mae_brain", metric="mae")["share"] == pytest.approx(2 / 3)


def test_all_sources_together_are_the_mean_distance():
    levels = {
        **{("source", "PDw"): [0.0], ("supervised", "PDw"): [0.8], ("ours", "PDw"): [0.6]},
        **{("source", "FLAIR"): [0.9], ("supervised", "FLAIR"): [0.9], ("ours", "FLAIR"): [0.8]},
    }
    assert share(levels, source="FLAIR")["status"] == "no gap", "the source is as good"
    assert np.isnan(share(levels, source="FLAIR")["share"])
    assert share(levels, source=ALL)["share"] == pytest.approx((0.6 - 0.1) / 0.8)


def test_a_gap_that_some_subjects_do_not_have_is_none():
    # The mean is above the source, yet a resample of the second subject alone is not.
    levels = both({"source": [0.0, 0.5], "supervised": [0.8, 0.4], "ours": [0.6, 0.5]})
    row = share(levels)
    assert row["status"] == "no gap"
    assert np.isnan(row["share"])


def test_what_was_not_run_is_missing():
    levels = both({"source": [0.0], "supervised": [0.8], "ours": [0.6]})
    del levels["ours", "FLAIR"]
    assert share(levels, source="FLAIR")["status"] == "missing"
    assert share(levels, source=ALL)["status"] == "missing"
    assert share(levels)["status"] == "measured"
    without = {key: values for key, values in levels.items() if key[0] != "supervised"}
    frame = gap_closed(scores(without), {"source": "", "ours": ""}, SOURCES, seed=1)
    assert frame.empty
    assert list(frame) == COLUMNS


def test_a_subject_without_a_number_counts_on_neither_side():
    levels = both({"source": [0.0, 0.0], "supervised": [0.8, np.nan], "ours": [0.6, 0.0]})
    row = share(levels)
    assert (row["share"], row["subjects"]) == (pytest.approx(0.75), 1)
