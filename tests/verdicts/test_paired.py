"""The paired statistics, against other libraries, brute force, and simulations."""

import itertools

import numpy as np
import pytest
from scipy import stats

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.statistics import bootstrap_interval
from lmidiff.verdicts.paired import (
    EXACT_SUBJECTS,
    MOST_SUBJECTS,
    any_part_p,
    hierarchical_intervals,
    holm,
    sign_flip_p,
    subjects_to_settle,
)

RANDOM = np.random.default_rng(20)


def no_slices(parts: int, subjects: int) -> np.ndarray:
    return np.zeros((parts, subjects, 0))


# -- sign flips -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 5, 9])
@pytest.mark.parametrize(("two_sided", "name"), [(False, "greater"), (True, "two-sided")])
def test_is_scipys_exact_permutation_test(n, two_sided, name):
    values = RANDOM.normal(0.4, 1, (3, n))
    oracle = [
        stats.permutation_test(
            (row,), np.mean, permutation_type="samples", alternative=name, n_resamples=np.inf
        ).pvalue
        for row in values
    ]
    assert sign_flip_p(values, two_sided=two_sided) == pytest.approx(oracle)


def test_no_p_is_below_what_the_subjects_can_resolve():
    assert sign_flip_p(np.full((1, 4), 9.0))[0] == 1 / 16
    assert sign_flip_p(np.full((1, 8), 9.0))[0] == 1 / 256
    assert sign_flip_p(np.full((1, 8), -9.0))[0] == 1
    assert sign_flip_p(np.zeros((1, 8)))[0] == 1
    assert sign_flip_p(np.zeros((2, 0))).tolist() == [1, 1]


def test_many_subjects_are_sampled_and_agree_with_the_t_test():
    values = RANDOM.normal(0.25, 1, (4, EXACT_SUBJECTS + 30))
    oracle = stats.ttest_1samp(values, 0, axis=1, alternative="greater").pvalue
    found = sign_flip_p(values)
    assert found == pytest.approx(oracle, abs=0.012)
    assert (found >= 1 / 2**EXACT_SUBJECTS).all()
    assert (found == sign_flip_p(values)).all()


def test_a_p_value_is_uniform_at_most_when_rows_are_alike():
    values = RANDOM.standard_t(2, (4000, 8))
    found = sign_flip_p(values)
    for level in (0.01, 0.05, 0.2):
        # Four binomial standard errors.
        assert (found <= level).mean() <= level + 4 * np.sqrt(level / 4000)
    assert (found <= 0.05).mean() > 0.04, "not merely never significant"


def test_any_part_is_the_smallest_p_over_joint_flips():
    values = RANDOM.normal(0.3, 1, (3, 6))
    flips = [np.array(f) for f in itertools.product((1, -1), repeat=6)]
    smallest = [sign_flip_p(values * flip).min() for flip in flips]
    oracle = np.mean([p <= sign_flip_p(values).min() + 1e-12 for p in smallest])
    assert any_part_p(values) == pytest.approx(oracle)


def test_any_part_costs_nothing_where_parts_agree_and_at_most_bonferroni():
    one = RANDOM.normal(0.8, 1, (1, 8))
    assert any_part_p(np.repeat(one, 5, axis=0)) == sign_flip_p(one)[0]
    for _ in range(50):
        values = RANDOM.normal(0.3, 1, (4, 7))
        least = sign_flip_p(values).min()
        assert least <= any_part_p(values) <= 4 * least + 1e-12


# -- Holm -----------------------------------------------------------------------------------------


def test_holm_is_the_closure_of_bonferroni():
    for size in (1, 2, 5):
        p = RANDOM.uniform(0, 0.3, size)
        sets = [s for r in range(1, size + 1) for s in itertools.combinations(range(size), r)]
        oracle = [
            max(min(1, len(s) * min(p[list(s)])) for s in sets if number in s)
            for number in range(size)
        ]
        assert holm(p) == pytest.approx(oracle)
    assert holm(np.array([])).tolist() == []


# -- the interval ---------------------------------------------------------------------------------


def test_without_slices_it_is_the_bootstrap_of_subjects():
    values = RANDOM.normal(1, 2, 12)
    found = hierarchical_intervals(values, no_slices(1, 12), seed=3)[0]
    oracle = bootstrap_interval(values, seed=3)
    assert found.mean == oracle.mean
    # Two independent runs of 2000 resamples.
    width = oracle.high - oracle.low
    assert found[1:3] == pytest.approx(oracle[1:3], abs=0.08 * width)


def test_is_a_resampling_of_subjects_and_of_slices_within_them():
    values, deviations = RANDOM.normal(1, 0.5, 6), RANDOM.normal(0, 2, (6, 4))
    found = hierarchical_intervals(values, deviations[None], seed=0)[0]
    means = []
    for _ in range(4000):
        people = RANDOM.integers(0, 6, 6)
        means.append(
            np.mean([values[p] + deviations[p, RANDOM.integers(0, 4, 4)].mean() for p in people])
        )
    low, high = np.quantile(means, [0.025, 0.975])
    assert found.mean == values.mean()
    assert found.low == pytest.approx(low, abs=0.08 * (high - low))
    assert found.high == pytest.approx(high, abs=0.08 * (high - low))


def test_covers_the_truth_about_as_often_as_it_says_with_few_subjects():
    # Subjects of spread 1, ten slices of spread 1.5 about them; the score is the slices' mean.
    trials, n, depth = 1500, 8, 10
    people = RANDOM.normal(0.7, 1, (trials, n, 1))
    slices = people + RANDOM.normal(0, 1.5, (trials, n, depth))
    values = slices.mean(axis=2)
    found = hierarchical_intervals(values, slices - values[..., None], seed=0)
    hits = np.mean([interval.low <= 0.7 <= interval.high for interval in found])
    plain = np.mean([(i := bootstrap_interval(v, seed=0)).low <= 0.7 <= i.high for v in values])
    assert 0.90 <= hits <= 0.975
    assert hits > plain, "drawing slices as well widens what few subjects make too narrow"


def test_shapes_seeds_and_few_subjects():
    values, deviations = RANDOM.normal(size=(2, 5)), RANDOM.normal(size=(2, 5, 3))
    assert hierarchical_intervals(values, deviations, seed=1) == hierarchical_intervals(
        values, deviations, seed=1
    )
    assert hierarchical_intervals(values, deviations, seed=1) != hierarchical_intervals(
        values, deviations, seed=2
    )
    one = hierarchical_intervals(values[:, :1], deviations[:, :1], seed=1)[0]
    assert (one.mean, one.n) == (values[0, 0], 1)
    assert np.isnan([one.low, one.high]).all()
    none = hierarchical_intervals(values[:, :0], deviations[:, :0], seed=1)[1]
    assert none.n == 0
    assert np.isnan(none.mean)
    with pytest.raises(StudyError, match="bootstrap: slices"):
        hierarchical_intervals(values, deviations[:, :4], seed=1)


# -- how many subjects ----------------------------------------------------------------------------


@pytest.mark.parametrize(("effect", "subjects"), [(0.2, 156), (0.5, 27), (0.8, 12)])
def test_is_the_published_sample_size_of_the_paired_t_test(effect, subjects):
    # One-sided, level 0.05, power 0.8 (G*Power 3.1, matched pairs).
    assert subjects_to_settle(effect, 1.0, 0.05) == subjects
    assert subjects_to_settle(3 * effect, 3.0, 0.05) == subjects


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_that_many_subjects_reach_the_power_with_sign_flips_too(alpha):
    n = int(subjects_to_settle(1.0, 1.3, alpha))
    found = sign_flip_p(RANDOM.normal(1.0, 1.3, (800, n)))
    assert (found <= alpha).mean() == pytest.approx(0.8, abs=0.09)


def test_never_fewer_than_the_test_can_resolve_and_never_a_made_up_number():
    assert subjects_to_settle(100.0, 1.0, 0.05) == 5
    assert subjects_to_settle(100.0, 0.0, 0.05 / 7) == 8
    assert subjects_to_settle(0.0, 1.0, 0.05) == np.inf
    assert subjects_to_settle(-1.0, 1.0, 0.05) == np.inf
    assert subjects_to_settle(0.01, 1.0, 0.05) == np.inf, f"beyond {MOST_SUBJECTS}"
    assert np.isnan(subjects_to_settle(1.0, np.nan, 0.05))
