"""What a training step sees of its slices: a window of them, with maps of the whole."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmidiff.guidance import static_maps
from lmidiff.models import diffusion, regression
from lmidiff.models.window import random_window
from method_cases import CPU, SOURCE, model_settings


class Spy(torch.nn.Module):
    """A network that answers 0 and remembers what it saw."""

    def forward(self, x, condition, times):  # noqa: ARG002
        self.x, self.condition = x, condition
        return torch.zeros_like(condition[:, :1])


def is_part(part: torch.Tensor, whole: torch.Tensor) -> bool:
    """Whether ``part`` is what a window of ``whole`` shows, the same for all its images."""
    high, wide = part.shape[-2:]
    corners = torch.cartesian_prod(
        torch.arange(whole.shape[-2] - high + 1), torch.arange(whole.shape[-1] - wide + 1)
    )
    return any(
        torch.allclose(whole[..., top : top + high, left : left + wide], part, atol=1e-6)
        for top, left in corners.tolist()
    )


@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.floats(0.01, 0.99),
    st.integers(1, 16),
    st.integers(0),
)
def test_a_window_lies_in_the_image_and_its_sides_are_multiples(high, wide, share, multiple, seed):
    pixels = high * multiple, wide * multiple
    generator = torch.Generator().manual_seed(seed % 2**63)
    for length, place in zip(
        pixels, random_window(pixels, share, multiple, generator), strict=True
    ):
        side = place.stop - place.start
        assert 0 <= place.start < place.stop <= length
        assert side % multiple == 0
        assert abs(side - share * length) <= max(multiple / 2, multiple - share * length) + 1e-9


def test_every_place_is_drawn_and_a_whole_slice_draws_nothing():
    generator = torch.Generator().manual_seed(1)
    starts = {random_window((16, 16), 0.75, 4, generator)[0].start for _ in range(200)}
    assert starts == {0, 1, 2, 3, 4}
    before = generator.get_state()
    assert random_window((16, 16), 1.0, 4, generator) == (slice(None), slice(None))
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("seed", range(4))
def test_a_diffusion_sees_windows_of_maps_that_are_of_whole_slices(seed, monkeypatch):
    model = diffusion.DiffusionModel(model_settings("self"), CPU)
    model.training = replace(model.training, crop=0.5)
    model.network, whole = Spy(), []
    monkeypatch.setattr(
        diffusion, "static_maps", lambda *given: whole.append(static_maps(*given)) or whole[-1]
    )
    noised, targets, schedule = [], [], type(model.schedule)
    for name, kept in (("add_noise", noised), ("training_target", targets)):
        real = getattr(schedule, name)
        monkeypatch.setattr(
            schedule, name, lambda *a, real=real, kept=kept: kept.append(real(*a)) or kept[-1]
        )
    loss = model.loss(SOURCE, None, torch.Generator().manual_seed(seed))
    half = SOURCE.shape[-1] // 2
    assert model.network.x.shape[-2:] == model.network.condition.shape[-2:] == (half, half)
    assert is_part(model.network.condition[:, :1], whole[0][:, :1])
    assert not is_part(model.network.condition[:, :1], whole[0][:, :1].flip(-1))
    # One window for what the network sees and what it is judged on.
    together = torch.cat([noised[0], whole[0][:, :1]], 1)
    assert is_part(torch.cat([model.network.x, model.network.condition[:, :1]], 1), together)
    judged = {
        round(targets[0][..., top : top + half, left : left + half].square().mean().item(), 5)
        for top in range(half + 1)
        for left in range(half + 1)
        if torch.equal(noised[0][..., top : top + half, left : left + half], model.network.x)
    }
    assert judged == {round(loss.item(), 5)}


def test_a_regression_is_judged_on_the_window_that_it_sees():
    settings = {
        **model_settings("self"),
        "regression": {"input": "image_and_maps", "loss": "l1"},
    }
    model = regression.RegressionModel(settings, CPU)
    model.training = replace(model.training, crop=0.5)
    real, model.network = model.network, Spy()
    model.network.multiple = real.multiple
    target = torch.arange(SOURCE.numel(), dtype=torch.float32).reshape(SOURCE.shape)
    whole = model.features(SOURCE)
    for seed in range(3):
        loss = model.loss(SOURCE, target, torch.Generator().manual_seed(seed))
        seen = model.network.condition
        assert is_part(seen, whole)
        rows, columns = random_window(
            SOURCE.shape[-2:], 0.5, real.multiple, torch.Generator().manual_seed(seed)
        )
        torch.testing.assert_close(seen, whole[..., rows, columns])
        assert loss.item() == pytest.approx(target[..., rows, columns].mean().item())
