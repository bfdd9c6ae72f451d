"""Fine detail: noise and waves of known power, and what the rim and blur do to it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.spectrum import RIM, fine_power

SHAPE = (96, 80, 6)
WHOLE = np.ones(SHAPE, bool)


def wave(cycles_per_voxel: float, amplitude: float, axis: int = 0) -> np.ndarray:
    phase = 2 * np.pi * cycles_per_voxel * np.indices(SHAPE)[axis]
    return 0.5 + amplitude * np.sin(phase)


def test_noise_has_the_share_of_its_power_that_lies_beyond():
    noise = 0.5 + 0.1 * np.random.default_rng(0).standard_normal(SHAPE)
    # The disc of a third of a cycle a voxel within the square of a cycle a voxel.
    assert fine_power(noise, WHOLE) == pytest.approx(0.01 * (1 - np.pi / 9), rel=0.02)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_wave_counts_if_it_is_fine(axis):
    periods = SHAPE[axis]
    fine, coarse = round(0.4 * periods) / periods, round(0.25 * periods) / periods
    assert fine_power(wave(fine, 0.2, axis), WHOLE) == pytest.approx(0.02, rel=0.05)
    assert fine_power(wave(coarse, 0.2, axis), WHOLE) < 1e-12


def test_a_step_between_slices_is_no_detail_of_slices():
    volume = np.broadcast_to(np.arange(SHAPE[2]) % 2, SHAPE).astype(float)
    assert fine_power(volume, WHOLE) < 1e-12


def test_the_border_of_the_brain_is_left_out():
    """A constant brain has none, whatever lies around it."""
    mask = np.zeros(SHAPE, bool)
    mask[20:70, 20:60] = True
    assert fine_power(np.where(mask, 0.7, 0.0), mask) < 1e-12
    # Of a bright rim no more is left than what rings within: under two thousandths of its square.
    rim = mask & ~ndimage.binary_erosion(mask, np.ones((3, 3, 1)))
    assert fine_power(np.where(rim, 1.0, 0.5), mask) < 0.002 * 0.5**2
    thin = np.zeros(SHAPE, bool)
    thin[40 : 40 + 2 * RIM] = True
    assert np.isnan(fine_power(np.ones(SHAPE), thin))
    assert np.isnan(fine_power(np.ones(SHAPE), ~WHOLE))


@given(st.integers(0, 9), st.floats(0.1, 3.0), st.floats(0.3, 2.0))
def test_it_grows_with_the_square_and_falls_with_blur(seed, gain, blur):
    volume = np.random.default_rng(seed).random((32, 30, 2))
    mask = np.ones(volume.shape, bool)
    power = fine_power(volume, mask)
    assert fine_power(gain * volume + 0.1, mask) == pytest.approx(gain**2 * power)
    blurred = ndimage.gaussian_filter(volume, (blur, blur, 0), mode="wrap")
    assert fine_power(blurred, mask) < power


def test_a_mask_of_another_grid_is_refused():
    with pytest.raises(StudyError, match=r"fine detail: volume \(96, 80, 6\), mask \(4, 4, 4\)"):
        fine_power(np.ones(SHAPE), np.ones((4, 4, 4), bool))
