"""Local mutual information: the authors' outputs, plain loops, and what theory demands."""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

import lmidiff
from lmidiff.lmi import ESTIMATORS, joint, local_mutual_information, renyi2
from lmidiff.lmi.definition import (
    lmi_by_loops,
    parzen_entropies,
    parzen_histograms,
    patch_at,
    renyi2_entropies,
)

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "official_lmi_small.npz")
GOLDEN_MAPS = [name for name in GOLDEN.files if name.startswith(("self", "cross"))]
DIFFERENTIABLE = ("parzen", "renyi2")


def images(height=7, width=6, count=1, seed=0, low=0.0, high=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    shape = (2, count, 1, height, width)
    return (low + (high - low) * torch.rand(shape, generator=generator, dtype=dtype)).unbind()


def golden(name):
    return torch.from_numpy(GOLDEN[name])


# --- reference, against the authors' code ---------------------------------------------------


@pytest.mark.parametrize("name", GOLDEN_MAPS)
def test_reference_reproduces_the_authors_code(name):
    kind, source, *rest = name.split("_")
    sample = source if kind == "self" else rest[0]
    lmi = local_mutual_information(
        golden(source), golden(sample), estimator="reference", normalized=name.endswith("nmi")
    )
    error = (lmi - golden(name)).abs()[..., :-2, :-2]
    assert error.max() < 1e-5


def test_reference_reproduces_the_authors_code_at_the_bottom_right():
    lmi = local_mutual_information(
        golden("corner_pd"), golden("corner_noisy999"), estimator="reference"
    )
    error = (lmi - golden("corner_cross_pd_noisy999_nmi")).abs()[..., 2:, 2:]
    assert error.max() < 1e-5


def test_reference_has_no_gradient_and_an_empty_joint_histogram_gives_two():
    y, x = images(dtype=torch.float32)
    assert not local_mutual_information(y.requires_grad_(), x, estimator="reference").requires_grad
    outside = torch.full((1, 1, 7, 6), 9.0)
    for pair in ((y, outside), (outside, y)):
        lmi = local_mutual_information(*pair, estimator="reference", search=False)
        assert lmi[0, 0, 3, 3].item() == pytest.approx(2.0)


# --- parzen and renyi2, against plain loops -------------------------------------------------


@pytest.mark.parametrize("search", [True, False])
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize(
    ("estimator", "entropies"), [("parzen", parzen_entropies), ("renyi2", renyi2_entropies)]
)
def test_agrees_with_plain_loops(estimator, entropies, normalized, search):
    # Values beyond 0..1 too; several bandwidths apart and close together.
    y, x = images(low=-0.1, high=1.1)
    x[..., :3] = 0.5 + 0.1 * x[..., :3]
    for p, bandwidth, bins in ((3, 8.0, 27), (3, 20.0, 11), (5, 5.0, 9)):
        lmi = local_mutual_information(
            y,
            x,
            estimator=estimator,
            patch_size=p,
            bandwidth=bandwidth,
            bins=bins,
            normalized=normalized,
            search=search,
        )
        expected = lmi_by_loops(
            y[0, 0].numpy(), x[0, 0].numpy(), entropies, p, bandwidth, bins, normalized, search
        )
        np.testing.assert_allclose(lmi[0, 0].numpy(), expected, atol=1e-7)
        if estimator == "renyi2" and p == 3:
            # The default bandwidth makes random patches nearly saturated; others must not be.
            assert expected.std() > 1e-3


def test_parzen_agrees_with_scikit_learn():
    # Away from 0 and 1 all kernels have the same mass, so the joint histogram's own marginals,
    # which scikit-learn uses, are the marginal histograms.
    y, x = images(5, 5, low=0.25, high=0.75)
    lmi = local_mutual_information(y, x, estimator="parzen", normalized=False, search=False)
    for row, column in np.ndindex(5, 5):
        a, b = (patch_at(v[0, 0].numpy(), row, column, 3) for v in (y, x))
        *_, joint = parzen_histograms(a, b, 8.0, 27)
        # Its contingency tables are of whole numbers.
        nats = mutual_info_score(None, None, contingency=(joint * 1e9).round())
        assert lmi[0, 0, row, column].item() == pytest.approx(nats / np.log(2), abs=1e-4)


def test_reference_is_parzen_away_from_borders_on_whole_grey_levels():
    y, x = ((255 * v).round().add(0.25) / 255 for v in images(8, 8, low=0.05, high=0.95))
    options = {"search": False, "normalized": False}
    reference = local_mutual_information(y, x, estimator="reference", **options)
    whole = [(255 * v).floor() / 255 for v in (y, x)]
    parzen = local_mutual_information(*whole, estimator="parzen", **options)
    torch.testing.assert_close(
        reference[..., 1:-1, 1:-1], parzen[..., 1:-1, 1:-1], atol=1e-5, rtol=0
    )


def test_renyi2_follows_parzen_on_clean_images():
    for y, x in (("pd", "t1"), ("pd", "pd")):
        parzen, renyi2 = (
            local_mutual_information(golden(y), golden(x), estimator=e, normalized=False)
            for e in DIFFERENTIABLE
        )
        assert np.corrcoef(parzen.flatten(), renyi2.flatten())[0, 1] >= 0.98


def test_parzen_leaves_out_no_bin_that_matters():
    # Single precision skips the bins out of a patch's reach, double precision none.
    for low, high in ((0.0, 1.0), (0.4, 0.5), (-0.2, 0.1), (0.9, 1.0), (0.3, 0.3)):
        for options in ({}, {"bins": 80}, {"patch_size": 5}):
            y, x = images(12, 11, low=low, high=high, dtype=torch.float32)
            single = local_mutual_information(y, x, estimator="parzen", **options)
            double = local_mutual_information(y.double(), x.double(), estimator="parzen", **options)
            torch.testing.assert_close(single.double(), double, atol=2e-6, rtol=0)


def test_parzen_in_single_precision_follows_double():
    # There alone bins are left out, and pixels taken in another order than the image's.
    y, x = images(16, 12)
    for image in (y, x):
        image[..., :4] = 1 - 0.1 * image[..., :4]  # nearly white: the last bins count
        image[..., 4:8] *= 0.2

    def map_and_gradient(dtype):
        sample = x.to(dtype).requires_grad_()
        lmi = local_mutual_information(y.to(dtype), sample, estimator="parzen")
        weights = torch.linspace(1, 2, lmi.numel(), dtype=dtype).view_as(lmi)
        return lmi.detach().double(), torch.autograd.grad((weights * lmi).sum(), sample)[0].double()

    tolerances = (5e-6, 5e-5)
    pairs = zip(map_and_gradient(torch.float32), map_and_gradient(torch.float64), strict=True)
    for (single, double), atol in zip(pairs, tolerances, strict=True):
        torch.testing.assert_close(single, double, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("search", [True, False])
def test_a_map_of_an_image_with_itself_needs_no_copy_of_it(search, normalized):
    y, _ = images()
    options = {"search": search, "normalized": normalized}
    same = local_mutual_information(y, y, **options)
    torch.testing.assert_close(same, local_mutual_information(y, y.clone(), **options))


# --- gradients ------------------------------------------------------------------------------


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("estimator", DIFFERENTIABLE)
def test_gradients_agree_with_finite_differences(estimator, normalized):
    y, x = images(4, 3, low=0.3, high=0.5)

    def function(source, sample):
        return local_mutual_information(
            source, sample, estimator=estimator, normalized=normalized, bins=9, bandwidth=16.0
        )

    assert torch.autograd.gradcheck(function, (y.requires_grad_(), x.requires_grad_()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("estimator", DIFFERENTIABLE)
def test_gradients_are_finite_on_constant_and_black_and_white_images(estimator, dtype):
    constant = torch.full((1, 1, 6, 6), 0.3, dtype=dtype)
    edge = torch.zeros(1, 1, 6, 6, dtype=dtype)
    edge[..., 3:] = 1
    for y, x in product((constant, edge), repeat=2):
        y, x = y.clone().requires_grad_(), x.clone().requires_grad_()
        local_mutual_information(y, x, estimator=estimator).sum().backward()
        assert y.grad.isfinite().all()
        assert x.grad.isfinite().all()


# --- what theory demands --------------------------------------------------------------------


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_symmetric_without_search(estimator, normalized):
    y, x = images(low=0.2, high=0.6)
    options = {"estimator": estimator, "normalized": normalized, "search": False}
    forth = local_mutual_information(y, x, **options)
    torch.testing.assert_close(forth, local_mutual_information(x, y, **options))
    assert forth.std() > 1e-3


def test_search_takes_the_best_offset():
    # Each interior patch of y is found one pixel to the right and down in x.
    y, _ = images(9, 9, low=0.3, high=0.6)
    x = y.roll((1, 1), (2, 3))
    for estimator in DIFFERENTIABLE:
        found = local_mutual_information(y, x, estimator=estimator)
        unshifted = local_mutual_information(y, y, estimator=estimator, search=False)
        centre = local_mutual_information(y, x, estimator=estimator, search=False)
        inner = (..., slice(2, -2), slice(2, -2))
        assert (found[inner] >= unshifted[inner] - 1e-9).all()
        assert (found >= centre - 1e-9).all()
        assert (found[inner] > centre[inner] + 0.05).any()


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("estimator", DIFFERENTIABLE)
def test_a_constant_image_tells_nothing(estimator, normalized):
    y, _ = images(dtype=torch.float32)
    constant = torch.full_like(y, 0.4)
    tolerance = 0 if estimator == "renyi2" else 1e-5
    for pair in ((y, constant), (constant, y), (constant, constant)):
        lmi = local_mutual_information(*pair, estimator=estimator, normalized=normalized)
        assert lmi.abs().max() <= tolerance


def test_renyi2_is_accurate_on_faint_texture():
    # In float32, 1 - exp(-u) with u near 1e-7 would have no digits left.
    y, x = images(low=0.5, high=0.5005)
    exact = local_mutual_information(y, x)
    rounded = local_mutual_information(y.float().double(), x.float().double())
    single = local_mutual_information(y.float(), x.float())
    assert 0 < exact.max() < 1e-3
    torch.testing.assert_close(single.double(), rounded, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("estimator", DIFFERENTIABLE)
def test_invariant_to_reversed_intensities(estimator):
    y, x = images(low=-0.1, high=1.1)
    lmi = local_mutual_information(y, x, estimator=estimator)
    torch.testing.assert_close(lmi, local_mutual_information(1 - y, x, estimator=estimator))
    torch.testing.assert_close(lmi, local_mutual_information(y, 1 - x, estimator=estimator))


@given(
    seed=st.integers(0, 2**31),
    levels=st.integers(2, 12),
    spread=st.floats(0.001, 1),
    search=st.booleans(),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_bounds(seed, levels, spread, search):
    y, x = images(6, 6, seed=seed)
    y, x = ((v * levels).floor() / levels * spread for v in (y, x))
    parzen = local_mutual_information(y, x, estimator="parzen", search=search)
    assert parzen.max() <= 1 + 1e-9
    # Kernels cut off at 0 and 255 leave marginal histograms that are not the joint one's own.
    assert parzen.min() >= -0.1
    inside = [0.25 + 0.5 * v for v in (y, x)]
    assert local_mutual_information(*inside, estimator="parzen", search=search).min() >= -1e-4
    renyi2 = local_mutual_information(y, x, search=search)
    assert renyi2.max() <= 1 + 1e-9
    # Below 0 for some contingency tables; -0.22 is the lowest found by a random search of them.
    assert renyi2.min() >= -0.23


def test_renyi2_may_be_negative():
    y, x = torch.zeros(2, 1, 1, 3, 3).unbind()
    y[..., 0, 0], x[..., 2, 2] = 1, 1  # 7 pixels in neither, 1 in each
    lmi = local_mutual_information(y, x, normalized=False, search=False)
    expected = np.log2((49 + 1 + 1) / 81) - 2 * np.log2((64 + 1) / 81)
    assert lmi[0, 0, 1, 1].item() == pytest.approx(expected, abs=1e-6)
    assert expected < 0


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_equivariant_to_flips_and_rotations(estimator):
    y, x = images(low=0.3, high=0.7)
    lmi = local_mutual_information(y, x, estimator=estimator)
    moves = [lambda v, d=d: v.flip(d) for d in (2, 3)]
    moves += [lambda v, k=k: torch.rot90(v, k, (2, 3)) for k in (1, 2, 3)]
    for move in moves:
        moved = local_mutual_information(move(y), move(x), estimator=estimator)
        torch.testing.assert_close(moved, move(lmi))
        assert not torch.allclose(moved, lmi[..., : moved.shape[2], : moved.shape[3]].mean())


# --- shapes, types, memory ------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_types(estimator):
    y, x = images(12, 12, dtype=torch.float32)
    single = local_mutual_information(y, x, estimator=estimator)
    double = local_mutual_information(y.double(), x.double(), estimator=estimator)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.double(), double, atol=1e-5, rtol=0)
    for half in (torch.bfloat16, torch.float16):
        lmi = local_mutual_information(y.to(half), x.to(half), estimator=estimator)
        assert lmi.dtype == half
        expected = local_mutual_information(
            y.to(half).float(), x.to(half).float(), estimator=estimator
        )
        torch.testing.assert_close(lmi.float(), expected, atol=2**-8, rtol=2**-8)
    coarse = local_mutual_information(y.bfloat16(), x.bfloat16(), estimator=estimator)
    # Rounding to 8 bits moves intensities by up to half a grey level.
    assert (coarse.float() - single).abs().mean() < 0.02


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_autocast_changes_nothing(estimator):
    y, x = images(12, 12, low=0.3, high=0.7, dtype=torch.float32)
    expected = local_mutual_information(y, x, estimator=estimator)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lmi = local_mutual_information(y, x, estimator=estimator)
    assert lmi.dtype == torch.float32
    assert torch.equal(lmi, expected)


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("estimator", DIFFERENTIABLE)
def test_work_in_parts_gives_the_same_map_and_gradient(
    monkeypatch, estimator, normalized, gradient
):
    y, x = images(11, 9, count=2)

    def lmi():
        sample = x.clone().requires_grad_(gradient)
        found = local_mutual_information(y, sample, estimator=estimator, normalized=normalized)
        slope = torch.autograd.grad(found.square().sum(), sample)[0] if gradient else found
        return found.detach(), slope

    expected = lmi()
    # Sizes that do not divide the work, so that the last part is a shorter or an overlapping one.
    monkeypatch.setattr(renyi2, "CHUNK_CPU", 37)
    monkeypatch.setattr(joint, "BLOCK_CPU", 13)
    monkeypatch.setattr(joint, "BLOCK_CPU_DENSE", 7)
    for part, whole in zip(lmi(), expected, strict=True):
        torch.testing.assert_close(part, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_model_can_be_trained_on_a_map(estimator, normalized):
    y, x = images(dtype=torch.float32)
    kept = y.clone(), x.clone()
    lmi = local_mutual_information(y, x, estimator=estimator, normalized=normalized)
    assert torch.equal(y, kept[0])
    assert torch.equal(x, kept[1])
    layer = torch.nn.Conv2d(1, 2, 3)
    layer(lmi).sum().backward()  # keeps the map, which no tensor of inference mode allows
    expected = lmi[..., 1:-1, 1:-1].sum()
    torch.testing.assert_close(layer.weight.grad[0, 0, 1, 1], expected)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_images_of_a_batch_do_not_meet(estimator):
    # 3 x 63 pixels: blocks of pixels straddle the images.
    y, x = images(9, 7, count=3, low=0.3, high=0.7)
    together = local_mutual_information(y, x, estimator=estimator)
    apart = torch.cat(
        [
            local_mutual_information(a, b, estimator=estimator)
            for a, b in zip(y.split(1), x.split(1), strict=True)
        ]
    )
    torch.testing.assert_close(together, apart)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (1, 9), (33, 2)])
def test_any_size_and_any_value(estimator, size):
    y, x = images(*size, count=2, low=-4, high=5, dtype=torch.float32)
    for p in (3, 5):
        lmi = local_mutual_information(y, x, estimator=estimator, patch_size=p)
        assert lmi.shape == (2, 1, *size)
        assert lmi.isfinite().all()


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((1, 1, 4, 4), (1, 1, 4, 5)), {}, r"\(1, 1, 4, 4\) and \(1, 1, 4, 5\)"),
        (((1, 2, 4, 4), (1, 2, 4, 4)), {}, r"\(1, 2, 4, 4\)"),
        (((4, 4), (4, 4)), {}, r"\(4, 4\)"),
        (((1, 1, 0, 4), (1, 1, 0, 4)), {}, "empty"),
        (((1, 1, 4, 4), (1, 1, 4, 4)), {"estimator": "kernel"}, "reference, parzen, renyi2"),
        (((1, 1, 4, 4), (1, 1, 4, 4)), {"patch_size": 4}, "patch_size must be odd"),
        (((1, 1, 4, 4), (1, 1, 4, 4)), {"patch_size": 1}, "at least 3"),
        (((1, 1, 4, 4), (1, 1, 4, 4)), {"bandwidth": 0.0}, "bandwidth must be positive"),
        (((1, 1, 4, 4), (1, 1, 4, 4)), {"bins": 1}, "bins must be at least 2"),
    ],
)
def test_errors(shapes, options, message):
    with pytest.raises(ValueError, match=message):
        local_mutual_information(*map(torch.zeros, shapes), **options)


MEMORY_SCRIPT = """
import sys, torch
from lmidiff.lmi import local_mutual_information
torch.set_num_threads(1)
# A fifth of the rows, and of the limit, where all would take a quarter of a minute.
differentiable = sys.argv[2] == "gradient"
rows = 100 if differentiable and sys.argv[1] == "parzen" else 512
y, x = torch.rand(2, 1, 1, rows, 512)
lmi = local_mutual_information(y.requires_grad_(differentiable), x, estimator=sys.argv[1])
if differentiable:
    lmi.sum().backward()
# The peak of this process: `ru_maxrss` would begin at that of the process that started it.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory read in /proc")
@pytest.mark.parametrize(
    ("estimator", "mode"),
    [
        ("reference", "value"),
        ("parzen", "value"),
        ("parzen", "gradient"),
        ("renyi2", "gradient"),
    ],
)
def test_a_512_pixel_pair_fits_in_2_gb(estimator, mode):
    package = str(Path(lmidiff.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-c", MEMORY_SCRIPT, estimator, mode],
        env={**os.environ, "PYTHONPATH": package},
        capture_output=True,
        text=True,
        check=True,
    )
    limit = 0.7 if (estimator, mode) == ("parzen", "gradient") else 2
    assert int(run.stdout) / 1024**2 < limit
