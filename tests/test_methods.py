"""The translation methods on tiny untrained models, and what they are handed and hand back."""

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage.exposure import match_histograms
from skimage.metrics import structural_similarity

from lmidiff import translation, tuning
from lmidiff.contrast import ContrastSettings, randomise_contrast
from lmidiff.data.nifti import write_nifti
from lmidiff.data.training_data import TrainingData
from lmidiff.devices import autocast
from lmidiff.errors import StudyError
from lmidiff.methods import METHODS, method_of
from lmidiff.methods.base import Method, Translation
from lmidiff.methods.build import build_method
from lmidiff.models import FAMILIES, cyclegan, diffusion, family_of, histogram, stylegan
from lmidiff.models.histogram import quantiles
from lmidiff.models.weights import publish, read_weights, state_folder
from lmidiff.networks.cyclegan import Generator

CPU = torch.device("cpu")
SIZE = 16
AFFINE = np.array([[-3.0, 0, 0, 20], [0, 3.0, 0.2, -31], [0, -0.2, 4.0, 7], [0, 0, 0, 1]])
FAST = {"sampler": "ddim", "steps": 3, "draws": 2}
OWN = {"stylegan": {"candidates": 8, "steps": 3, "scales": [1]}}


def brains(count=6, seed=0):
    """Slices with air around a disc of random tissue."""
    generator = torch.Generator().manual_seed(seed)
    row, column = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    disc = ((row - 7.5) ** 2 + (column - 7.5) ** 2 < 40).float()
    return disc * (0.05 + 0.95 * torch.rand(count, 1, SIZE, SIZE, generator=generator))


SOURCE = brains()
IDS = [("sub-01", 0), ("sub-01", 1), ("sub-01", 2), ("sub-02", 0), ("sub-03", 0), ("sub-03", 1)]
SUBJECTS = [[0, 1, 2], [3], [4, 5]]
QUANTILES = quantiles(brains(seed=9).square())


def model_settings(condition="both", **changes):
    return {
        "family": "diffusion",
        "diffusion": {},
        "guidance": {"condition": condition},
        "contrast": {},
        "unet": {
            "channels": [8, 8],
            "attention": [False, True],
            "groups": 4,
            "head_channels": 8,
        },
        "training": {"batch_size": 4, "steps": 4, "warmup": 2, "precision": "float32"},
        **changes,
    }


def loud_weights(settings):
    """Random weights; MONAI's last layer starts at 0, and so would every output be."""
    network = diffusion.DiffusionModel(settings, CPU).network
    generator = torch.Generator().manual_seed(4)
    return {
        name: value + 0.15 * torch.randn(value.shape, generator=generator)
        for name, value in network.state_dict().items()
    }


@pytest.fixture(scope="module")
def models():
    made = {None: None, "histogram": QUANTILES}
    for condition in ("none", "both", "self", "frequency"):
        settings = model_settings(condition)
        weights = {**loud_weights(settings), diffusion.HISTOGRAM: QUANTILES}
        made[condition] = diffusion.load(settings, weights, CPU)
    for family in ("regression", "supervised"):
        settings = {**model_settings(), "family": family}
        made[family] = family_of(family).RegressionModel(settings, CPU)
    torch.manual_seed(4)
    made["cyclegan"] = cyclegan.load({}, Generator(16, 1, 4).state_dict(), CPU)
    small = stylegan.StyleGANSettings(channels=(8, 6, 4), latent=8, mapping_layers=1)
    made["stylegan"] = stylegan.StyleGANModel(stylegan.generator_of(small, (4, 4)))
    return made


WHICH = {
    "sdedit": "none",
    "ilvr": "none",
    "fgdm": "frequency",
    "lmidiffusion": "both",
    "lmidiffusion_cr": "self",
    "lmidiffusion_grad": "none",
    "ours": "self",
}


def method(models, name, seed=1, **settings):
    kind = method_of(name)
    which = WHICH.get(name, kind.family)
    block = {**(FAST if name in WHICH else OWN.get(name, {})), **settings}
    return kind(block, models[which], seed)


# --- the contract ---------------------------------------------------------------------------


def test_every_method_and_family_is_known_by_name():
    assert set(WHICH) | {"source", "histogram", "inverted_histogram", "oracle"} <= set(METHODS)
    for name in METHODS:
        kind = method_of(name)
        assert issubclass(kind, Method)
        assert kind.family is None or kind.family in FAMILIES
        assert kind.sees_test_target == (name == "oracle")
    with pytest.raises(StudyError, match="'cyclegun'"):
        method_of("cyclegun")
    with pytest.raises(StudyError, match="'gun'"):
        family_of("gun")


COVERED = [name for name in METHODS if name in WHICH or method_of(name).family != "diffusion"]


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
    from lmidiff.methods import sampling

    ends, final = [], sampling.final
    monkeypatch.setattr(sampling, "final", lambda steps: ends.append(final(steps)) or ends[-1])
    with torch.no_grad():
        result = method(models, "lmidiffusion", draws=3).translate(SOURCE, IDS)
    draws = np.stack([np.clip((x.numpy() + 1) / 2, 0, 1) for x in ends])
    assert len(draws) == 3
    np.testing.assert_allclose(result.image, draws.mean(0), atol=1e-6)
    np.testing.assert_allclose(result.spread, draws.std(0), atol=1e-6)


def test_all_methods_start_a_slice_from_the_same_noise(models, monkeypatch):
    from lmidiff.methods import sampling

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
    from lmidiff.devices import resolve_precision

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


@pytest.mark.parametrize("name", ["source", "oracle"])
def test_source_and_oracle_give_back_what_they_are_handed(models, name):
    result = method(models, name).translate(SOURCE, IDS)
    assert torch.equal(result.image, SOURCE)
    assert result.spread is None


def test_histogram_matching_is_scikit_images_in_the_brain():
    template = brains(40, seed=9).square()
    kind = method_of("histogram")({}, quantiles(template), 1)
    ours = kind.translate(SOURCE, IDS).image
    for rows in SUBJECTS:
        brain = SOURCE[rows] > 0
        theirs = match_histograms(SOURCE[rows][brain].numpy(), template[template > 0].numpy())
        # scikit-image takes the upper end of a voxel's step, we its middle: half a step of n.
        n = int(brain.sum())
        step = float(torch.diff(QUANTILES).max()) * 1024 / n
        np.testing.assert_allclose(ours[rows][brain], theirs, atol=max(0.01, step))
        assert np.abs(ours[rows][brain].numpy() - theirs).mean() < 1.0 / n + 2e-3
    assert torch.equal(ours == 0, SOURCE == 0)


def test_histogram_matching_to_its_own_histogram_changes_nothing():
    many = brains(50, seed=3)
    kind = method_of("histogram")({}, quantiles(many), 1)
    same = kind.translate(many, [("sub-01", z) for z in range(50)]).image
    torch.testing.assert_close(same, many, rtol=0, atol=2e-3)


def test_tied_voxels_share_the_middle_of_their_ranks():
    levels = torch.tensor([0.2, 0.4, 0.4, 0.4, 0.9, 0.9, 0.9, 0.9]).view(1, 1, 2, 4)
    uniform = torch.linspace(0, 1, 1025)
    for name, middles in (
        ("histogram", [1 / 16, 5 / 16, 5 / 16, 5 / 16, 12 / 16, 12 / 16, 12 / 16, 12 / 16]),
        (
            "inverted_histogram",
            [15 / 16, 11 / 16, 11 / 16, 11 / 16, 4 / 16, 4 / 16, 4 / 16, 4 / 16],
        ),
    ):
        image = method_of(name)({}, uniform, 1).translate(levels, [("sub-01", 0)]).image
        torch.testing.assert_close(image.flatten(), torch.tensor(middles))


@pytest.mark.parametrize(("name", "sign"), [("histogram", 1), ("inverted_histogram", -1)])
def test_histogram_matching_keeps_or_reverses_the_order(models, name, sign):
    coarse = (SOURCE * 50).ceil() / 50  # with ties
    image = method(models, name).translate(coarse, IDS).image
    for rows in SUBJECTS:
        brain = coarse[rows] > 0
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
    np.testing.assert_allclose(quantiles(images), expected, rtol=1e-6)


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
    from lmidiff.methods import sampling

    seen = []

    def spy(schedule, denoise, x, times, noise):
        seen.append((x, times))
        yield from sampling.SAMPLERS["dpm_solver"](schedule, denoise, x, times, noise)

    monkeypatch.setitem(sampling.SAMPLERS, "ddim", spy)
    method(models, "sdedit", strength=0.3, steps=20, draws=1).translate(SOURCE, IDS)
    ((x, times),) = seen
    assert times == [299, 249, 199, 149, 99, 49]  # 0.3 of 20 steps, 50 apart
    signal = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[299]
    noise = (x - np.sqrt(signal) * (2 * SOURCE - 1)) / np.sqrt(1 - signal)
    assert noise.mean().abs() < 5 / np.sqrt(noise.numel())
    assert abs(noise.std() - 1) < 5 / np.sqrt(2 * noise.numel())


# --- contrast randomisation -----------------------------------------------------------------


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
    ramp = torch.linspace(0.001, 1, 64).view(1, 1, 8, 8).expand(count, -1, -1, -1)
    curves = randomised(ramp, monotone=monotone, noise=0.0).flatten(1)
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
    curves = randomised(ramp, noise=0.0, knots=6, ceiling=0.7, monotone=0.0).flatten(1)
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


# --- what a training job may see ------------------------------------------------------------


def write(path, stack):
    """Slices (Z, 1, X, Y) as a NIfTI volume."""
    write_nifti(path, stack[:, 0].permute(1, 2, 0).numpy(), AFFINE)
    return path


@pytest.fixture
def volumes(tmp_path):
    folder = tmp_path / "volumes"
    return [
        write(folder / f"sub-0{i + 1}_PDw.nii.gz", SOURCE[rows]) for i, rows in enumerate(SUBJECTS)
    ]


def test_an_undeclared_role_is_refused(volumes):
    with pytest.raises(StudyError, match="'source' was handed over"):
        TrainingData({"target": volumes, "source": volumes[:1]}, frozenset({"target"}))
    with pytest.raises(StudyError, match="'target' is needed"):
        TrainingData({"target": []}, frozenset({"target"}))
    data = TrainingData({"target": volumes, "source": []}, frozenset({"target"}))
    for role in ("source", "pairs"):
        for ask in (data.paths, data.images):
            with pytest.raises(StudyError, match=f"asks for role '{role}'"):
                ask(role)


def test_training_images_leave_out_slices_without_brain(tmp_path):
    stack = SOURCE[:3].clone()
    stack[1] = 0
    path = write(tmp_path / "sub-01_T1w.nii.gz", stack)
    data = TrainingData({"target": [path]}, frozenset({"target"}))
    assert torch.equal(data.images("target"), SOURCE[[0, 2]])
    empty = write(tmp_path / "sub-02_T1w.nii.gz", torch.zeros(2, 1, SIZE, SIZE))
    with pytest.raises(StudyError, match="shows any brain"):
        TrainingData({"target": [empty]}, frozenset({"target"})).images("target")


def test_the_state_folder_is_named_by_settings_data_and_code(tmp_path, volumes):
    code = tmp_path / "code.py"
    code.write_text("a = 1\n")
    needs = frozenset({"target"})

    def name(settings, files):
        data = TrainingData({"target": files}, needs)
        return state_folder(tmp_path, settings, data, [code]).name

    first = name({"a": 1, "b": 2}, volumes)
    assert first == name({"b": 2, "a": 1}, volumes)
    assert first != name({"a": 1, "b": 3}, volumes)
    assert first != name({"a": 1, "b": 2}, volumes[:2])
    write(volumes[0], SOURCE[3:])
    second = name({"a": 1, "b": 2}, volumes)
    assert second != first
    code.write_text("a = 2\n")
    assert name({"a": 1, "b": 2}, volumes) != second


# --- weights --------------------------------------------------------------------------------


def test_trained_weights_go_out_and_come_back(tmp_path, volumes):
    settings = model_settings("both")
    data = TrainingData({"target": volumes}, diffusion.needs)
    weights, _ = diffusion.fit(settings, data, tmp_path / "state", CPU, "tiny")
    path = tmp_path / "out" / "model.safetensors"
    publish(path, weights, settings)
    block = {"name": "lmidiffusion", "family": "diffusion", "model": settings, "settings": FAST}
    built = build_method(block, {"steps": 2}, [str(path)], 1, CPU)
    assert built.settings.steps == 2  # tuned settings win
    assert built.settings.draws == 2
    for name, value in built.model.network.state_dict().items():
        assert torch.equal(value, weights[name])
    assert not built.model.network.training
    assert (path.parent / "config.json").exists()


@pytest.mark.parametrize("condition", ["none", "self", "cross", "both", "image", "frequency"])
@pytest.mark.parametrize("contrast", [False, True])
def test_every_condition_trains(tmp_path, volumes, condition, contrast):
    settings = model_settings(condition, contrast_randomised=contrast)
    data = TrainingData({"target": volumes}, diffusion.needs)
    weights, _ = diffusion.fit(settings, data, tmp_path, CPU, "tiny")
    before = diffusion.DiffusionModel(settings, CPU).network.state_dict()
    assert any(not torch.equal(weights[name], before[name]) for name in before)
    assert all(bool(torch.isfinite(value).all()) for value in weights.values())


def test_precomputed_static_maps_are_those_of_the_batch():
    # fit() computes the self maps once and mirrors them with their images; without, each batch.
    model = diffusion.DiffusionModel(model_settings("both"), CPU)
    model.network.load_state_dict(loud_weights(model_settings("both")))
    static = model.guidance.static(SOURCE)
    for seed in range(4):
        given, own = (
            model.loss(SOURCE, maps, torch.Generator().manual_seed(seed)) for maps in (static, None)
        )
        torch.testing.assert_close(given, own, rtol=1e-4, atol=1e-6)


def test_weights_that_cannot_be_read_are_named(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(StudyError, match="no such weights") as missing:
        read_weights(path)
    assert str(path) in str(missing.value)
    save_file({"quantiles": QUANTILES}, path)
    whole = path.read_bytes()
    for damaged in (whole[:-100], whole[:5], b"", b"a text file, not weights at all"):
        path.write_bytes(damaged)
        with pytest.raises(StudyError, match="not a readable safetensors file") as raised:
            read_weights(path)
        assert str(path) in str(raised.value)


def test_weights_of_another_model_are_refused():
    settings = model_settings("both")
    weights = loud_weights(settings)
    with pytest.raises(StudyError, match="do not fit"):
        diffusion.load(model_settings("self"), weights, CPU)
    with pytest.raises(StudyError, match="do not fit"):
        diffusion.load(settings, {"quantiles": QUANTILES}, CPU)
    for wrong in (weights, {"quantiles": QUANTILES[:-1]}, {}):
        with pytest.raises(StudyError, match="do not fit"):
            histogram.load({}, wrong, CPU)
    assert torch.equal(histogram.load({}, {"quantiles": QUANTILES}, CPU), QUANTILES)


def test_an_image_size_that_the_network_cannot_take_is_named(tmp_path, models):
    odd = brains()[..., :14]
    path = write(tmp_path / "sub-01_T1w.nii.gz", odd)
    data = TrainingData({"target": [path]}, diffusion.needs)
    with pytest.raises(StudyError, match="image_size 14 is not a multiple of 4"):
        diffusion.fit(model_settings(), data, tmp_path / "state", CPU, "tiny")
    with pytest.raises(StudyError, match="image_size 14 is not a multiple of 4"):
        method(models, "lmidiffusion").translate(odd, IDS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unet": {"channels": [6], "attention": [False], "groups": 4}}, "unet"),
        ({"unet": {"depth": 3}}, r"unet\.depth"),
        ({"diffusion": {"parameterisation": "score"}}, "parameterisation"),
        ({"diffusion": {"range": "percent"}}, "range"),
        ({"guidance": {"bandwidth": 8}}, r"guidance\.bandwidth"),
        ({"training": {"step": 8}}, r"training\.step"),
    ],
)
def test_a_wrong_model_block_is_named(changes, message):
    with pytest.raises(StudyError, match=message):
        diffusion.DiffusionModel(model_settings(**changes), CPU)


# --- volumes in, volumes out ----------------------------------------------------------------


def translate(method_, volumes, folder, batch_size=4):
    translation.translate_volumes(
        method_, volumes, folder, target="T1w", batch_size=batch_size, device=CPU, what="test"
    )


class Fixed(Method):
    """Gives back a function of the source."""

    label = "fixed"

    def __init__(self, change, spread=None):
        self.change, self.spread, self.seen = change, spread, []

    def translate(self, source, ids):
        self.seen.append(ids)
        return Translation(self.change(source), self.spread and self.spread(source))


def test_volumes_keep_their_place_and_air(volumes, tmp_path):
    fixed = Fixed(lambda y: 1.3 - y, lambda y: y + 0.5)
    folder = tmp_path / "out"
    translate(fixed, volumes, folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(f"sub-0{i}_{x}T1w.nii.gz" for i in (1, 2, 3) for x in ("", "desc-std_"))
    for volume, rows in zip(volumes, SUBJECTS, strict=True):
        name = volume.name.replace("PDw", "T1w")
        source, image = nib.load(volume), nib.load(folder / name)
        spread = nib.load(folder / name.replace("_", "_desc-std_"))
        np.testing.assert_allclose(image.affine, AFFINE, atol=1e-5)
        np.testing.assert_allclose(spread.affine, AFFINE, atol=1e-5)
        assert image.shape == source.shape == (SIZE, SIZE, len(rows))
        y = source.get_fdata()
        expected = np.where(y == 0, 0, np.clip(1.3 - y, 0, 1))
        np.testing.assert_allclose(image.get_fdata(), expected, atol=1e-6)
        np.testing.assert_allclose(spread.get_fdata(), np.where(y == 0, 0, y + 0.5), atol=1e-6)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("batch_size", "batches"), [(1, [3, 1, 2]), (4, [4, 2]), (5, [4, 2]), (99, [6])]
)
def test_batches_are_whole_subjects(volumes, tmp_path, batch_size, batches):
    fixed = Fixed(lambda y: y)
    translate(fixed, volumes, tmp_path / "out", batch_size)
    assert [len(ids) for ids in fixed.seen] == batches
    assert [each for ids in fixed.seen for each in ids] == IDS


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_failed_translation_leaves_nothing(volumes, tmp_path, bad):
    folder = tmp_path / "out"

    def fail_on_the_last(y):
        return y if len(y) != 2 else torch.cat([y[:1], y[1:] * bad])

    with pytest.raises(StudyError, match="not finite") as raised:
        translate(Fixed(fail_on_the_last), volumes, folder)
    assert "sub-03, slice 1" in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["volumes"]
    # An earlier result survives a later failure.
    translate(Fixed(lambda y: y), volumes, folder)
    before = sorted(path.read_bytes() for path in folder.iterdir())
    with pytest.raises(StudyError):
        translate(Fixed(fail_on_the_last), volumes, folder)
    assert sorted(path.read_bytes() for path in folder.iterdir()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "volumes"]


def test_translated_volumes_do_not_depend_on_the_batch_size(models, volumes, tmp_path):
    for size in (1, 99):
        translate(method(models, "lmidiffusion"), volumes, tmp_path / str(size), size)
    for path in (tmp_path / "1").iterdir():
        one, other = nib.load(path), nib.load(tmp_path / "99" / path.name)
        np.testing.assert_allclose(one.get_fdata(), other.get_fdata(), atol=1e-5)


# --- tuning ---------------------------------------------------------------------------------


def test_tuning_picks_the_best_brain_ssim(volumes, tmp_path):
    brain = torch.zeros_like(SOURCE)
    brain[..., 4:12, 5:11] = 1
    truth = SOURCE**2
    names = [volume.name for volume in volumes]
    targets = [
        write(tmp_path / name.replace("PDw", "T1w"), truth[rows])
        for name, rows in zip(names, SUBJECTS, strict=True)
    ]
    masks = [
        write(tmp_path / name.replace("PDw", "mask"), brain[rows])
        for name, rows in zip(names, SUBJECTS, strict=True)
    ]
    built = []

    def build(settings):
        built.append(dict(settings))
        power, offset = settings["power"], settings["offset"]
        return Fixed(lambda y: y**power + offset)

    grid = {"power": [1.0, 2.0, 3.0], "offset": [0.1, 0.0]}
    table, best = tuning.tune(build, grid, volumes, targets, masks, 4, CPU, "test")
    assert best == {"power": 2.0, "offset": 0.0}
    assert built == [{"power": p, "offset": o} for p in grid["power"] for o in grid["offset"]]
    assert table[["power", "offset"]].to_dict("records") == built
    assert table.brain_ssim.idxmax() == 3
    # One row by scikit-image: the mean of the map over all brain pixels of all slices.
    values = []
    for slice_, image, inside in zip(truth[:, 0], SOURCE[:, 0], brain[:, 0], strict=True):
        shown = torch.where(image > 0, (image + 0.1).clamp(0, 1), 0)
        _, ssim = structural_similarity(
            slice_.double().numpy(),
            shown.double().numpy(),
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        values += list(ssim[inside.numpy() > 0])
    assert table.brain_ssim[0] == pytest.approx(np.mean(values), abs=1e-6)


def test_tuning_takes_the_first_of_equals(volumes):
    masks = volumes
    table, best = tuning.tune(
        lambda _: Fixed(lambda y: y), {"x": ["b", "a"]}, volumes, volumes, masks, 99, CPU, "test"
    )
    assert best == {"x": "b"}
    assert list(table.brain_ssim) == pytest.approx([1, 1])


def test_build_needs_no_weights_for_a_method_without_a_model():
    block = {"name": "source", "family": None, "settings": {}}
    assert isinstance(build_method(block, {}, [], 1, CPU), method_of("source"))
