"""Painted lesions: where they are, what they do to target and source, and what is drawn."""

import numpy as np
import pytest
import torch

from lmidiff.images.contrast import ContrastSettings, randomise_contrast
from lmidiff.images.lesions import DEPTH, MOST, paint_lesions, white_matter

GREY, WHITE, FLUID = 0.55, 0.85, 0.2


def brains(count: int, size: int = 64) -> torch.Tensor:
    """Discs of white matter in a rim of grey, fluid in the middle."""
    axis = torch.linspace(-1, 1, size)
    radius = (axis[:, None].square() + axis.square()).sqrt()
    image = torch.where(radius < 0.95, GREY, 0.0)
    image[radius < 0.75] = WHITE
    image[radius < 0.2] = FLUID
    return image.expand(count, 1, size, size).clone()


def painted(images: torch.Tensor, share: float = 1.0, seed: int = 0):
    return paint_lesions(images, torch.Generator().manual_seed(seed), share)


def test_without_a_share_nothing_is_painted_and_nothing_is_drawn():
    images, generator = brains(2), torch.Generator().manual_seed(3)
    before = generator.get_state()
    same, lesions = paint_lesions(images, generator, 0.0)
    assert same is images
    assert lesions is None
    assert torch.equal(generator.get_state(), before)


def test_white_matter_is_what_is_bright_with_its_surroundings():
    images = brains(1)
    images[0, 0, 3, 32] = 1.0  # one bright pixel of the rim: a vessel
    white = white_matter(images)
    assert white[0, 0, 20, 32] == 1
    assert white[images < 0.6].max() == 0
    assert white[0, 0, 3, 32] == 0
    assert torch.equal(white_matter(images * 0.5), white), "whatever the scale"


def test_lesions_are_patches_of_white_matter_that_are_darker_in_the_target():
    images = brains(300)
    target, lesions = painted(images)
    assert ((lesions >= 0) & (lesions <= 1)).all()
    assert lesions[images != WHITE].max() == 0
    assert torch.equal(target[lesions == 0], images[lesions == 0])
    full = lesions == 1
    ratio = (target / images.clamp(min=0.1))[full]
    low, high = DEPTH
    assert 1 - high - 1e-6 <= ratio.min() < 1 - high + 0.05
    assert 1 - low - 0.05 < ratio.max() <= 1 - low + 1e-6
    # Of white matter they take what the peaks take of the image: a third of MOST on average.
    shares = (lesions > 0).float().sum((1, 2, 3)) / (images == WHITE).sum((1, 2, 3))
    assert float(shares.mean()) == pytest.approx(MOST / 3, rel=0.25)
    # Patches: most neighbours of a lesion's pixel belong to it.
    inner = (lesions[..., 1:] > 0) & (lesions[..., :-1] > 0)
    assert inner.sum() > 0.5 * (lesions > 0).sum(), "by chance it would be a twentieth"


def test_the_share_is_of_images_and_draws_repeat():
    images = brains(400)
    _, lesions = painted(images, share=0.3)
    assert float((lesions.flatten(1).amax(1) > 0).float().mean()) == pytest.approx(0.3, abs=0.08)
    again = painted(images, share=0.3)
    assert torch.equal(again[1], lesions)
    assert not torch.equal(painted(images, share=0.3, seed=1)[1], lesions)


def test_the_sources_lesions_have_one_signal_that_nothing_else_tells():
    images = brains(200)
    target, lesions = painted(images)
    plain = ContrastSettings(noise=0, texture=0, field=0)
    generator = torch.Generator().manual_seed(5)
    source = randomise_contrast(target, generator, plain, lesions)
    full = lesions == 1
    signals = [s[f] for s, f in zip(source, full, strict=True) if f.sum() > 4]
    assert len(signals) > 50
    assert all(float(each.std()) < 1e-5 for each in signals)
    own = np.array([float(each.mean()) for each in signals])
    assert own.min() < 0.1
    assert own.max() > 0.9
    white = [
        s[(i == WHITE) & (w == 0)].mean() for s, i, w in zip(source, images, lesions, strict=True)
    ]
    beside = [w for w, f in zip(white, full, strict=True) if f.sum() > 4]
    assert abs(np.corrcoef(own, np.array(beside))[0, 1]) < 0.3
