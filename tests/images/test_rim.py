"""The rim of the brain mask: where it is, how dim it is, and that functions leave it so."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from lmidiff.images.contrast import ContrastSettings, randomise_contrast
from lmidiff.images.rim import beside, dimming, inside_of, through_the_inside
from method_cases import SOURCE, brains


def disc(size=40, radius=15.0, centre=19.5):
    """The share of each pixel that a disc covers, from 16 x 16 points of it."""
    points = (np.arange(size * 16) + 0.5) / 16 - 0.5
    inside = (points[:, None] - centre) ** 2 + (points - centre) ** 2 < radius**2
    return inside.reshape(size, 16, size, 16).mean(axis=(1, 3))


def stack(array):
    return torch.from_numpy(np.asarray(array, np.float32))[None, None]


def test_the_inside_is_the_brain_eroded_by_a_square():
    brain = SOURCE > 0
    for each, inside in zip(brain, inside_of(brain), strict=True):
        wanted = ndimage.binary_erosion(each[0].numpy(), np.ones((3, 3)))
        assert np.array_equal(inside[0].numpy(), wanted)


def test_brain_at_the_border_of_the_image_is_rim():
    inside = inside_of(torch.ones(1, 1, 8, 8, dtype=torch.bool))
    assert not inside[..., 0, :].any()
    assert inside[..., 1:-1, 1:-1].all()


def test_a_speck_is_all_inside():
    speck = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    speck[0, 0, 4, 4:6] = True
    assert torch.equal(inside_of(speck), speck)


def test_beside_is_the_mean_of_the_nearest_inner_voxels():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 1, 9, 9, generator=generator)
    inside = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    inside[..., 3:5, 3:5] = True
    wanted = torch.ones_like(inside)
    found = beside(image, inside, wanted)[0, 0]
    assert found[2, 2] == pytest.approx(image[0, 0, 3, 3].item())
    assert found[2, 3] == pytest.approx(image[0, 0, 3, 3:5].mean().item())
    assert found[8, 8] == pytest.approx(image[0, 0, 3:5, 3:5].mean().item(), abs=0.3)
    assert (found > 0).all()  # however far


def test_dimming_is_the_coverage_of_a_uniform_brain():
    share = disc()
    image = stack(0.6 * share * (share >= 0.5))
    brain = image > 0
    rim = brain & ~inside_of(brain)
    np.testing.assert_allclose(dimming(image, brain)[rim], stack(share)[rim], atol=1e-5)
    assert (dimming(image, brain)[~rim] == 1).all()


@pytest.mark.parametrize("curve", [lambda x: 0.9 - 0.5 * x, lambda x: 4 * (x - 0.4) ** 2 + 0.1])
def test_a_function_of_tissue_is_right_at_the_rim(curve):
    # Two tissues under one outline: the truth is coverage times the function of tissue.
    share = disc()
    tissue = np.where(np.arange(40)[:, None] < 20, 0.3, 0.7) * np.ones((40, 40))
    brain = stack(share) >= 0.5
    image, truth = (stack(share * values) * brain for values in (tissue, curve(tissue)))
    mapped = through_the_inside(lambda inside: curve(image), image, brain)  # noqa: ARG005
    away = np.abs(np.arange(40) - 19.5) > 2  # where one tissue meets the other, beside is of both
    np.testing.assert_allclose(mapped[0, 0].numpy()[away], truth[0, 0].numpy()[away], atol=1e-5)
    # As a function of the voxel's own value it would be wrong there.
    assert (curve(image) * brain - truth)[brain].abs().max() > 0.1


def test_what_is_given_for_the_rim_is_used():
    image = brains()
    brain = image > 0
    rim = brain & ~inside_of(brain)
    mapped = through_the_inside(lambda inside: torch.full_like(image, 0.5), image, brain, 0.4)  # noqa: ARG005
    torch.testing.assert_close(mapped[rim], torch.full_like(mapped[rim], 0.2))
    assert torch.equal(mapped == 0, image == 0)


def test_a_random_contrast_does_not_read_the_rim_as_another_tissue():
    """Rim over inside, image by image: real PDw, T2w and FLAIR have .71 to 1.22."""
    share = disc(64, 24.0, 31.5)
    tissue = np.where(np.hypot(*(np.mgrid[:64, :64] - 31.5)) < 15, 0.9, 0.65)
    # T1w: half of the rim's dimming is coverage, half is the dark fluid in it.
    rim = 1 - 1.2 * (1 - share)
    image = stack(tissue * rim * (share >= 0.5)).expand(600, -1, -1, -1).contiguous()
    brain = image > 0
    edge = brain & ~inside_of(brain)
    beside_rim = inside_of(brain) & ~inside_of(inside_of(brain))
    shown = randomise_contrast(image, torch.Generator().manual_seed(1), ContrastSettings())
    ratio = (shown * edge).sum((1, 2, 3)) / edge.sum((1, 2, 3))
    ratio = ratio / ((shown * beside_rim).sum((1, 2, 3)) / beside_rim.sum((1, 2, 3)))
    low, high = np.quantile(ratio.numpy(), [0.05, 0.95])
    assert low > 0.7
    assert high < 1.25
