"""Atrophy: what fluid gains the tissue loses, by as much as a boundary that moves would have it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lmidiff.data.anatomy import icbm_anatomy
from lmidiff.data.atrophy import widened
from lmidiff.data.grid import Grid
from lmidiff.data.simulate import SimulationSettings

SMALL = Grid(image_size=32, pixel_size=6.0, slices=2)


@st.composite
def anatomies(draw):
    """Fractions (3, X, Y, Z) of any brain, and the shares of two structures."""
    shape = (4, 7, 6, 2)
    weights = draw(arrays.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
    brain = draw(arrays.arrays(np.bool_, shape[1:]))
    fractions = weights[:3] / np.maximum(weights.sum(axis=0), 1e-3) * brain
    return np.concatenate([fractions, weights[:2] * fractions[1]])


@given(anatomies(), st.floats(0, 4), st.floats(0, 4), st.floats(0.5, 3))
def test_fluid_grows_with_the_distance_and_nothing_else_does(values, one, other, spacing):
    less, more = (widened(values, mm, spacing) for mm in sorted((one, other)))
    assert less.dtype == more.dtype == np.float32
    for at in (less, more):
        assert at.min() >= 0
        assert at.max() <= 1 + 1e-6
        np.testing.assert_allclose(at[:3].sum(axis=0), values[:3].sum(axis=0), atol=1e-6)
    assert (more[0] >= less[0]).all()
    assert (less[0] >= values[0]).all()
    assert (more[1:] <= less[1:] + 1e-6).all()


@given(anatomies())
def test_no_atrophy_is_the_same_array(values):
    assert widened(values, 0.0, 1.0) is values


@given(anatomies(), st.floats(0.1, 4))
def test_tissues_of_a_point_keep_their_proportion(values, distance):
    after = widened(values, distance, 1.0)
    for n in range(2, 5):
        np.testing.assert_allclose(after[n] * values[1], after[1] * values[n], atol=1e-6)


@pytest.mark.parametrize("distance", [0.2, 0.75, 1.0, 3.3])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_straight_edge_gains_its_length_times_the_distance(distance, axis):
    spacing, length = 1.5, 11
    fluid = np.zeros((40, length, 1), np.float32)
    fluid[:8], fluid[8] = 1, 0.3
    values = np.stack([fluid, 0.25 * (1 - fluid), 0.75 * (1 - fluid)])
    if axis:
        values = values.swapaxes(1, 2)
    gained = (widened(values, distance, spacing)[0] - values[0]).sum() * spacing**2
    assert gained == pytest.approx(distance * length * spacing, rel=1e-4)


def test_a_round_ventricle_grows_in_radius():
    """Area pi r^2 becomes pi (r + d)^2."""
    spacing, radius = 1.0, 12.0
    at = np.arange(64) - 31.5
    away = np.hypot(at[:, None], at[None])[..., None]
    fluid = np.clip(radius + 0.5 - away, 0, 1).astype(np.float32)
    values = np.stack([fluid, 1 - fluid, 0 * fluid])
    for distance in (1.0, 2.0, 4.0):
        area = widened(values, distance, spacing)[0].sum() * spacing**2
        assert area == pytest.approx(np.pi * (radius + distance) ** 2, rel=0.03)


def test_slices_do_not_know_each_other():
    rng = np.random.default_rng(0)
    fluid = rng.random((9, 9, 2), dtype=np.float32)
    values = np.stack([fluid, 1 - fluid, 0 * fluid])
    alone = widened(values[..., :1], 1.2, 1.0)
    np.testing.assert_array_equal(widened(values, 1.2, 1.0)[..., :1], alone)


def test_a_person_with_more_atrophy_has_more_fluid_in_the_same_brain():
    people = [icbm_anatomy(SMALL, 7, "sub-00", atrophy=mm) for mm in (0.0, 0.5, 1.0, 2.0)]
    volumes = np.array([person.fractions.sum(axis=(1, 2, 3)) for person in people])
    assert (np.diff(volumes[:, 0]) > 0).all()
    assert (np.diff(volumes[:, 1:], axis=0) < 0).all()
    for person in people:
        brain = people[0].fractions.sum(axis=0)
        np.testing.assert_allclose(person.fractions.sum(axis=0), brain, atol=1e-5)
        np.testing.assert_array_equal(person.affine, people[0].affine)


def test_each_person_draws_how_far_and_never_farther_than_the_setting():
    drawn = [
        [SimulationSettings(atrophy=mm).of_anatomy(1, n)["atrophy"] for n in range(200)]
        for mm in (1.0, 2.0)
    ]
    assert 0 <= min(drawn[0]) < 0.05
    assert 0.95 < max(drawn[0]) <= 1
    assert np.mean(drawn[0]) == pytest.approx(0.5, abs=0.07)
    np.testing.assert_allclose(drawn[1], 2 * np.array(drawn[0]))
    assert SimulationSettings().of_anatomy(1, 1) == {"slice_thickness": 0.0, "atrophy": 0.0}
