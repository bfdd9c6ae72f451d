"""Grown ventricles: what grows, what stays, and what is drawn."""

import pytest
import torch
import torch.nn.functional as F

from lmidiff.images.growth import GROWTH, POINTS, dark_and_deep, grow_ventricles
from lmidiff.images.rim import LEAST

WHITE, FLUID = 0.85, 0.2


def brains(count: int, size: int = 96, fluid: float = 0.12) -> torch.Tensor:
    """Discs of white matter with fluid in the middle, and at the rim."""
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    radius = (axis[:, None].square() + axis.square()).sqrt()
    image = torch.where(radius < 0.9, WHITE, 0.0)
    image[(radius > 0.85) & (radius < 0.9)] = FLUID
    image[radius < fluid] = FLUID
    return image.expand(count, 1, size, size).clone()


def grown(images: torch.Tensor, share: float = 1.0, seed: int = 0) -> torch.Tensor:
    return grow_ventricles(images, torch.Generator().manual_seed(seed), share)


def test_without_a_share_nothing_changes_and_nothing_is_drawn():
    images, generator = brains(2), torch.Generator().manual_seed(3)
    before = generator.get_state()
    assert grow_ventricles(images, generator, 0.0) is images
    assert torch.equal(generator.get_state(), before)


def test_fluid_in_the_middle_is_dark_and_deep_and_that_at_the_rim_is_not():
    image = brains(1)
    found = dark_and_deep(image)[0, 0]
    assert found[48, 48] > 0.5
    assert found[48, 30] == 0, "white matter"
    assert image[0, 0, 48, 6] == pytest.approx(FLUID)
    assert found[48, 6] == 0
    assert torch.allclose(dark_and_deep(0.5 * image)[0, 0], found), "whatever the scale"


def test_the_brain_stays_where_it_is_and_its_rim_as_well():
    images = brains(50)
    out = grown(images)
    assert torch.equal(out > 0, images > 0)
    assert out[images > 0].min() >= LEAST
    assert out.max() <= WHITE + 1e-6
    inside = F.avg_pool2d((images > 0).float(), 9, 1, 4)
    rim = (images > 0) & (inside < 1)
    assert torch.allclose(out[rim], images[rim], atol=0.05), "nothing is grown far from the middle"


def test_fluid_in_the_middle_grows():
    images = brains(200)
    middle = torch.zeros_like(images, dtype=torch.bool)
    middle[..., 16:80, 16:80] = True
    before = (WHITE - images[0][middle[0]]).sum()
    after = torch.where(middle, WHITE - grown(images), 0).sum((1, 2, 3))
    ratio = after / before
    assert ratio.min() > 0.99
    assert ratio.median() > 1.3
    # Lengths grow to 1 / (1 - POINTS * GROWTH) at most, so areas to its square.
    assert 1.8 < ratio.max() < 1 / (1 - POINTS * GROWTH) ** 2


def test_where_there_is_no_such_place_the_image_stays_as_it_is():
    images = brains(4, fluid=0.0)
    assert torch.equal(grown(images), images)
    empty = torch.zeros(2, 1, 32, 32)
    assert torch.equal(grown(empty), empty)


def test_the_share_is_of_images_and_draws_repeat():
    images = brains(300)
    out = grown(images, share=0.3)
    changed = (out - images).abs().amax((1, 2, 3)) > 1e-3
    assert float(changed.float().mean()) == pytest.approx(0.3, abs=0.08)
    assert torch.equal(out, grown(images, share=0.3))
    assert not torch.equal(out, grown(images, share=0.3, seed=1))
