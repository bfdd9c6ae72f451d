import math

import numpy as np
import pytest
from scipy import stats

from lmidiff.common.errors import StudyError
from lmidiff.common.seeds import generator_of
from lmidiff.evaluation.statistics import bootstrap_interval


def test_is_scipys_percentile_bootstrap():
    values = np.random.default_rng(0).gamma(2, size=17)
    found = bootstrap_interval(values, seed=4)
    oracle = stats.bootstrap(
        (values,), np.mean, n_resamples=2000, method="percentile", rng=generator_of(9)
    ).confidence_interval
    assert found.mean == pytest.approx(values.mean())
    assert found.n == 17
    # Two independent runs of 2000 resamples differ by a few per cent of the width.
    width = oracle.high - oracle.low
    assert found.low == pytest.approx(oracle.low, abs=0.06 * width)
    assert found.high == pytest.approx(oracle.high, abs=0.06 * width)


def test_covers_the_truth_nearly_as_often_as_it_says():
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(600):
        found = bootstrap_interval(generator.normal(5, 2, 40), seed=0)
        hits += found.low <= 5 <= found.high
    # The binomial standard error of 600 trials is 0.9 %.
    assert 0.90 <= hits / 600 <= 0.975


def test_more_subjects_are_narrower():
    values = np.random.default_rng(2).normal(size=100)
    many, few = (bootstrap_interval(values[:n], seed=1) for n in (100, 10))
    assert many.high - many.low < few.high - few.low


def test_same_seed_same_interval():
    values = [float(i**2) for i in range(9)]
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


def test_one_subject_and_none():
    one = bootstrap_interval([0.5, math.nan], seed=0)
    assert one.mean == 0.5
    assert one.n == 1
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    none = bootstrap_interval([math.nan], seed=0)
    assert none.n == 0
    assert math.isnan(none.mean)


def test_equal_values_have_an_interval_of_no_width():
    found = bootstrap_interval([0.25] * 5, seed=0)
    assert found.low == found.mean == found.high == 0.25


@pytest.mark.filterwarnings("error")
def test_perfect_matches_give_infinity_and_never_nan():
    assert bootstrap_interval([math.inf] * 4, seed=0)[:3] == (math.inf,) * 3
    mixed = bootstrap_interval([20.0, 21.0, math.inf], seed=0)
    assert mixed.mean == math.inf
    assert mixed.low < math.inf
    assert mixed.high == math.inf


def test_values_must_be_a_list():
    with pytest.raises(StudyError, match="shape"):
        bootstrap_interval(np.ones((2, 2)), seed=0)
