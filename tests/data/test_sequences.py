"""Signal equations against closed forms, and the contrast order of every modality."""

import numpy as np
import pytest

from lmidiff.common.errors import StudyError
from lmidiff.data.sequences import (
    SEQUENCES,
    TISSUES,
    Tissue,
    inversion_recovery,
    null_inversion_time,
    sequence_of,
    spin_echo,
    spoiled_gradient_echo,
)

GM = TISSUES["GM"]
LONG = 1e9


def test_spin_echo_limits():
    assert spin_echo(GM, tr=LONG, te=0) == pytest.approx(GM.pd)
    assert spin_echo(GM, tr=GM.t1, te=0) == pytest.approx(GM.pd * (1 - np.exp(-1)))
    assert spin_echo(GM, tr=LONG, te=GM.t2) == pytest.approx(GM.pd * np.exp(-1))
    assert spin_echo(GM, tr=0, te=0) == 0


def test_spoiled_gradient_echo_limits():
    saturated = spoiled_gradient_echo(GM, tr=20, te=0, flip=90)
    assert saturated == pytest.approx(GM.pd * (1 - np.exp(-20 / GM.t1)))
    assert spoiled_gradient_echo(GM, tr=LONG, te=0, flip=30) == pytest.approx(GM.pd * 0.5)
    assert spoiled_gradient_echo(GM, tr=20, te=5, flip=0) == 0
    decay = spoiled_gradient_echo(GM, tr=20, te=5, flip=30) / spoiled_gradient_echo(
        GM, tr=20, te=0, flip=30
    )
    assert decay == pytest.approx(np.exp(-5 / GM.t2s))


def test_spoiled_gradient_echo_peaks_at_the_ernst_angle():
    ernst = np.rad2deg(np.arccos(np.exp(-18 / GM.t1)))
    flips = np.linspace(1, 90, 891)
    signals = [spoiled_gradient_echo(GM, tr=18, te=5, flip=flip) for flip in flips]
    assert flips[np.argmax(signals)] == pytest.approx(ernst, abs=0.1)


def test_inversion_recovery_limits_and_null():
    assert inversion_recovery(GM, tr=LONG, te=0, ti=LONG / 2) == pytest.approx(GM.pd)
    assert inversion_recovery(GM, tr=LONG, te=0, ti=0) == pytest.approx(-GM.pd)
    for tr in (3000.0, 9000.0):
        ti = null_inversion_time(GM.t1, tr)
        assert inversion_recovery(GM, tr=tr, te=20, ti=ti) == pytest.approx(0, abs=1e-12)
    assert null_inversion_time(GM.t1, LONG) == pytest.approx(GM.t1 * np.log(2))
    assert null_inversion_time(2569, 9000) == pytest.approx(1704, abs=1)


@pytest.mark.parametrize("modality", SEQUENCES)
def test_signal_grows_with_density_and_t2_and_falls_with_echo_time(modality):
    sequence = SEQUENCES[modality]
    scale = np.linspace(0.5, 1.5, 11)
    denser = sequence.signal(Tissue(GM.t1, GM.t2, GM.t2s, GM.pd * scale))
    slower = sequence.signal(Tissue(GM.t1, GM.t2 * scale, GM.t2s * scale, GM.pd))
    assert (np.diff(denser) > 0).all()
    assert (np.diff(slower) > 0).all()
    later = {**sequence.parameters, "te": sequence.parameters["te"] + 10}
    assert sequence.equation(GM, **later) < sequence.signal(GM)


@pytest.mark.parametrize("modality", SEQUENCES)
def test_longer_t1_never_brightens(modality):
    signal = SEQUENCES[modality].signal(Tissue(np.linspace(300, 3000, 50), 80.0, 60.0, 0.8))
    assert (np.diff(signal) < 0).all()


@pytest.mark.parametrize(
    ("modality", "darkest_to_brightest"),
    [
        ("T1w", ["CSF", "GM", "WM"]),
        ("PDw", ["WM", "GM", "CSF"]),
        ("T2w", ["WM", "GM", "CSF"]),
        ("FLAIR", ["CSF", "WM", "GM"]),
    ],
)
def test_contrast_order(modality, darkest_to_brightest):
    signals = {name: abs(SEQUENCES[modality].signal(tissue)) for name, tissue in TISSUES.items()}
    assert sorted(signals, key=signals.get) == darkest_to_brightest


def test_grey_to_white_ratios_are_those_of_sri24():
    ratios = {
        name: sequence.signal(GM) / sequence.signal(TISSUES["WM"])
        for name, sequence in SEQUENCES.items()
    }
    assert ratios["T1w"] == pytest.approx(492 / 705, abs=0.02)
    assert ratios["PDw"] == pytest.approx(763 / 647, abs=0.06)
    assert ratios["T2w"] == pytest.approx(500 / 359, abs=0.03)


def test_unknown_modality_is_one_line():
    with pytest.raises(StudyError, match=r"^T3w: .*T1w, PDw, T2w, FLAIR$"):
        sequence_of("T3w")
