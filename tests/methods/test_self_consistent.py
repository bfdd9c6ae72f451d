"""Intensity functions of a subject, and the method that holds a diffusion to its source."""

import numpy as np
import pytest
import torch
from scipy.stats import binned_statistic
from sklearn.isotonic import IsotonicRegression

from lmidiff.common.errors import StudyError
from lmidiff.images.intensities import by_subject, conditional_mean, explained, match_quantiles
from lmidiff.images.rim import inside_of
from lmidiff.methods import make
from lmidiff.methods.consistency import towards_function, towards_histogram
from lmidiff.methods.settings import Consistency
from lmidiff.models.histogram import TargetIntensities


def images(count=3, size=16, seed=0):
    """Random tissue in a box of air, (count, 1, size, size)."""
    tissue = torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))
    inside = torch.zeros(size, size)
    inside[2:-2, 3:-3] = 1
    return (0.05 + 0.9 * tissue) * inside


@pytest.mark.parametrize("function", [lambda y: 0.9 - 0.7 * y, lambda y: 4 * (y - 0.5) ** 2])
def test_a_function_of_the_source_is_its_own_conditional_mean(function):
    source = images(8)
    image = function(source) * (source > 0)
    fitted = conditional_mean(image, source, source > 0, 200)
    torch.testing.assert_close(fitted, image, rtol=0, atol=0.02)
    assert (fitted[source == 0] == 0).all()


def test_bins_hold_the_means_that_scipy_finds():
    source, image = images(4, seed=1), images(4, seed=2)
    given, values = source[source > 0].double().numpy(), image[source > 0].double().numpy()
    edges = np.quantile(given, np.linspace(0, 1, 9))
    means = binned_statistic(given, values, bins=edges).statistic
    centres = binned_statistic(given, given, bins=edges).statistic
    fitted = conditional_mean(image, source, source > 0, 8)[source > 0].numpy()
    np.testing.assert_allclose(fitted, np.interp(given, centres, means), atol=5e-3)


def test_what_is_left_does_not_depend_on_the_source():
    # The law of total variance: the rest is uncorrelated with every function of the source.
    source, noise = images(20, seed=3), 0.1 * torch.randn(20, 1, 16, 16)
    image = (0.9 - 0.7 * source + noise) * (source > 0)
    inside = source > 0
    rest = (image - conditional_mean(image, source, inside, 64))[inside]
    for function in (torch.sin, torch.square, torch.sign):
        both = torch.stack([rest, function(source[inside] - 0.4)])
        assert torch.corrcoef(both)[0, 1].abs() < 0.05
    assert rest.std().item() == pytest.approx(0.1, rel=0.1)


def test_an_unrelated_image_becomes_flat():
    source, image = images(20, seed=4), images(20, seed=5)
    assert conditional_mean(image, source, source > 0, 4)[source > 0].std() < 0.02


@pytest.mark.parametrize("bins", [2, 64, 10_000])
def test_repeated_values_and_few_voxels(bins):
    source, image = images(1, seed=6), images(1, seed=7)
    steps = (source * 3).ceil() / 3
    fitted = conditional_mean(image, steps, steps > 0, bins)
    assert torch.isfinite(fitted).all()
    if bins == 10_000:  # a bin a voxel: the mean over each repeated value
        for level in steps[steps > 0].unique():
            torch.testing.assert_close(
                fitted[steps == level], image[steps == level].mean().expand((steps == level).sum())
            )
    constant, air = 0.5 * (source > 0), torch.zeros_like(image)
    flat = conditional_mean(image, constant, constant > 0, bins)
    torch.testing.assert_close(flat[source > 0].unique().item(), image[source > 0].mean().item())
    assert conditional_mean(image, air, air > 0, bins).abs().max() == 0


def test_matching_keeps_the_order_and_gives_the_histogram():
    image = images(4, seed=8)
    brain = image > 0
    quantiles = torch.linspace(0, 1, 1025) ** 2
    matched = match_quantiles(image, brain, quantiles)
    values, before = matched[brain].numpy(), image[brain].numpy()
    monotone = IsotonicRegression().fit(before, values).predict(before)
    np.testing.assert_allclose(monotone, values, atol=1e-6)
    np.testing.assert_allclose(
        np.quantile(values, [0.25, 0.5, 0.9]), [0.0625, 0.25, 0.81], atol=0.01
    )


def test_subjects_do_not_mix():
    source, image = images(6, seed=9), images(6, seed=10)
    subjects = ["sub-1", "sub-2", "sub-1", "sub-3", "sub-2", "sub-1"]
    together = by_subject(lambda x, y: conditional_mean(x, y, y > 0, 16), subjects, image, source)
    rows = [0, 2, 5]
    alone = conditional_mean(image[rows], source[rows], source[rows] > 0, 16)
    assert torch.equal(together[rows], alone)


def test_the_explained_share_is_the_squared_correlation_of_a_line():
    source = images(20, seed=13)
    inside = source > 0
    image = (0.3 * source + 0.1 * torch.randn(source.shape)) * inside
    line = np.corrcoef(source[inside].numpy(), image[inside].numpy())[0, 1] ** 2
    share = explained(image, conditional_mean(image, source, inside, 20), inside)
    assert share == pytest.approx(line, abs=0.02)
    assert explained(source, source, inside) == pytest.approx(1)
    assert explained(0.5 * inside, source, inside) == 0


class Model:
    """Just enough of a diffusion model."""

    target = TargetIntensities(torch.linspace(0, 1, 1025) ** 2, torch.tensor(0.5))

    @staticmethod
    def to_range(image):
        return 2 * image - 1

    @staticmethod
    def to_image(x):
        return (x + 1) / 2


def constant(image):
    """A denoiser that always guesses ``image``."""
    return lambda x, t: Model.to_range(image)  # noqa: ARG005


def test_full_consistency_makes_the_inside_of_the_guess_a_function_of_the_source():
    source = images(2, seed=11)
    guess = images(2, seed=12)
    method = make("self_consistent", {"consistency": 1, "prior": 0}, Model(), 1)
    guided = method.consistent(constant(guess), source, ["sub-1", "sub-1"])
    image = Model.to_image(guided(guess, 5))
    inside, air = inside_of(source > 0), source == 0
    wanted = conditional_mean(guess, source, inside, 256)
    torch.testing.assert_close(image[inside], wanted[inside], rtol=0, atol=1e-6)
    torch.testing.assert_close(image[air], guess[air], rtol=0, atol=1e-6)  # air is free
    free = make("self_consistent", {"consistency": 0, "prior": 0}, Model(), 1)
    same = free.consistent(constant(guess), source, ["sub-1", "sub-1"])
    torch.testing.assert_close(same(guess, 5), Model.to_range(guess), rtol=0, atol=1e-6)


def test_the_share_is_what_the_source_explains_of_each_subject():
    source, unrelated = images(20, seed=14), images(20, seed=15)
    subjects = ["sub-1"] * 10 + ["sub-2"] * 10
    image = torch.cat([0.9 - 0.7 * source[:10], unrelated[10:]]) * (source > 0)
    held = Consistency(consistency="eta2", bins=32)
    moved = towards_function(image, source, subjects, held)
    inside = inside_of(source > 0)
    fitted = by_subject(
        lambda x, y, w: conditional_mean(x, y, w > 0, 32), subjects, image, source, inside.float()
    )
    for rows in (slice(0, 10), slice(10, 20)):
        share = explained(image[rows], fitted[rows], inside[rows])
        wanted = (1 - share) * image[rows] + share * fitted[rows]
        torch.testing.assert_close(
            moved[rows][inside[rows]], wanted[inside[rows]], rtol=0, atol=1e-6
        )
    assert explained(image[10:], fitted[10:], inside[10:]) < 0.1  # and so it is left alone


def test_the_rim_follows_what_lies_beside_it():
    # A rim of half coverage: the function is right inside, and the rim stays half of it.
    source = torch.full((1, 1, 12, 12), 0.0)
    source[..., 2:-2, 2:-2], source[..., 3:-3, 3:-3] = 0.3, 0.6
    guess = source * 0.5
    fully = Consistency(consistency=1.0, prior=0.0)
    moved = towards_function(guess, source, ["sub-1"], fully)
    torch.testing.assert_close(moved, guess, rtol=0, atol=1e-6)
    bright = TargetIntensities(torch.full((1025,), 0.8), torch.tensor(0.1))
    raised = towards_histogram(
        guess, source, ["sub-1"], bright, Consistency(consistency=0.0, prior=1.0)
    )
    assert raised[0, 0, 5, 5].item() == pytest.approx(0.8)
    assert raised[0, 0, 2, 5].item() == pytest.approx(0.4)


def test_one_pass_is_made_consistent_too():
    source, answer = images(4, seed=16), images(4, seed=17)

    class Regression(Model):
        def __call__(self, source):
            return answer * (source > 0)

    method = make(
        "cr_regression_consistent", {"consistency": 1, "prior": 0, "bins": 16}, Regression(), 1
    )
    image = method.translate(source, [("sub-1", n) for n in range(4)]).image
    inside = inside_of(source > 0)
    wanted = conditional_mean(answer * (source > 0), source, inside, 16)
    torch.testing.assert_close(image[inside], wanted[inside], rtol=0, atol=1e-6)


def test_no_function_of_intensity_comes_nearer_than_the_look_up():
    source = images(6, seed=18)
    truth = ((0.9 - 0.7 * source + 0.05 * torch.randn(source.shape)) * (source > 0)).clamp(0, 1)
    ids = [("sub-1", n) for n in range(6)]
    inside = inside_of(source > 0)
    fitted = make("lookup", {"bins": 16}, None, 1).answer(source, truth, ids).image

    def error(image):
        return (image - truth)[inside].square().mean().item()

    best = np.polynomial.Polynomial.fit(source[inside].numpy(), truth[inside].numpy(), 5)
    # A table of sixteen bins against five powers: equal but for the bins' own width.
    assert error(fitted) <= error(torch.from_numpy(best(source.numpy()))) * 1.001
    assert error(fitted) == pytest.approx(0.05**2, rel=0.25)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"consistency": 2}, "consistency 2 is not in"),
        ({"consistency": "most"}, "consistency 'most' is neither a share nor eta2"),
        ({"prior": -1}, "prior -1 is not in"),
        ({"bins": 1}, "bins 1 is not a whole number"),
    ],
)
def test_settings_that_make_no_sense(settings, says):
    with pytest.raises(StudyError, match=f"methods.self_consistent: {says}"):
        make("self_consistent", settings, None, 1)
