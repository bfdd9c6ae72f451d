"""High- and low-pass filters, and ILVR, which is held to the source by one of them."""

import pytest
import torch
from scipy.ndimage import gaussian_filter

from lmidiff.common.errors import StudyError
from lmidiff.diffusion import Schedule, SliceNoise, dpm_solver, final
from lmidiff.guidance import LIMIT, high_pass
from lmidiff.images.frequency import low_pass
from lmidiff.methods import make


def brain(size=40, seed=0):
    """A disc of smooth random tissue in air, (1, 1, size, size)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 1, size // 4, size // 4, generator=generator)
    tissue = torch.nn.functional.interpolate(noise, (size, size), mode="bicubic").clamp(0, 1)
    at = torch.arange(size) - (size - 1) / 2
    return (0.1 + 0.8 * tissue) * (at[:, None] ** 2 + at**2 < (size / 2 - 3) ** 2)


def test_the_high_pass_is_what_scipys_gaussian_leaves():
    image = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(1)) + 0.1
    blurred = gaussian_filter(image[0, 0].numpy(), 1.5, mode="constant", truncate=3.01)
    share = gaussian_filter(torch.ones(48, 48).numpy(), 1.5, mode="constant", truncate=3.01)
    high = image[0, 0] - torch.from_numpy(blurred / share)
    expected = (high / high.square().mean().sqrt() / LIMIT).clamp(-1, 1)
    ours = high_pass(image, (1.5,), signed=True)[0, 0]
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("cutoffs", [(1.0,), (1.0, 3.0)])
def test_the_magnitude_does_not_know_a_contrasts_scale_or_direction(cutoffs):
    image = brain()
    inside = image > 0
    magnitude = high_pass(image, cutoffs, signed=False)
    assert magnitude.shape == (1, len(cutoffs), 40, 40)
    for other in (0.3 * image, (0.95 - 0.5 * image) * inside, (0.2 + 0.5 * image) * inside):
        again = high_pass(other, cutoffs, signed=False)
        torch.testing.assert_close(again, magnitude, rtol=0, atol=1e-4)
    signed, turned = (high_pass(v, cutoffs, True) for v in (image, (0.95 - image) * inside))
    torch.testing.assert_close(turned, -signed, rtol=0, atol=1e-4)


def test_constants_and_air_have_no_high_frequencies():
    flat = 0.4 * (brain() > 0)
    assert high_pass(flat, (1.0, 2.0), signed=False).abs().max() == 0
    assert high_pass(torch.zeros(1, 1, 16, 16), (1.0,), signed=True).abs().max() == 0
    assert (high_pass(brain(), (2.0,), True)[brain() == 0] == 0).all()


@pytest.mark.parametrize("factor", [1, 3, 4, 7, 50])
def test_the_low_pass_is_a_projection_that_keeps_the_mean_of_each_block(factor):
    image = torch.rand(2, 1, 21, 16, generator=torch.Generator().manual_seed(2))
    low = low_pass(image, factor)
    torch.testing.assert_close(low_pass(low, factor), low, rtol=0, atol=1e-6)
    corner = image[:, :, :factor, :factor].mean((2, 3))
    torch.testing.assert_close(low[:, :, 0, 0], corner, rtol=0, atol=1e-6)
    end = image[:, :, (20 // factor) * factor :, (15 // factor) * factor :].mean((2, 3))
    torch.testing.assert_close(low[:, :, -1, -1], end, rtol=0, atol=1e-6)
    if factor == 1:
        assert torch.equal(low, image)


class Model:
    """A stand-in for a diffusion model in 0..1 whose denoiser is a fixed linear map."""

    schedule = Schedule.linear(100)

    @staticmethod
    def to_range(image):
        return image


def shrink(x, t):  # noqa: ARG001
    return 0.3 * x


@pytest.mark.parametrize(("factor", "stop"), [(1, 0.0), (4, 0.0), (4, 0.3)])
def test_ilvr_ends_with_the_low_frequencies_of_the_source(factor, stop):
    source = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    method = make("ilvr", {"factor": factor, "stop": stop}, Model(), 1)
    noise = SliceNoise([1, 2])
    times = Model.schedule.timesteps(10)
    guided = method.guided(shrink, source)
    x = final(dpm_solver(Model.schedule, guided, noise((1, 16, 16)), times))
    low = low_pass(source, factor)
    if stop == 0:
        torch.testing.assert_close(low_pass(x, factor), low, rtol=0, atol=1e-5)
    else:  # the last steps are free, so it drifts away again
        assert (low_pass(x, factor) - low).abs().max() > 0.05
    if factor == 1 and stop == 0:
        torch.testing.assert_close(x, source, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"factor": 0}, "factor 0"), ({"factor": 2.5}, "factor 2.5"), ({"stop": 1}, "stop 1")],
)
def test_settings_of_ilvr_that_make_no_sense(settings, says):
    with pytest.raises(StudyError, match=f"methods.ilvr: {says}"):
        make("ilvr", settings, None, 1)
