"""Grown middles: what grows, what stays, and what is drawn."""

import pytest
import torch

from lmidiff.images.growth import GROWTH, grow_middle
from lmidiff.images.rim import LEAST

WHITE, FLUID = 0.85, 0.2


def brains(count: int, size: int = 96, fluid: float = 0.12) -> torch.Tensor:
    """Discs of white matter with fluid in the middle."""
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    radius = (axis[:, None].square() + axis.square()).sqrt()
    image = torch.where(radius < 0.9, WHITE, 0.0)
    image[radius < fluid] = FLUID
    return image.expand(count, 1, size, size).clone()


def grown(images: torch.Tensor, share: float = 1.0, seed: int = 0) -> torch.Tensor:
    return grow_middle(images, torch.Generator().manual_seed(seed), share)


def test_without_a_share_nothing_changes_and_nothing_is_drawn():
    images, generator = brains(2), torch.Generator().manual_seed(3)
    before = generator.get_state()
    assert grow_middle(images, generator, 0.0) is images
    assert torch.equal(generator.get_state(), before)


def test_the_brain_stays_where_it_is_and_its_rim_as_well():
    images = brains(50)
    out = grown(images)
    assert torch.equal(out > 0, images > 0)
    assert out[images > 0].min() >= LEAST
    assert out.max() <= WHITE + 1e-6
    assert out.min() >= 0
    inside = torch.nn.functional.avg_pool2d((images > 0).float(), 9, 1, 4)
    rim = (images > 0) & (inside < 1)
    assert torch.allclose(out[rim], images[rim], atol=0.02), "nothing is grown far from the middle"


def test_fluid_in_the_middle_grows_and_hardly_ever_shrinks():
    images = brains(200)
    before = (WHITE - images[0][images[0] > 0]).sum()
    after = torch.where(images > 0, WHITE - grown(images), 0).sum((1, 2, 3))
    ratio = after / before
    assert ratio.min() > 0.85  # a point off the fluid presses it together
    assert ratio.median() > 1.1
    # Lengths grow to 1 / (1 - GROWTH) at most, so areas to its square.
    assert 2.5 < ratio.max() < 1 / (1 - GROWTH) ** 2


def test_a_constant_stays_and_a_flat_middle_has_no_hole():
    images = torch.full((4, 1, 32, 32), 0.5)
    assert torch.allclose(grown(images), images)


def test_the_share_is_of_images_and_draws_repeat():
    images = brains(300)
    out = grown(images, share=0.3)
    changed = (out - images).abs().amax((1, 2, 3)) > 1e-3
    assert float(changed.float().mean()) == pytest.approx(0.3, abs=0.08)
    assert torch.equal(out, grown(images, share=0.3))
    assert not torch.equal(out, grown(images, share=0.3, seed=1))
