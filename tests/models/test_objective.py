"""The training objective against closed forms and scipy: sums, antithetic times, blur, dropout."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from lmidiff.images.frequency import gaussian_blur
from lmidiff.models.objective import Objective
from lmidiff.networks.unet import UNet, UNetSettings


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_sum_is_the_mean_times_the_pixels():
    output, target = torch.rand(4, 1, 6, 5), torch.rand(4, 1, 6, 5)
    mean, total = Objective().of(output, target), Objective(loss="sum").of(output, target)
    torch.testing.assert_close(mean, torch.nn.functional.mse_loss(output, target))
    torch.testing.assert_close(total, 30 * mean)


@given(st.integers(2, 1000), st.integers(1, 9), st.integers(0, 50))
def test_antithetic_times_mirror_each_other(length, size, seed):
    times = Objective(times="antithetic").draw_times(length, size, seeded(seed))
    half = (size + 1) // 2
    assert times.shape == (size,)
    assert ((times >= 0) & (times < length)).all()
    assert (times[: size - half] + times[half:] == length - 1).all()


def test_times_are_uniform_either_way():
    for times in ("independent", "antithetic"):
        drawn = Objective(times=times).draw_times(4, 8000, seeded())
        assert torch.bincount(drawn) / 8000 == pytest.approx([0.25] * 4, abs=0.02)
    same = Objective().draw_times(100, 8, seeded(3))
    assert torch.equal(same, torch.randint(100, (8,), generator=seeded(3))), (
        "as before there was a choice"
    )


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_the_blur_is_scipys(sigma):
    images = torch.rand(2, 1, 24, 20, generator=seeded())
    found = gaussian_blur(images, torch.tensor([sigma, sigma]))
    for image, blurred in zip(images[:, 0], found[:, 0], strict=True):
        # Mirrored without repeating the edge; both kernels cut where the other's is nothing.
        due = ndimage.gaussian_filter(image.double().numpy(), sigma, mode="mirror", truncate=6.0)
        np.testing.assert_allclose(blurred.numpy(), due, atol=6e-3)


def test_each_image_has_its_own_blur_and_none_leaves_it_as_it_is():
    images = torch.rand(3, 1, 16, 16, generator=seeded())
    found = gaussian_blur(images, torch.tensor([0.0, 1.0, 2.0]))
    torch.testing.assert_close(found[0], images[0])
    alone = gaussian_blur(images[1:2], torch.tensor([1.0]))
    torch.testing.assert_close(found[1:2], alone, atol=2e-3, rtol=0)
    rough = (found.diff(dim=-1) ** 2).flatten(1).mean(1)
    assert rough[0] > rough[1] > rough[2]
    torch.testing.assert_close(
        gaussian_blur(torch.ones(1, 1, 9, 9), torch.tensor([1.5])), torch.ones(1, 1, 9, 9)
    )


def test_the_share_that_is_blurred():
    images = torch.rand(400, 1, 16, 16, generator=seeded())
    assert Objective().images(images, seeded()) is images
    found = Objective(blurred=0.25, blur=2.0).images(images, seeded(1))
    changed = ((found - images).abs().flatten(1).amax(1) > 1e-3).float().mean()
    assert changed.item() == pytest.approx(0.25, abs=0.06)


def test_dropout_acts_in_training_alone_and_adds_no_weight():
    settings = UNetSettings(
        channels=(8, 8), attention=(False, False), groups=4, unshuffle=1, head_channels=8
    )
    torch.manual_seed(0)
    plain = UNet(0, settings)
    names = list(plain.state_dict())
    x, t = torch.rand(1, 1, 8, 8), torch.zeros(1)
    for parameter in plain.parameters():  # MONAI begins with zeros in the last convolutions
        torch.nn.init.normal_(parameter)
    before = plain.eval()(x, None, t)
    plain.drop(0.5)
    torch.testing.assert_close(plain(x, None, t), before)
    plain.train()
    assert not torch.allclose(plain(x, None, t), plain(x, None, t))
    assert list(plain.state_dict()) == names


@pytest.mark.parametrize(("key", "value"), [("loss", "median"), ("times", "late")])
def test_what_is_no_objective(key, value):
    with pytest.raises(ValueError, match=f"{key} must be one of"):
        Objective(**{key: value})
