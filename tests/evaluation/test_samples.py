"""The distance of samples to real slices, against double loops and known distributions."""

import numpy as np
import pytest
import torch
from PIL import Image

from discs import CPU, trained_on_discs
from lmidiff.common.errors import StudyError
from lmidiff.common.seeds import seed_of
from lmidiff.evaluation.samples import (
    REAL,
    TRAINING,
    Kernel,
    features,
    mmd2,
    nearest,
    sample_distances,
)
from lmidiff.figures.samples import figure_samples, sample_rows
from lmidiff.methods.unconditional import draw
from lmidiff.models import diffusion, is_unconditional, stylegan
from method_cases import travelling


def blobs(count, seed, centre=0.0, sharp=1.0, side=32):
    """Slices of one blob each, at a random place around a centre."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:side, :side] - side / 2
    place = centre + 2.5 * rng.standard_normal((count, 2, 1, 1))
    far = np.hypot(row - place[:, 0], column - place[:, 1])
    size = side / 4 + rng.standard_normal((count, 1, 1))
    return 0.8 / (1 + np.exp(sharp * (far - size)))


# --- features and kernel --------------------------------------------------------------------


def test_coarse_intensities_are_means_over_cells():
    images = np.random.default_rng(0).random((2, 32, 48))
    coarse, _ = features(images)
    expected = images.reshape(2, 16, 2, 16, 3).mean((2, 4)).reshape(2, -1)
    np.testing.assert_allclose(coarse, expected)
    assert features(np.random.default_rng(0).random((2, 37, 50)))[0].shape == (2, 256)


@pytest.mark.parametrize("turn", range(4))
def test_a_ramp_has_all_its_gradient_in_one_direction(turn):
    ramp = np.rot90(np.broadcast_to(0.01 * np.arange(32.0)[:, None], (32, 32)), turn)[None]
    histogram = features(ramp)[1].reshape(8, 16)  # direction, cell
    strong = histogram.sum(1) > 1e-9
    assert strong.sum() == 1
    np.testing.assert_allclose(histogram[strong], 0.01)  # the slope, in every cell
    assert np.flatnonzero(strong)[0] in (0, 2, 4, 6)


def test_the_kernel_by_hand():
    real, a, b = blobs(5, 0), blobs(3, 1), blobs(4, 2)
    widths = []
    for each in features(real):
        pairs = [np.sum((each[i] - each[j]) ** 2) for i in range(5) for j in range(i)]
        widths.append(np.median(pairs))
    matrix = Kernel(real)(a, b)
    for i in range(3):
        for j in range(4):
            exponent = sum(
                np.sum((x[i] - y[j]) ** 2) / m
                for x, y, m in zip(features(a), features(b), widths, strict=True)
            )
            assert matrix[i, j] == pytest.approx(np.exp(-exponent / 2), rel=1e-9)


def test_mmd_by_a_double_loop():
    kernel = Kernel(blobs(6, 0))
    a, b = blobs(5, 1), blobs(7, 2, centre=1.0)
    within_a, within_b, between = kernel(a, a), kernel(b, b), kernel(a, b)
    total = 0.0
    for i in range(5):
        total += sum(within_a[i, j] for j in range(5) if j != i) / (5 * 4)
        total -= 2 * sum(between[i, j] for j in range(7)) / (5 * 7)
    for i in range(7):
        total += sum(within_b[i, j] for j in range(7) if j != i) / (7 * 6)
    assert mmd2(within_a, within_b, between) == pytest.approx(total, rel=1e-9)


def mmd_of(a, b):
    kernel = Kernel(np.concatenate([a, b]))
    return mmd2(kernel(a, a), kernel(b, b), kernel(a, b))


def test_it_is_0_in_expectation_for_one_distribution_and_above_0_for_two():
    same = [mmd_of(blobs(20, 2 * n), blobs(20, 2 * n + 1)) for n in range(60)]
    error = np.std(same, ddof=1) / np.sqrt(len(same))
    assert abs(np.mean(same)) < 4 * error
    assert min(same) < 0 < max(same)  # unbiased: it is not squashed at 0
    for other in ({"centre": 5.0}, {"sharp": 0.3}):
        different = [mmd_of(blobs(20, 2 * n), blobs(20, 2 * n + 1, **other)) for n in range(10)]
        assert min(different) > max(same), other


# --- the table ------------------------------------------------------------------------------


@pytest.fixture
def people():
    return {f"sub-{n}": blobs(6, 50 + n) for n in range(4)}


def value(table, images, quantity="mmd2"):
    row = table[(table["images"] == images) & (table["quantity"] == quantity)]
    assert len(row) == 1
    return row.iloc[0]


def test_the_table_orders_what_is_near_and_what_is_far(people):
    training = blobs(40, 7)
    drawn = {"good": blobs(30, 8), "blurred": blobs(30, 9, sharp=0.3), "memory": training[:30]}
    table = sample_distances(drawn, training, people, seed=1)
    assert value(table, "blurred")["mean"] > 3 * abs(value(table, "good")["mean"])
    assert value(table, REAL)["high"] < value(table, "blurred")["low"]
    assert value(table, TRAINING)["count"] == 40
    assert value(table, "good")["count"] == 30
    assert value(table, "memory", "nearest_training")["high"] == pytest.approx(0, abs=1e-6)
    others = [value(table, name, "nearest_training")["mean"] for name in ("good", REAL)]
    assert min(others) > 0.01
    assert table.equals(sample_distances(drawn, training, people, seed=1))


def test_one_held_out_person_has_a_distance_but_no_floor(people):
    training = blobs(20, 7)
    table = sample_distances({"model": blobs(9, 8)}, training, {"sub-1": people["sub-1"]}, seed=1)
    assert np.isfinite(value(table, "model")["mean"])
    assert value(table, "model")["low"] == value(table, "model")["high"]
    assert np.isnan(value(table, REAL)["mean"])


def test_too_few_real_slices_are_told():
    with pytest.raises(StudyError, match="at least two real slices that differ"):
        sample_distances({}, blobs(5, 1), {"sub-1": np.zeros((3, 32, 32))}, seed=1)
    with pytest.raises(StudyError, match="16 px"):
        features(np.zeros((2, 8, 8)))


def test_the_nearest_training_slice_may_be_a_mirror_image():
    among = blobs(6, 3)
    near, squared = nearest(among[[4, 1]][:, ::-1] + 0.01, among)
    assert list(near) == [4, 1]
    np.testing.assert_allclose(squared, 0.01**2, rtol=1e-6)


def test_the_grid_shows_first_draws_held_out_and_nearest(people, tmp_path):
    training, drawn = blobs(20, 7), {"model": blobs(9, 8)}
    rows = sample_rows(drawn, training, people, shown=5)
    assert list(rows) == ["held-out slices", "model", "nearest to\nmodel"]
    assert np.array_equal(rows["model"], drawn["model"][:5])
    assert all(len(images) == 5 for images in rows.values())
    files = tmp_path / "a.png", tmp_path / "a.pdf"
    figure_samples(rows, *files)
    first = [file.read_bytes() for file in files]
    figure_samples(rows, *files)
    assert [file.read_bytes() for file in files] == first
    page = np.asarray(Image.open(files[0]).convert("L"))
    assert page.shape[1] > 2000
    assert (page < 10).mean() > 0.2  # air
    with pytest.raises(StudyError, match="nothing to draw"):
        figure_samples({}, *files)


# --- drawing --------------------------------------------------------------------------------


def diffusion_settings(condition):
    return {
        "family": "diffusion",
        "diffusion": {"range": "unit"},
        "guidance": {"condition": condition},
        "contrast": {},
        "unet": {"channels": [8, 8], "attention": [False, True], "groups": 4, "head_channels": 8},
        "training": {},
    }


def test_which_models_need_no_source():
    assert is_unconditional(trained_on_discs()[0])
    assert is_unconditional(diffusion_settings("none"))
    assert not is_unconditional(diffusion_settings("both"))
    assert not is_unconditional({"family": "histogram"})


@pytest.mark.parametrize("family", ["stylegan", "diffusion"])
def test_a_draw_depends_on_seed_and_number_alone(family):
    if family == "stylegan":
        settings, weights, _ = trained_on_discs()
    else:
        settings = diffusion_settings("none")
        network = diffusion.DiffusionModel(settings, CPU).network
        generator = torch.Generator().manual_seed(4)
        weights = {  # MONAI's last layer starts at 0
            name: value + 0.1 * torch.randn(value.shape, generator=generator)
            for name, value in network.state_dict().items()
        } | travelling()
    options = {"sampling": {"steps": 2, "draws": 7}, "size": (16, 16), "device": CPU}
    images = draw(settings, weights, count=5, seed=1, **options)
    assert images.shape == (5, 1, 16, 16)
    assert images.min() >= 0
    assert images.max() <= 1
    assert images.std(0).max() > 0.01
    assert torch.equal(images, draw(settings, weights, count=5, seed=1, **options))
    fewer = draw(settings, weights, count=3, seed=1, **options)
    torch.testing.assert_close(fewer, images[:3], rtol=0, atol=1e-5)
    assert not torch.allclose(images, draw(settings, weights, count=5, seed=2, **options))
    if family == "stylegan":
        model = stylegan.load(settings, weights, CPU)
        alone = model.sample([seed_of(1, "sample", 3)])[0]
        torch.testing.assert_close(images[3], alone, rtol=0, atol=1e-5)
