"""The translation methods on tiny untrained models."""

import numpy as np
import pytest
import torch
from skimage.exposure import match_histograms

from lmidiff.common.errors import StudyError
from lmidiff.images.rim import inside_of
from lmidiff.methods import METHODS, make, method_of
from lmidiff.methods.base import Ceiling, Method
from lmidiff.methods.consistency import towards_histogram
from lmidiff.models import FAMILIES, family_of, histogram
from lmidiff.sampler import autocast
from method_cases import CPU, IDS, SIZE, SOURCE, SUBJECTS, WHICH, brains, method

COVERED = [
    name
    for name in METHODS
    if (name in WHICH or method_of(name).family != "diffusion")
    and not method_of(name).sees_test_target
]


# --- the contract ---------------------------------------------------------------------------


def test_every_method_and_family_is_known_by_name():
    simple = {"source", "histogram", "inverted_histogram", "lookup", "oracle"}
    assert set(WHICH) | simple <= set(METHODS)
    for name in METHODS:
        declared = method_of(name)
        assert declared.family is None or declared.family in FAMILIES
        made = make(name, {}, None, 1)
        assert isinstance(made, Method)
        assert made.label == declared.label
        assert isinstance(made, Ceiling) == declared.sees_test_target
        assert (declared.conditions is None) == (declared.family != "diffusion")
    with pytest.raises(StudyError, match="'cyclegun'"):
        method_of("cyclegun")
    with pytest.raises(StudyError, match="'gun'"):
        family_of("gun")


@pytest.mark.parametrize("sampler", ["ddim", "ancestral", "dpm_solver"])
@pytest.mark.parametrize("name", COVERED)
def test_methods_keep_the_contract(models, name, sampler):
    if name not in WHICH and sampler != "ddim":
        return  # draws nothing
    translator = method(models, name, **({"sampler": sampler} if name in WHICH else {}))
    source = SOURCE.clone()
    with torch.no_grad():
        whole = translator.translate(source, IDS)
        assert torch.equal(source, SOURCE)  # not written to
        for image in filter(lambda x: x is not None, (whole.image, whole.spread)):
            assert image.shape == SOURCE.shape
            assert image.dtype == torch.float32
            assert not image.requires_grad
            assert image.min() >= 0
            assert image.max() <= 1
        assert (whole.spread is not None) == (name in WHICH)

        # A subject alone, and subjects in another order.
        parts = [translator.translate(SOURCE[rows], [IDS[i] for i in rows]) for rows in SUBJECTS]
        order = [4, 5, 3, 0, 1, 2]
        turned = translator.translate(SOURCE[order], [IDS[i] for i in order])
        again = method(models, name, **({"sampler": sampler} if name in WHICH else {}))
        same = again.translate(SOURCE, IDS)
    # A gradient of LMI, scaled to unit size, makes rounding errors larger.
    near = {"rtol": 0, "atol": 1e-4 if name == "lmidiffusion_grad" else 1e-5}
    for field in ("image", "spread"):
        one = getattr(whole, field)
        if one is None:
            continue
        split = torch.cat([getattr(part, field) for part in parts])
        torch.testing.assert_close(split, one, **near)
        torch.testing.assert_close(getattr(turned, field), one[order], **near)
        assert torch.equal(getattr(same, field), one)


@pytest.mark.parametrize("name", WHICH)
def test_the_seed_the_slice_and_the_draw_change_the_noise(models, name):
    same_image = SOURCE[:1].expand(2, -1, -1, -1)
    with torch.no_grad():
        one = method(models, name).translate(same_image, [("sub-01", 0), ("sub-01", 1)])
        other = method(models, name, seed=2).translate(same_image, [("sub-01", 0), ("sub-01", 1)])
        single = method(models, name, draws=1).translate(same_image, [("sub-01", 0), ("sub-02", 0)])
    assert not torch.equal(one.image, other.image)
    assert not torch.equal(one.image[0], one.image[1])
    assert not torch.equal(single.image[0], single.image[1])
    assert single.spread is None
    assert one.spread.max() > 0


def test_image_and_spread_are_the_mean_and_deviation_of_the_draws(models, monkeypatch):
    from lmidiff import sampler as sampling

    ends, final = [], sampling.final
    monkeypatch.setattr(sampling, "final", lambda steps: ends.append(final(steps)) or ends[-1])
    with torch.no_grad():
        result = method(models, "lmidiffusion", draws=3).translate(SOURCE, IDS)
    draws = np.stack([np.clip((x.numpy() + 1) / 2, 0, 1) for x in ends])
    assert len(draws) == 3
    np.testing.assert_allclose(result.image, draws.mean(0), atol=1e-6)
    np.testing.assert_allclose(result.spread, draws.std(0), atol=1e-6)


def test_all_methods_start_a_slice_from_the_same_noise(models, monkeypatch):
    from lmidiff import sampler as sampling

    starts = []

    def spy(schedule, denoise, x, times, noise):
        starts.append(x)
        yield from sampling.SAMPLERS["dpm_solver"](schedule, denoise, x, times, noise)

    monkeypatch.setitem(sampling.SAMPLERS, "ddim", spy)
    for name in ("lmidiffusion", "lmidiffusion_cr", "lmidiffusion_grad"):
        with torch.no_grad():
            method(models, name, draws=1).translate(SOURCE, IDS)
    assert torch.equal(starts[0], starts[1])
    assert torch.equal(starts[0], starts[2])


@pytest.mark.parametrize("name", COVERED)
def test_an_unknown_key_is_named(models, name):
    with pytest.raises(StudyError, match="colour"):
        method(models, name, colour="red")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("sdedit", {"strength": 0}, "strength"),
        ("sdedit", {"strength": 1.5}, "strength"),
        ("lmidiffusion", {"sampler": "euler"}, "euler"),
        ("lmidiffusion", {"draws": 0}, "draws"),
        ("lmidiffusion", {"steps": 0}, "steps"),
        ("lmidiffusion", {"variance": "huge"}, "huge"),
        ("lmidiffusion", {"precision": "float16"}, "float16"),
        ("lmidiffusion_grad", {"guidance": {"estimator": "reference"}}, "no gradient"),
        ("lmidiffusion_grad", {"guidance": {"colour": 1}}, "colour"),
    ],
)
def test_wrong_settings_are_named(models, name, settings, message):
    with pytest.raises(StudyError, match=message):
        method(models, name, **settings)


def test_automatic_precision_is_resolved_on_this_machine():
    # Not "anything but float32 is bfloat16": a machine without it must compute in float32.
    from lmidiff.sampler import resolve_precision

    layer = torch.nn.Linear(2, 2)
    for wanted in ("auto", "float32", "bfloat16"):
        with autocast(wanted, CPU):
            given = layer(torch.ones(1, 2)).dtype
        assert str(given) == f"torch.{resolve_precision(wanted, CPU)}"


def test_auto_is_float32_where_bfloat16_is_not_in_hardware(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    with autocast("auto", CPU):
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32


# --- rows without a network -----------------------------------------------------------------


def test_source_and_oracle_give_back_what_they_are_handed(models):
    target = brains(seed=3)
    for result, wanted in (
        (method(models, "source").translate(SOURCE, IDS), SOURCE),
        (method(models, "oracle").answer(SOURCE, target, IDS), target),
    ):
        assert torch.equal(result.image, wanted)
        assert result.spread is None


@pytest.mark.parametrize("name", ["oracle", "lookup"])
def test_a_ceiling_has_nothing_to_say_without_the_answer(models, name):
    with pytest.raises(StudyError, match="needs the true target"):
        method(models, name).translate(SOURCE, IDS)


def test_histogram_matching_is_scikit_images_in_the_brain():
    template = brains(40, seed=9).square()
    inside, within = inside_of(SOURCE > 0), template[inside_of(template > 0)]
    target = histogram.load({}, histogram.measure(template), CPU)
    ours = make("histogram", {}, target, 1).translate(SOURCE, IDS).image
    for rows in SUBJECTS:
        brain = inside[rows]
        theirs = match_histograms(SOURCE[rows][brain].numpy(), within.numpy())
        # scikit-image takes the upper end of a voxel's step, we its middle: half a step of n.
        n = int(brain.sum())
        step = float(torch.diff(target.quantiles).max()) * 1024 / n
        np.testing.assert_allclose(ours[rows][brain], theirs, atol=max(0.01, step))
        assert np.abs(ours[rows][brain].numpy() - theirs).mean() < 1.0 / n + 2e-3
    assert torch.equal(ours == 0, SOURCE == 0)


def test_histogram_matching_to_its_own_histogram_changes_nothing():
    many = brains(50, seed=3)
    kind = make("histogram", {}, histogram.load({}, histogram.measure(many), CPU), 1)
    same = kind.translate(many, [("sub-01", z) for z in range(50)]).image
    inside = inside_of(many > 0)
    torch.testing.assert_close(same[inside], many[inside], rtol=0, atol=2e-3)


def test_tied_voxels_share_the_middle_of_their_ranks():
    # Two rows of pixels have no inside, so that all of them are tissue.
    levels = torch.tensor([0.2, 0.4, 0.4, 0.4, 0.9, 0.9, 0.9, 0.9]).view(1, 1, 2, 4)
    uniform = histogram.TargetIntensities(torch.linspace(0, 1, 1025), torch.tensor(1.0))
    for name, middles in (
        ("histogram", [1 / 16, 5 / 16, 5 / 16, 5 / 16, 12 / 16, 12 / 16, 12 / 16, 12 / 16]),
        (
            "inverted_histogram",
            [15 / 16, 11 / 16, 11 / 16, 11 / 16, 4 / 16, 4 / 16, 4 / 16, 4 / 16],
        ),
    ):
        image = make(name, {}, uniform, 1).translate(levels, [("sub-01", 0)]).image
        torch.testing.assert_close(image.flatten(), torch.tensor(middles))


@pytest.mark.parametrize(("name", "sign"), [("histogram", 1), ("inverted_histogram", -1)])
def test_histogram_matching_keeps_or_reverses_the_order(models, name, sign):
    coarse = (SOURCE * 50).ceil() / 50  # with ties
    image = method(models, name).translate(coarse, IDS).image
    for rows in SUBJECTS:
        brain = inside_of(coarse[rows] > 0)
        before, after = coarse[rows][brain], image[rows][brain]
        rise = sign * (after[:, None] - after[None, :])
        order = (before[:, None] - before[None, :]).sign()
        assert (rise[order > 0] > 0).all()
        assert (rise[order == 0] == 0).all()


def test_an_empty_slice_stays_empty(models):
    air = torch.zeros(1, 1, SIZE, SIZE)
    assert torch.equal(method(models, "histogram").translate(air, [("sub-01", 0)]).image, air)


def test_quantiles_are_numpys():
    images = brains(5, seed=2)
    values = images[images > 0].double().numpy()
    expected = np.quantile(values, np.linspace(0, 1, 1025))
    np.testing.assert_allclose(histogram.quantiles(images), expected, rtol=1e-6)


# --- SDEdit ---------------------------------------------------------------------------------


def test_sdedit_at_little_strength_is_nearly_the_source(models):
    result = method(models, "sdedit", strength=0.001, steps=1000, draws=1).translate(SOURCE, IDS)
    # One step from t = 0, where the noise has a standard deviation of 0.01 of the range -1..1;
    # an untrained guess of the velocity is multiplied by the same 0.01.
    assert (result.image - SOURCE).abs().max() < 0.06
    far = method(models, "sdedit", strength=0.7, draws=1).translate(SOURCE, IDS)
    assert (far.image - SOURCE).abs().mean() > 0.1


def test_sdedit_at_full_strength_does_not_see_the_source(models):
    other = brains(seed=5)
    full, part = (
        [method(models, "sdedit", strength=s).translate(y, IDS).image for y in (SOURCE, other)]
        for s in (1.0, 0.8)
    )
    assert torch.equal(*full)
    assert not torch.equal(*part)


def test_sdedit_noises_the_source_to_the_time_of_its_strength(models, monkeypatch):
    from lmidiff import sampler as sampling

    seen = []

    def spy(schedule, denoise, x, times, noise):
        seen.append((x, times))
        yield from sampling.SAMPLERS["dpm_solver"](schedule, denoise, x, times, noise)

    monkeypatch.setitem(sampling.SAMPLERS, "ddim", spy)
    method(models, "sdedit", strength=0.3, steps=6, draws=1).translate(SOURCE, IDS)
    ((x, times),) = seen
    assert times == [299, 249, 199, 149, 99, 49]  # all six below the strength, 50 apart
    signal = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[299]
    noise = (x - np.sqrt(signal) * (2 * SOURCE - 1)) / np.sqrt(1 - signal)
    assert noise.mean().abs() < 5 / np.sqrt(noise.numel())
    assert abs(noise.std() - 1) < 5 / np.sqrt(2 * noise.numel())


def test_what_is_of_the_brain_does_not_depend_on_the_networks_parts(models):
    """The function and the histogram are of all slices, however few the network gets at once."""
    whole = method(models, "self_consistent", consistency=0.8, prior=0.8)
    ids = [("sub-01", place) for place in range(len(SOURCE))]
    images = {}
    for parts in (None, 2, 4):
        whole.model.at_once = parts
        images[parts] = whole.translate(SOURCE, ids).image
    whole.model.at_once = None
    for parts in (2, 4):
        torch.testing.assert_close(images[parts], images[None], atol=1e-5, rtol=0)
    apart = torch.cat([whole.translate(SOURCE[k : k + 2], ids[k : k + 2]).image for k in (0, 2, 4)])
    assert (apart - images[None]).abs().max() > 1e-3, "parts handed to the method would differ"


def test_the_prior_moves_the_image_by_its_share(models):
    image, people = SOURCE.square(), ["sub-01"] * len(SOURCE)

    def moved(share):
        translator = method(models, "self_consistent", prior=share)
        target = translator.model.target
        return towards_histogram(image, SOURCE, people, target, translator.settings)

    inside = inside_of(SOURCE > 0)
    wanted = 0.75 * image + 0.25 * moved(1.0)
    torch.testing.assert_close(moved(0.25)[inside], wanted[inside])
    assert torch.equal(moved(0.0), image)
    assert (moved(1.0) - image).abs().max() > 0.01
