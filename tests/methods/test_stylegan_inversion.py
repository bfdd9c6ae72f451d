"""Inversion: contrast-blind losses by their laws, and what optimising them recovers."""

import pytest
import torch

from discs import CPU, trained_on_discs
from lmidiff.common.errors import StudyError
from lmidiff.images.contrast import ContrastSettings, randomise_contrast
from lmidiff.images.structure import edge_features, silhouette_error
from lmidiff.methods import make
from lmidiff.methods import stylegan as module
from lmidiff.methods.stylegan import autocorrelation, normalise
from lmidiff.models import stylegan

FAST = {"candidates": 32, "steps": 15, "scales": [1]}


def pictures(count=3, seed=0, size=16):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, 5, 5, generator=generator)
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")


# --- losses ---------------------------------------------------------------------------------


def test_edges_by_a_loop_over_pixels():
    a, b = pictures(1), pictures(1, seed=1)

    def tensors(image):
        image = image[0, 0].double()
        padded = torch.zeros(18, 18, dtype=torch.float64)
        padded[1:17, 1:17] = image
        gradients = [
            torch.stack(
                [padded[i + 2, j + 1] - padded[i, j + 1], padded[i + 1, j + 2] - padded[i + 1, j]]
            )
            for i in range(16)
            for j in range(16)
        ]
        mean = sum(g.norm() for g in gradients) / len(gradients)
        return [torch.outer(g, g) / (g @ g + (0.5 * mean) ** 2) for g in gradients]

    one, two = tensors(a), tensors(b)
    inner = [
        sum((x * y).sum() for x, y in zip(*p, strict=True))
        for p in ((one, two), (one, one), (two, two))
    ]
    expected = inner[0] / (inner[1] * inner[2]).sqrt()
    mine = (edge_features(a) * edge_features(b)).sum()
    assert mine.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("scales", [(1,), (1, 2)])
def test_edges_know_neither_gain_nor_sign_but_place(scales):
    x = 0.2 + 0.6 * pictures()
    features = edge_features(x, scales=scales)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(
        edge_features(0.3 * x, scales=scales), features, rtol=1e-3, atol=1e-5
    )
    inside = torch.zeros(1, 1, 16, 16)
    inside[..., 4:12, 4:12] = 1
    reversed_ = (edge_features(x * inside) * edge_features((1 - x) * inside)).sum(1)
    elsewhere = (edge_features(x * inside) * edge_features((x * inside).roll(3, -1))).sum(1)
    assert (reversed_ > elsewhere + 0.1).all()
    assert (edge_features(torch.zeros(1, 1, 16, 16)) == 0).all()  # no edge anywhere: no direction


def test_silhouettes():
    brain = torch.zeros(1, 1, 8, 8)
    brain[..., 2:6, 2:6] = 1
    assert silhouette_error(0.9 * brain, brain) < 0.001
    assert silhouette_error(0.05 * brain, brain).item() == pytest.approx(0.25 * 16 / 64, rel=1e-5)
    assert silhouette_error(1 - brain, brain) > 0.8
    assert silhouette_error(-brain, brain).item() == pytest.approx(16 / 64)  # as none at all


def test_autocorrelation_by_hand_and_noise_brought_back():
    noise = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    total = torch.zeros(2, dtype=torch.float64)
    for level in (noise, 2 * noise.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))):
        for row in range(2):
            image, side = level[row, 0], level.shape[-1]
            down = sum(image[i, j] * image[i - 1, j] for i in range(side) for j in range(side))
            across = sum(image[i, j] * image[i, j - 1] for i in range(side) for j in range(side))
            total[row] += (down / side**2) ** 2 + (across / side**2) ** 2
    torch.testing.assert_close(autocorrelation(noise), total)
    smooth = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    maps = [3 + 2 * noise, smooth]
    normalise(maps)
    for each in maps:
        torch.testing.assert_close(each.mean((1, 2, 3)), torch.zeros(2).double(), atol=1e-6, rtol=0)
        torch.testing.assert_close(each.var((1, 2, 3), unbiased=False), torch.ones(2).double())
    assert (autocorrelation(maps[1]) > 10 * autocorrelation(maps[0])).all()


# --- the method -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    settings, weights, _ = trained_on_discs()
    return stylegan.load(settings, weights, CPU)


def inversion(model, **settings):
    return make("stylegan", {**FAST, **settings}, model, 1)


def contrast_changed(images, seed=0):
    generator = torch.Generator().manual_seed(seed)
    settings = ContrastSettings(noise=0.0, floor=0.6)
    # What the generator leaves in the air is no brain.
    return randomise_contrast(images * (images > 0.08), generator, settings)


def ids_of(count):
    return [("sub-01", n) for n in range(count)]


def correlation(a, b):
    a, b = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (a, b))
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))


@pytest.mark.parametrize(
    "loss",
    [{}, {"loss": "lmi"}, {"loss": "both"}, {"candidates": 0}],
    ids=["edges", "lmi", "both", "from the mean"],
)
def test_optimising_lowers_the_loss_and_never_raises_it(model, loss, monkeypatch):
    # A result no longer shows what was cut off.
    monkeypatch.setattr(module, "OVERFLOW", 0.0)
    source = contrast_changed(model.sample([101, 102, 103, 104]))
    ids = ids_of(4)
    free = {"prior": 0.0, "noise": 0.0, **loss}
    before = inversion(model, steps=0, **free)
    after = inversion(model, steps=25, **free)
    with torch.no_grad():
        start, end = (each.translate(source, ids).image for each in (before, after))
        fell = before.loss(start, source) - after.loss(end, source)
    assert (fell > -1e-6).all()
    assert (fell > 1e-3).sum() >= 3


def test_it_recovers_a_generated_image_from_another_contrast(model):
    truth = model.sample(list(range(200, 206)))
    source = contrast_changed(truth)
    with torch.no_grad():
        found = inversion(model, candidates=64, steps=60).translate(source, ids_of(6)).image
    other = model.sample(list(range(300, 306)))
    assert (correlation(found, truth) > correlation(other, truth)).float().mean() >= 5 / 6
    assert correlation(found, truth).mean() > 0.9
    # And in the target's contrast: nearer to the truth than what it was shown.
    assert (found - truth).square().mean() < 0.5 * (source - truth).square().mean()


def test_any_split_into_batches_gives_the_same_bits(model):
    source, ids = contrast_changed(model.sample(list(range(13)))), ids_of(13)
    with torch.no_grad():
        whole = inversion(model).translate(source, ids).image
        assert torch.equal(whole, inversion(model).translate(source, ids).image)
        for cut in (1, 4, 10):
            method = inversion(model)
            parts = [
                method.translate(source[rows], ids[rows]).image
                for rows in (slice(0, cut), slice(cut, 13))
            ]
            assert torch.equal(torch.cat(parts), whole)
        order = [3, 12, 0, 7]
        turned = inversion(model).translate(source[order], [ids[n] for n in order]).image
        assert torch.equal(turned, whole[order])


def test_noise_follows_study_seed_and_slice(model):
    source = contrast_changed(model.sample([1, 1]))
    with torch.no_grad():
        image = inversion(model, candidates=0).translate(source, ids_of(2)).image
        other = make("stylegan", {**FAST, "candidates": 0}, model, 2)
        elsewhere = other.translate(source, ids_of(2)).image
    assert not torch.equal(image[0], image[1])
    assert not torch.equal(image[0], elsewhere[0])


def test_an_empty_slice_is_survived(model):
    source = torch.zeros(1, 1, 16, 16)
    for loss in ({}, {"loss": "lmi"}):
        with torch.no_grad():
            image = inversion(model, **loss).translate(source, ids_of(1)).image
        assert torch.isfinite(image).all()


def test_the_prior_draws_codes_to_the_mean(model):
    source = contrast_changed(model.sample([5, 6, 7]))
    centre = model.centre.expand(3, model.generator.codes, -1)
    mean = model.images(centre, [torch.zeros(3, *s) for s in model.generator.noise_shapes])
    away = []
    for prior in (0.0, 100.0):
        with torch.no_grad():
            image = inversion(model, prior=prior, steps=60).translate(source, ids_of(3)).image
        away.append((image - mean).square().mean())
    assert away[1] < away[0]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"stepz": 3}, r"methods\.stylegan\.stepz is not a known key"),
        ({"steps": -1}, "steps must not be negative"),
        ({"rate": 0}, "rate must be above 0"),
        ({"loss": "lpips"}, "loss must be one of"),
        ({"loss": "both", "guidance": {"estimator": "reference"}}, "passes no gradient"),
        ({"guidance": {"bandwidthz": [1]}}, r"methods\.stylegan\.guidance\.bandwidthz"),
    ],
)
def test_wrong_settings_are_refused_by_name(settings, says):
    with pytest.raises(StudyError, match=says):
        make("stylegan", settings, None, 1)


def test_white_tissue_is_no_way_out(model, monkeypatch):
    """Twice as bright an image has the same edges until it is cut off at 1."""
    images, raw = model.images, []

    def bright(codes, noise):
        raw.append(2 * images(codes, noise))
        return raw[-1]

    source = contrast_changed(model.sample([5, 6, 7]))
    monkeypatch.setattr(model, "images", bright)
    beyond = []
    for cost in (0.0, module.OVERFLOW):
        monkeypatch.setattr(module, "OVERFLOW", cost)
        with torch.no_grad():
            inversion(model, prior=0.0, steps=60).translate(source, ids_of(3))
        beyond.append((raw[-1][:3].detach() - 1).clamp(min=0).square().mean().item())
    assert beyond[0] > 0.01
    assert beyond[1] < 0.2 * beyond[0]
