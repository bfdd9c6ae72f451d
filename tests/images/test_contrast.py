"""Contrast randomisation: what it keeps, and how far it goes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lmidiff.images.contrast import ContrastSettings, randomise_contrast, training_pair
from lmidiff.images.lesions import paint_lesions
from method_cases import (
    SOURCE,
)

#: The intensity map alone; an image one pixel high has no rim (tests/images/test_rim.py).
BARE = {"mixtures": 0.0, "field": 0.0, "texture": 0.0, "noise": 0.0}


def randomised(images, seed=0, **settings):
    generator = torch.Generator().manual_seed(seed)
    return randomise_contrast(images, generator, ContrastSettings(**settings))


def test_contrast_keeps_air_and_range_and_differs_between_images():
    images = SOURCE[:1].expand(4, -1, -1, -1).contiguous()
    out = randomised(images, noise=0.5)
    assert (out[images == 0] == 0).all()
    assert out.min() >= 0
    assert out.max() <= 1
    assert not any(torch.allclose(out[i], out[j]) for i in range(4) for j in range(i))
    assert torch.equal(out, randomised(images, noise=0.5))
    assert not torch.equal(out, randomised(images, seed=1, noise=0.5))


@pytest.mark.parametrize("monotone", [0.0, 0.5, 1.0])
def test_the_share_of_monotone_contrasts_is_what_is_asked_for(monotone):
    count = 800
    ramp = torch.linspace(0.001, 1, 64).view(1, 1, 1, 64).expand(count, -1, -1, -1)
    curves = randomised(ramp, monotone=monotone, **BARE).flatten(1)
    rise = curves.diff(dim=1)
    rising = float((rise >= -1e-6).all(1).float().mean())
    falling = float((rise <= 1e-6).all(1).float().mean())
    # Six random knots are in order, either way, with probability 2 / 6!.
    expected = monotone / 2 + (1 - monotone) / 720
    error = 5 * np.sqrt(expected * (1 - expected) / count) + 1e-9
    assert rising == pytest.approx(expected, abs=error)
    assert falling == pytest.approx(expected, abs=error)


def test_a_contrast_reaches_its_ceiling_and_passes_through_the_knots():
    ramp = torch.linspace(0, 1, 1001).view(1, 1, 1, 1001).expand(200, -1, -1, -1).contiguous()
    ramp[..., 0] = 1e-6
    curves = randomised(ramp, knots=6, ceiling=0.7, monotone=0.0, **BARE).flatten(1)
    top = curves.max(1).values
    assert top.min() >= 0.7 - 1e-4
    assert top.max() <= 1
    assert top.std() > 0.05
    darkest = curves.min(1).values / top
    assert darkest.max() <= ContrastSettings().floor + 1e-4
    assert darkest.max() > 0.8 * ContrastSettings().floor
    assert darkest.min() < 0.1
    # Between two knots a cosine: half way in intensity is half way in value, with zero slope
    # at the knots.
    knots, middles = curves[:, ::200], curves[:, 100::200]
    torch.testing.assert_close(middles, (knots[:, :-1] + knots[:, 1:]) / 2, rtol=0, atol=1e-4)
    assert (curves[:, 201:1000:200] - curves[:, 200:1000:200]).abs().max() < 1e-3


def test_contrast_noise_has_the_largest_deviation_at_most():
    flat = torch.full((60, 1, 32, 32), 0.5)
    spread = randomised(flat, noise=0.1).flatten(1).std(1)
    assert spread.max() < 0.11
    assert spread.max() > 0.07
    assert spread.min() < 0.03


def test_contrast_needs_two_knots():
    with pytest.raises(ValueError, match="knots"):
        ContrastSettings(knots=1)


def test_a_mixture_gives_each_tissue_a_signal_of_its_own():
    ramp = torch.linspace(0.001, 1, 256).view(1, 1, 1, 256).expand(400, -1, -1, -1)
    curves = randomised(ramp, **(BARE | {"mixtures": 1.0})).flatten(1)
    smooth = randomised(ramp, **BARE).flatten(1)
    # Level where one tissue prevails, steep between two: the reverse of a curve through knots.
    steps = [(each.diff(dim=1).abs() < 5e-4).float().mean() for each in (curves, smooth)]
    assert steps[0] > 1.5 * steps[1]
    top, low = curves.max(1).values, curves.min(1).values
    assert top.max() <= 1
    assert low.min() > 0


def test_field_and_texture_are_as_strong_as_asked_for():
    flat = torch.full((300, 1, 32, 32), 0.5)
    calm = {**BARE, "monotone": 1.0}
    plain = randomised(flat, **calm)
    inner = (..., slice(4, -4), slice(4, -4))
    assert plain[inner].flatten(1).std(1).max() < 1e-5
    field = randomised(flat, **(calm | {"field": 0.3}))[inner].flatten(1)
    spread = field.amax(1) / field.amin(1)
    assert spread.max() < np.exp(2 * 0.3 * 1.3)  # a cubic overshoots its knots a little
    assert spread.median() > 1.05
    texture = randomised(flat, **(calm | {"texture": 0.05}))[inner]
    assert texture.flatten(1).std(1).max() == pytest.approx(0.05, rel=0.25)
    # Of a size: neighbours are alike, as noise is not.
    rough = texture - texture.mean((2, 3), keepdim=True)
    alike = (rough[..., 1:] * rough[..., :-1]).mean() / rough.square().mean()
    assert alike == pytest.approx(2 / 3, abs=0.1)


def test_a_training_pair_is_the_image_and_its_contrast_unless_more_is_asked_for():
    images = SOURCE[:4]
    target, source = training_pair(images, torch.Generator().manual_seed(2), ContrastSettings())
    assert target is images
    assert torch.equal(source, randomised(images, seed=2))


def discs(count):
    """White matter with fluid in the middle, (count, 1, 64, 64)."""
    axis = torch.linspace(-1, 1, 64)
    radius = (axis[:, None].square() + axis.square()).sqrt()
    image = torch.where(radius < 0.9, 0.85, 0.0)
    image[radius < 0.2] = 0.2
    return image.expand(count, 1, 64, 64).clone()


@pytest.mark.parametrize("what", ["lesions", "growth"])
def test_what_is_added_to_a_training_image_is_in_its_target_and_its_source(what):
    images = discs(40)
    bare = ContrastSettings(**BARE, monotone=1.0, **{what: 1.0})
    target, source = training_pair(images, torch.Generator().manual_seed(2), bare)
    added = (target - images).abs() > 0.05
    assert added.any((1, 2, 3)).float().mean() > 0.7
    assert torch.equal(target > 0, images > 0)
    assert torch.equal(source > 0, images > 0)
    # Where nothing was added a contrast is a function of the image: one value in white matter.
    inside = F.avg_pool2d((images > 0).float(), 9, 1, 4) == 1
    plain = (target == 0.85) & inside
    for number in range(len(images)):
        white = source[number][plain[number]]
        assert white.max() - white.min() < 1e-5
        if added[number].sum() > 4:
            assert (source[number][added[number]] - white[0]).abs().max() > 1e-3


def test_the_source_of_a_training_pair_is_told_where_lesions_are():
    images, settings = discs(20), ContrastSettings(lesions=1.0)
    target, source = training_pair(images, torch.Generator().manual_seed(2), settings)
    generator = torch.Generator().manual_seed(2)
    painted, lesions = paint_lesions(images, generator, 1.0)
    assert lesions.max() > 0.5
    assert torch.equal(target, painted)
    assert torch.equal(source, randomise_contrast(painted, generator, settings, lesions))
