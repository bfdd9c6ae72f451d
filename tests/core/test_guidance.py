"""LMI as a condition and as a gradient: channels, times, and what is computed how often."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from lmidiff import guidance as module
from lmidiff.diffusion import SAMPLERS, Schedule, SliceNoise, final
from lmidiff.guidance import LIMIT, condition_maps, edges, lmi_maps, static_maps, steer
from lmidiff.lmi import local_mutual_information
from lmidiff.models.diffusion import DiffusionModel
from lmidiff.options import CONDITIONS, PAPER, Guidance, Sampling
from method_cases import brains

CPU = torch.device("cpu")
SIZE = 8


def images(count=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, SIZE, SIZE, generator=generator)


def blobs(count=2, size=16):
    """Smooth images with structure: a bright disc in a ramp."""
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    discs = [
        0.2 + 0.02 * row + 0.5 * ((row - 7) ** 2 + (column - 5 - i) ** 2 < 20) for i in range(count)
    ]
    return torch.stack(discs)[:, None].float()


def model_of(guidance, **diffusion):
    settings = {
        "diffusion": {"timesteps": 50, **diffusion},
        "guidance": guidance,
        "unet": {"channels": [4], "attention": [False], "groups": 2, "head_channels": 4},
        "training": {"batch_size": 3},
    }
    return DiffusionModel(settings, CPU)


# --- the condition's channels ---------------------------------------------------------------


@pytest.mark.parametrize("bandwidths", [(8.0,), (3.0, 8.0, 20.0)])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_maps_have_the_channels_that_are_promised(condition, bandwidths):
    guidance = Guidance(condition=condition, bandwidths=bandwidths, cutoffs=(1.0, 2.0, 3.0))
    y, x = images(), images(seed=1)
    maps = condition_maps(y, x, static_maps(y, guidance), guidance)
    count = len(bandwidths)
    expected = {"none": 0, "image": 1, "edges": 1, "self": count, "cross": count, "both": 2 * count}
    expected["frequency"] = 3
    assert guidance.channels == expected[condition]
    if condition == "none":
        assert maps is None
    else:
        assert maps.shape == (2, guidance.channels, SIZE, SIZE)


def test_maps_are_cross_then_self_a_channel_for_each_bandwidth():
    guidance = Guidance(bandwidths=(3.0, 20.0), estimator="parzen", normalized=False, search=False)
    y, x = images(), images(seed=1)
    options = {"estimator": "parzen", "normalized": False, "search": False}
    by_hand = [
        local_mutual_information(y, other, bandwidth=bandwidth, **options)
        for other in (x, y)
        for bandwidth in (3.0, 20.0)
    ]
    assert torch.equal(
        condition_maps(y, x, static_maps(y, guidance), guidance), torch.cat(by_hand, 1)
    )


def test_edges_are_the_sobel_gradient_in_units_of_its_root_mean_square():
    y = brains()
    maps = edges(y)
    for image, found in zip(y[:, 0].double().numpy(), maps[:, 0].numpy(), strict=True):
        whole = ndimage.binary_erosion(image > 0, np.ones((3, 3)))
        size = np.hypot(ndimage.sobel(image, 0), ndimage.sobel(image, 1)) * whole
        wanted = size / np.sqrt((size[whole] ** 2).mean()) / LIMIT
        np.testing.assert_allclose(found, wanted.clip(max=1), atol=1e-5)
    reversed_ = torch.where(y > 0, 1.1 - y, y)
    torch.testing.assert_close(edges(reversed_), maps, rtol=0, atol=1e-4)  # no contrast in it
    assert edges(torch.full((1, 1, 16, 16), 0.5)).abs().max() == 0


def test_image_condition_is_the_image_and_none_is_nothing():
    y, x = images(), images(seed=1)
    image, none = Guidance(condition="image"), Guidance(condition="none")
    assert torch.equal(condition_maps(y, x, static_maps(y, image), image), y)
    assert static_maps(y, none) is None
    assert condition_maps(y, x, None, none) is None


@pytest.mark.parametrize("condition", CONDITIONS)
def test_needs_sample_says_whether_the_maps_follow_the_sample(condition):
    guidance = Guidance(condition=condition)
    y = images()
    one, other = (
        condition_maps(y, images(seed=s), static_maps(y, guidance), guidance) for s in (1, 2)
    )
    changes = one is not None and not torch.equal(one, other)
    assert guidance.needs_sample == changes


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("condition", "contours"),
        ("estimator", "kraskov"),
        ("cross_time", "before"),
        ("patch_size", 4),
        ("patch_size", 1),
        ("bandwidths", ()),
        ("bandwidths", (8.0, 0.0)),
    ],
)
def test_wrong_settings_are_refused_by_name(key, value):
    with pytest.raises(ValueError, match=key):
        Guidance(**{key: value})


def test_paper_settings_are_the_authors():
    assert (
        Guidance(
            condition="both",
            estimator="reference",
            patch_size=3,
            bandwidths=(8.0,),
            normalized=True,
            search=True,
            cross_time="next",
        )
        == PAPER
    )
    assert PAPER.channels + 1 == 3  # the paper's three channels, x_t the first


# --- how often, and at which time -----------------------------------------------------------


@pytest.fixture
def calls(monkeypatch):
    """Every pair of images that LMI is asked for."""
    made = []

    def counted(source, sample, **options):
        made.append((source.clone(), sample.clone()))
        return local_mutual_information(source, sample, **options)

    monkeypatch.setattr(module, "local_mutual_information", counted)
    return made


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(
    ("condition", "static", "a_step"),
    [("none", 0, 0), ("self", 1, 0), ("cross", 0, 1), ("both", 1, 1), ("image", 0, 0)],
)
def test_the_static_map_is_computed_once_an_image(calls, sampler, condition, static, a_step):
    model = model_of({"condition": condition})
    y = images()
    settings = Sampling(sampler=sampler, steps=5, draws=3)
    with torch.no_grad():
        model.sample(model.denoiser(y), settings, y, [("sub-01", 0), ("sub-01", 1)], seed=1)
    own = [pair for pair in calls if torch.equal(*pair)]
    assert len(own) == static
    assert len(calls) - len(own) == 5 * 3 * a_step
    assert all(torch.equal(source, y) for source, _ in calls)


@pytest.mark.parametrize("cross_time", ["same", "next"])
def test_training_computes_the_cross_map_at_the_time_that_is_asked_for(
    calls, monkeypatch, cross_time
):
    model = model_of({"condition": "cross", "cross_time": cross_time}, range="unit")
    noised = []
    add_noise = Schedule.add_noise

    def spy(self, x0, noise, t):
        noised.append((x0, noise, t))
        return add_noise(self, x0, noise, t)

    monkeypatch.setattr(Schedule, "add_noise", spy)
    for seed in range(20):
        noised.clear()
        calls.clear()
        model.loss(images(5), None, torch.Generator().manual_seed(seed))
        (x0, noise, times), *_ = noised
        later = (times + 1).clamp(max=49) if cross_time == "next" else times
        ((source, x),) = calls
        torch.testing.assert_close(x, add_noise(model.schedule, x0, noise, later))
        assert torch.equal(source, x0)


def test_training_knows_the_last_time():
    # times + 1 must not run off the schedule: with one timestep every draw is the last.
    model = model_of({"condition": "both", "cross_time": "next"}, timesteps=1)
    assert torch.isfinite(model.loss(images(3), None, torch.Generator().manual_seed(1)))


# --- gradient guidance ----------------------------------------------------------------------


SCHEDULE = Schedule.linear()
MILD = {"estimator": "renyi2", "bandwidths": (20.0,), "condition": "none"}


def half(x, t):  # noqa: ARG001 - a denoiser
    return 0.5 * x


def unchanged(image):
    return image


def test_scale_zero_gives_the_denoiser_back():
    assert steer(SCHEDULE, half, blobs(), Guidance(**MILD), 0, unchanged) is half
    assert steer(SCHEDULE, half, blobs(), Guidance(**MILD), 0.0, unchanged) is half


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("estimator", ["renyi2", "parzen"])
def test_steering_raises_the_score_and_stays_finite(estimator, normalized):
    guidance = Guidance(**{**MILD, "estimator": estimator, "normalized": normalized})
    y = blobs()
    x = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    guided = steer(SCHEDULE, half, y, guidance, 0.02, unchanged)

    def score(x0):
        return lmi_maps(y, x0, guidance).mean((1, 2, 3))

    with torch.no_grad():  # as translation runs
        x0 = guided(x, 300)
    assert torch.isfinite(x0).all()
    assert not x0.requires_grad
    assert (score(x0) > score(half(x, 300)) + 1e-3).all()
    opposed = steer(SCHEDULE, half, y, guidance, -0.02, unchanged)(x, 300)
    assert (score(opposed) < score(half(x, 300))).all()


@pytest.mark.parametrize("estimator", ["renyi2", "parzen"])
def test_steering_raises_the_score_of_a_whole_run(estimator):
    guidance = Guidance(**{**MILD, "estimator": estimator})
    y = blobs()

    def denoise(x, t):
        """A prior that is a broad Gaussian about grey."""
        alpha, sigma = (float(value) for value in SCHEDULE.alpha_sigma(t))
        gain = alpha * 0.04 / (alpha**2 * 0.04 + sigma**2)
        return 0.5 + gain * (x - alpha * 0.5)

    scores = []
    for scale in (0.0, 0.05):
        guided = steer(SCHEDULE, denoise, y, guidance, scale, unchanged)
        noise = SliceNoise([1, 2])
        x0 = final(SAMPLERS["ddim"](SCHEDULE, guided, noise((1, 16, 16)), [999, 600, 300, 100]))
        scores.append(lmi_maps(y, x0, guidance).mean((1, 2, 3)))
    assert (scores[1] > scores[0] + 0.01).all()


@pytest.mark.parametrize("estimator", ["renyi2", "parzen"])
def test_steering_a_flat_image_moves_nothing_to_infinity(estimator):
    guidance = Guidance(**{**MILD, "estimator": estimator})
    flat = torch.full((1, 1, 16, 16), 0.5)
    x0 = steer(SCHEDULE, half, flat, guidance, 0.5, unchanged)(torch.ones(1, 1, 16, 16), 500)
    assert torch.isfinite(x0).all()


def test_the_shift_has_the_size_that_the_scale_says_whatever_the_image_size():
    guidance = Guidance(**MILD)
    for y in (blobs(size=16), blobs(size=32)):
        x = torch.rand(y.shape, generator=torch.Generator().manual_seed(0))
        shift = steer(SCHEDULE, half, y, guidance, 0.3, unchanged)(x, 700) - half(x, 700)
        size = shift.square().mean((1, 2, 3)).sqrt()
        sigma = float(SCHEDULE.alpha_sigma(700)[1])
        torch.testing.assert_close(size, torch.full((2,), 0.3 * sigma), rtol=1e-4, atol=1e-6)


def test_steering_a_slice_does_not_depend_on_its_neighbours():
    guidance, y = Guidance(**MILD), blobs()
    x = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    both = steer(SCHEDULE, half, y, guidance, 0.1, unchanged)(x, 300)
    alone = steer(SCHEDULE, half, y[1:], guidance, 0.1, unchanged)(x[1:], 300)
    torch.testing.assert_close(both[1:], alone, rtol=0, atol=1e-6)


def test_the_score_sees_the_image_and_not_the_models_range():
    guidance, y = Guidance(**MILD), blobs()
    seen = []

    def to_image(x):
        seen.append((x + 1) / 2)
        return seen[-1]

    x = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    guided = steer(SCHEDULE, half, y, guidance, 0.1, to_image)(x, 300)
    leaf = x.clone().requires_grad_()
    score = lmi_maps(y, (half(leaf, 300) + 1) / 2, guidance).mean((1, 2, 3)).sum()
    (gradient,) = torch.autograd.grad(score, leaf)
    shift = guided - half(x, 300)
    cosine = torch.nn.functional.cosine_similarity(shift.flatten(1), gradient.flatten(1))
    torch.testing.assert_close(cosine, torch.ones(2))
    assert len(seen) == 1
