"""People and trainings: closed forms, another library, and coverage on constructed scores."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.crossed import crossed, crossed_interval, mean_interval
from lmidiff.evaluation.scores import METRIC_COLUMNS, SLICE_COLUMNS
from lmidiff.evaluation.statistics import bootstrap_interval
from lmidiff.verdicts.claims import Claim, Claims
from lmidiff.verdicts.comparisons import compare_rows
from lmidiff.verdicts.differences import PairedScores
from lmidiff.verdicts.over_trainings import (
    any_part_crossed_p,
    crossed_p,
    people_to_settle,
)
from lmidiff.verdicts.rule import HELD, NOT_HELD, UNDECIDED, judge, stacked

SEEDS = (1, 2, 3)


def test_where_trainings_agree_it_is_the_t_test_over_people():
    people = np.random.default_rng(0).normal(0.3, 1, 9)
    values = np.repeat(people[:, None], 3, axis=1)
    due = stats.ttest_1samp(people, 0, alternative="greater")
    assert crossed(values).freedom == pytest.approx(8)
    assert crossed_p(values[None])[0] == pytest.approx(due.pvalue)
    ends = stats.ttest_1samp(people, 0).confidence_interval(0.95)
    assert crossed_interval(values)[1:3] == pytest.approx((ends.low, ends.high))
    both = crossed_p(-values[None], two_sided=True)[0]
    assert both == pytest.approx(stats.ttest_1samp(people, 0).pvalue)


def test_where_people_agree_it_is_the_t_test_over_trainings():
    trainings = np.array([0.1, 0.3, 0.35])
    values = np.repeat(trainings[None], 9, axis=0)
    ends = stats.ttest_1samp(trainings, 0).confidence_interval(0.95)
    assert crossed_interval(values)[1:3] == pytest.approx((ends.low, ends.high))


def test_satterthwaites_freedom_is_welchs():
    # Two independent means, their variances over their numbers: Welch's test has the same form.
    generator = np.random.default_rng(1)
    people, trainings = generator.normal(0, 1, 12), generator.normal(0, 0.5, 4)
    people, trainings = people - people.mean(), trainings - trainings.mean()
    found = crossed(people[:, None] + trainings[None])
    due = stats.ttest_ind(people, trainings, equal_var=False)
    assert found.freedom == pytest.approx(due.df)
    assert found.error == pytest.approx(
        np.sqrt(people.var(ddof=1) / 12 + trainings.var(ddof=1) / 4)
    )


@pytest.mark.parametrize("between", [0.0, 0.3, 1.0, 3.0], ids="trainings differ by {}".format)
def test_ninety_five_percent_covers_what_it_says(between):
    # Spread of people 1, of how a training suits a person .5; 12 people, 3 trainings. Where
    # trainings differ most it falls a little short: docs/verdicts.md.
    generator = np.random.default_rng(2)
    hit = 0
    for _ in range(2000):
        values = generator.normal(0, 1, (12, 1)) + generator.normal(0, between, (1, 3))
        _, low, high, _ = crossed_interval(values + generator.normal(0, 0.5, (12, 3)))
        hit += low <= 0 <= high
    assert 0.92 <= hit / 2000 <= 0.98


def test_people_alone_would_not_cover():
    generator = np.random.default_rng(3)
    hit = 0
    for _ in range(500):
        values = generator.normal(0, 1, (12, 1)) + generator.normal(0, 1, (1, 3))
        _, low, high, _ = bootstrap_interval(values.mean(axis=1), seed=1)
        hit += low <= 0 <= high
    assert hit / 500 < 0.7, "so the variance of trainings is needed"


def test_a_rival_of_one_training_is_not_covered():
    # docs/verdicts.md: how another training of it would differ is in no interval.
    generator = np.random.default_rng(4)
    hit = 0
    for _ in range(1000):
        mine = generator.normal(0, 1, (12, 1)) + generator.normal(0, 1, (1, 3))
        rival = generator.normal(0, 1)  # its training, the same beside each of the three
        _, low, high, _ = crossed_interval(mine - rival)
        hit += low <= 0 <= high
    assert hit / 1000 < 0.88


@given(
    st.integers(2, 9), st.integers(2, 4), st.floats(-5, 5), st.floats(0.1, 9), st.integers(0, 99)
)
def test_shift_scale_and_order(n, k, shift, scale, seed):
    generator = np.random.default_rng(seed)
    values = generator.normal(0, 1, (n, k))
    plain, moved = crossed_interval(values), crossed_interval(values * scale + shift)
    for end in range(3):
        assert moved[end] == pytest.approx(plain[end] * scale + shift, abs=1e-9)
    again = crossed_interval(generator.permutation(generator.permutation(values), axis=1))
    assert again == pytest.approx(plain)
    assert crossed_p(values[None])[0] + crossed_p(-values[None])[0] == pytest.approx(1)


def test_one_training_is_the_bootstrap_and_a_person_without_a_number_is_left_out():
    values = np.array([0.1, 0.4, math.nan, 0.2])
    assert mean_interval(values[:, None], seed=3) == bootstrap_interval(values, seed=3)
    assert mean_interval(pd.DataFrame(), seed=3).n == 0
    several = np.array([[0.1, 0.2], [0.3, math.nan], [0.5, 0.3]])
    assert mean_interval(several, seed=3) == crossed_interval(several[[0, 2]])


def test_what_has_no_variance():
    with pytest.raises(StudyError, match="1 people and 3 trainings"):
        crossed(np.zeros((1, 3)))
    mean, low, high, n = crossed_interval(np.ones((1, 3)))
    assert (mean, n, math.isnan(low), math.isnan(high)) == (1.0, 1, True, True)
    assert crossed_p(np.ones((1, 1, 3)))[0] == 1
    assert crossed_p(np.zeros((1, 4, 3)))[0] == 0.5, "no spread and no difference: no evidence"
    assert crossed_p(np.ones((1, 4, 3)))[0] == 0
    assert math.isnan(people_to_settle(1.0, np.ones((1, 3)), 0.05))
    assert math.isinf(people_to_settle(0.0, np.ones((4, 3)), 0.05))
    assert people_to_settle(1.0, np.ones((4, 3)), 0.05) == 2


def test_some_part_pays_for_the_number_of_parts():
    values = np.random.default_rng(4).normal(0.5, 1, (3, 10, 3))
    assert any_part_crossed_p(values) == pytest.approx(3 * crossed_p(values).min())
    assert any_part_crossed_p(-values - 9) == 1


def test_more_people_settle_a_spread_of_people_and_none_that_of_trainings():
    generator = np.random.default_rng(5)
    people = generator.normal(0, 1, (10, 1)) + np.zeros((1, 3))
    needed = people_to_settle(0.4, people, 0.05)
    assert 10 < needed < 100
    # The power of as many people, by simulation of the same test.
    n, hits = int(needed), 0
    spread = people[:, 0].std(ddof=1)
    for _ in range(2000):
        drawn = generator.normal(0.4, spread, (n, 1)) + np.zeros((1, 3))
        hits += crossed_p(drawn[None])[0] <= 0.05
    assert hits / 2000 == pytest.approx(0.8, abs=0.04)
    trainings = np.zeros((10, 1)) + np.array([[-0.5, 0.0, 0.5]])
    assert math.isinf(people_to_settle(0.2, people + trainings, 0.05))


# -- the rule -------------------------------------------------------------------------------------


def scores(levels: dict[str, float], shifts: dict[str, tuple[float, ...]], people: int = 10):
    """A score a person and seed: level of the row, of the training, of the person; little noise.

    A row without shifts is not trained and has the first seed alone.
    """
    generator = np.random.default_rng(6)
    spread = generator.normal(0, 0.02, people)
    whole, slices = [], []
    for row, level in levels.items():
        for seed, shift in zip(SEEDS, shifts.get(row, (0.0,)), strict=False):
            for number in range(people):
                value = level + shift + spread[number] + generator.normal(0, 0.005)
                key = ("demo", row, "PDw", "T1w", f"sub-{number:02d}", seed)
                whole.append((*key, "brain", "ssim", value))
                slices += [(*key, z, "brain", "ssim", value) for z in range(3)]
    return PairedScores(
        pd.DataFrame(whole, columns=METRIC_COLUMNS), pd.DataFrame(slices, columns=SLICE_COLUMNS)
    )


def verdict(found: PairedScores) -> pd.Series:
    asked = Claim("c", "study", "c", "a", ("b",), ("ssim_brain",))
    claims = Claims(0.05, 0.8, {"ssim_brain": 0.01}, ("b",), (asked,))
    return judge(found, claims, ["PDw"], seed=1)[0].iloc[0]


def test_a_lead_that_trainings_do_not_share_is_undecided():
    apart = {"a": (-0.06, 0.0, 0.06), "b": (0.0, 0.0, 0.0)}
    same = {"a": (-0.001, 0.0, 0.001), "b": (0.0, 0.0, 0.0)}
    levels = {"a": 0.85, "b": 0.80}
    row = verdict(scores(levels, apart))
    assert (row["verdict"], row["subjects_to_settle"]) == (UNDECIDED, "more than 1000")
    row = verdict(scores(levels, same))
    assert (row["verdict"], row["trainings"], row["subjects"]) == (HELD, 3, 10)
    assert verdict(scores({"a": 0.80, "b": 0.85}, same))["verdict"] == NOT_HELD
    one = {"a": (-0.06,), "b": (0.0,)}
    assert verdict(scores({"a": 0.9, "b": 0.8}, one))["trainings"] == 1


def test_a_row_that_is_not_trained_stands_beside_every_training():
    shifts = {"a": (-0.03, 0.0, 0.03)}
    found = scores({"a": 0.85, "b": 0.80}, shifts)
    differences = found.differences("a", "b", "PDw", "ssim_brain")
    assert list(differences.values.columns) == list(SEEDS)
    means = differences.values.mean()
    assert means[3] - means[1] == pytest.approx(0.06, abs=0.01)
    assert found.differences("b", "a", "PDw", "ssim_brain").values.equals(-differences.values)
    values, _ = stacked([differences], list(differences.values.index))
    cell = compare_rows(found, {"a": "A", "b": "B"}, ["PDw"], ["b"], seed=1)
    cell = cell[cell["quantity"] == "ssim_brain"].iloc[0]
    assert cell[["difference", "low", "high"]].tolist() == pytest.approx(
        list(crossed_interval(values[0])[:3])
    )


def test_a_row_of_one_training_is_named():
    asked = Claim("c", "study", "c", "a", ("b", "d"), ("ssim_brain",))
    claims = Claims(0.05, 0.8, {"ssim_brain": 0.01}, ("b",), (asked,))
    levels = {"a": 0.85, "b": 0.80, "d": 0.80}
    found = scores(levels, {"a": (0.0, 0.01, 0.02), "d": (0.0, 0.01, 0.02)})
    row = judge(found, claims, ["PDw"], once=["b", "c"], seed=1)[0].iloc[0]
    assert row["note"] == "of one training, how much another differs is in no interval: b"
    assert judge(found, claims, ["PDw"], seed=1)[0].iloc[0]["note"] == ""
    alone = scores(levels, {})
    assert judge(alone, claims, ["PDw"], once=["b"], seed=1)[0].iloc[0]["note"] == ""


def test_what_is_shown_is_the_part_whose_p_value_decides():
    # Against d the mean is lower, but its trainings differ; against b they hardly do.
    asked = Claim("c", "study", "c", "a", ("b", "d"), ("ssim_brain",))
    claims = Claims(0.05, 0.8, {"ssim_brain": 0.01}, ("b",), (asked,))
    level = {"a": 0.80, "b": 0.83, "d": 0.85}
    found = scores(level, {"a": (0.0,) * 3, "b": (0.0,) * 3, "d": (-0.05, 0.0, 0.05)})
    verdicts, parts = judge(found, claims, ["PDw"], seed=1)
    shown, of = verdicts.iloc[0], parts.set_index("against")
    assert of.loc["d", "effect"] < of.loc["b", "effect"]
    assert (shown["against"], shown["verdict"]) == ("b", NOT_HELD)
    assert of.loc["b", "p_against"] == parts["p_against"].min()
    # Where all lie above, the least sure: against d the lead is greater and less certain.
    level = {"a": 0.80, "b": 0.77, "d": 0.74}
    found = scores(level, {"a": (0.0,) * 3, "b": (0.0,) * 3, "d": (-0.05, 0.0, 0.05)})
    verdicts, parts = judge(found, claims, ["PDw"], seed=1)
    assert verdicts.iloc[0]["against"] == "d"
    assert verdicts.iloc[0]["p_for"] == parts.set_index("against").loc["d", "p_for"]


def test_trainings_from_other_seeds_do_not_pair():
    found = scores({"a": 0.85, "b": 0.8}, {"a": (0.0, 0.1, 0.2), "b": (0.0, 0.1)})
    with pytest.raises(StudyError, match="a is of seeds 1, 2, 3 and b of 1, 2"):
        found.differences("a", "b", "PDw", "ssim_brain")
