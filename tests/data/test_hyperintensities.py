"""Bright spots of a FLAIR in its translation to T1w."""

import numpy as np
import pytest
from scipy import ndimage

from lmidiff.data.hyperintensities import held

SHAPE = (60, 60, 40)
T1W = {"fluid": 0.3, "grey": 0.65, "white": 0.85}
FLAIR = {"fluid": 20.0, "grey": 110.0, "white": 100.0}
CONTRASTS = {
    "T1w": {"fluid": 30.0, "grey": 74.0, "white": 100.0},
    "T2w": {"fluid": 200.0, "grey": 120.0, "white": 100.0},
    "PDw": {"fluid": 135.0, "grey": 122.0, "white": 100.0},
}
VOXEL = np.ones(3)


@pytest.fixture(scope="module")
def tissues():
    """Shells of fluid, grey and white matter around a ventricle, and a lesion in the white."""
    x, y, z = (np.arange(n) - n / 2 + 0.5 for n in SHAPE)
    radius = np.sqrt(x[:, None, None] ** 2 + y[:, None] ** 2 + (1.4 * z) ** 2)
    shells = {
        "fluid": ((radius < 28) & (radius >= 25)) | (radius < 6),
        "grey": (radius < 25) & (radius >= 21),
        "white": (radius < 21) & (radius >= 6),
    }
    lesion = np.zeros(SHAPE, bool)
    lesion[40:46, 26:34, 17:23] = True
    assert shells["white"][lesion].all()
    return shells, lesion


def painted(shells, values, spread=0.0, seed=0):
    image = sum(value * shells[tissue] for tissue, value in values.items())
    noise = np.random.default_rng(seed).normal(0, spread or 1e-9, SHAPE)
    return np.where(image > 0, image + noise, 0).astype(np.float32)


def brain_of(shells):
    return np.any(list(shells.values()), axis=0)


@pytest.mark.parametrize("translated", [0.9, 0.85, 0.3, 0.05])
def test_a_lesion_painted_over_comes_out_about_as_dark_as_grey_matter(tissues, translated):
    shells, lesion = tissues
    scan, image = painted(shells, FLAIR, 5), painted(shells, T1W, 0.02, 1)
    image[lesion] = translated
    healthy = held(scan, brain_of(shells), VOXEL, image)
    scan[lesion] = 160
    found = held(scan, brain_of(shells), VOXEL, image)
    inner = ndimage.binary_erosion(lesion)
    assert np.abs(found.image[inner] - T1W["grey"]).max() < 0.06
    assert (found.ml - healthy.ml) * 1000 == pytest.approx(lesion.sum(), rel=0.3)


def test_healthy_tissue_is_left(tissues):
    shells, _ = tissues
    scan, image = painted(shells, FLAIR, 5), painted(shells, T1W, 0.02, 1)
    brain = brain_of(shells)
    found = held(scan, brain, VOXEL, image)
    changed = np.abs(found.image - image) > 0.05
    deep = ndimage.binary_erosion(shells["white"], iterations=3)
    assert changed[deep].mean() < 0.01
    assert not changed[ndimage.binary_erosion(shells["fluid"], iterations=1)].any()
    assert not found.image[~brain].any()


@pytest.mark.parametrize("kind", CONTRASTS)
def test_only_flair_is_held(tissues, kind):
    shells, lesion = tissues
    scan, image = painted(shells, CONTRASTS[kind], 4), painted(shells, T1W, 0.02, 1)
    scan[lesion] = 260
    assert held(scan, brain_of(shells), VOXEL, image) is None


def test_the_unit_of_the_scan_does_not_matter(tissues):
    shells, lesion = tissues
    scan, image = painted(shells, FLAIR, 5), painted(shells, T1W, 0.02, 1)
    scan[lesion] = 160
    one, other = (held(scan * by, brain_of(shells), VOXEL, image) for by in (1, 1024))
    np.testing.assert_allclose(one.image, other.image, atol=1e-4)
    assert one.ml == pytest.approx(other.ml, rel=1e-3)


def test_a_brighter_scan_is_never_held_less(tissues):
    shells, lesion = tissues
    image = painted(shells, T1W, 0.02, 1)
    volumes = []
    for bright in (100, 110, 120, 140, 180):
        scan = painted(shells, FLAIR, 5)
        scan[lesion] = bright
        volumes.append(held(scan, brain_of(shells), VOXEL, image).ml)
    assert (np.diff(volumes) > -0.02).all()  # the lesion takes part in the spread
    assert (volumes[-1] - volumes[0]) * 1000 == pytest.approx(lesion.sum(), rel=0.5)


@pytest.mark.parametrize("values", [0.0, 0.5])
def test_an_image_of_no_three_tissues_is_left(tissues, values):
    shells, _ = tissues
    image = np.full(SHAPE, values, np.float32)
    assert held(painted(shells, FLAIR, 5), brain_of(shells), VOXEL, image) is None
    nothing = np.zeros(SHAPE, bool)
    assert held(painted(shells, FLAIR, 5), nothing, VOXEL, image) is None


def test_a_scan_without_noise_is_left_or_held_but_never_nan(tissues):
    shells, lesion = tissues
    scan, image = painted(shells, FLAIR), painted(shells, T1W)
    scan[lesion] = 160
    found = held(scan, brain_of(shells), VOXEL, image)
    assert found is None or np.isfinite(found.image).all()
