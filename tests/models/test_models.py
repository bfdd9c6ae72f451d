"""What a training job may see, and what becomes of the weights."""

import pytest
import torch
from safetensors.torch import save_file

from lmidiff.common.errors import StudyError
from lmidiff.data.training_data import TrainingData
from lmidiff.guidance import static_maps
from lmidiff.methods.build import build_method
from lmidiff.models import FAMILIES, diffusion, histogram
from lmidiff.models.weights import publish, read_weights, state_folder
from method_cases import (
    CPU,
    FAST,
    IDS,
    MEASURED,
    SIZE,
    SOURCE,
    brains,
    loud_weights,
    method,
    model_settings,
    write,
)

# --- what a training job may see ------------------------------------------------------------


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
    data = TrainingData({"target": volumes}, FAMILIES["diffusion"].needs)
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
    data = TrainingData({"target": volumes}, FAMILIES["diffusion"].needs)
    weights, _ = diffusion.fit(settings, data, tmp_path, CPU, "tiny")
    before = diffusion.DiffusionModel(settings, CPU).network.state_dict()
    assert any(not torch.equal(weights[name], before[name]) for name in before)
    assert all(bool(torch.isfinite(value).all()) for value in weights.values())


def test_the_targets_and_sources_of_random_contrasts_are_those_of_the_training_pair(monkeypatch):
    model = diffusion.DiffusionModel(model_settings("self", contrast_randomised=True), CPU)
    seen = {}

    def pair(images, _generator, settings):
        assert settings is model.contrast
        return 0.5 * images, 0.25 * images

    def spied(source, guidance):
        seen["source"] = source
        return static_maps(source, guidance)

    def spied_noise(schedule, x0, noise, times):
        seen["target"] = model.to_image(x0)
        return add_noise(schedule, x0, noise, times)

    add_noise = type(model.schedule).add_noise
    monkeypatch.setattr(diffusion, "training_pair", pair)
    monkeypatch.setattr(diffusion, "static_maps", spied)
    monkeypatch.setattr(type(model.schedule), "add_noise", spied_noise)
    model.loss(SOURCE, None, torch.Generator().manual_seed(0))
    assert seen["source"].max() > 0
    torch.testing.assert_close(seen["target"], 2 * seen["source"], rtol=0, atol=1e-6)
    mirrored = torch.cat([SOURCE, SOURCE.flip(-1), SOURCE.flip(-2)])
    for image in 2 * seen["target"]:
        assert any(torch.allclose(image, each, atol=1e-6) for each in mirrored)


def test_precomputed_static_maps_are_those_of_the_batch():
    # fit() computes the self maps once and mirrors them with their images; without, each batch.
    model = diffusion.DiffusionModel(model_settings("both"), CPU)
    model.network.load_state_dict(loud_weights(model_settings("both")))
    static = static_maps(SOURCE, model.guidance)
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
    save_file(MEASURED, path)
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
        diffusion.load(settings, MEASURED, CPU)
    with pytest.raises(StudyError, match="train the model again"):
        diffusion.load(settings, weights, CPU)  # of a version that kept no histogram with them
    quantiles = MEASURED["quantiles"]
    for wrong in (weights, {**MEASURED, "quantiles": quantiles[:-1]}, {"quantiles": quantiles}, {}):
        with pytest.raises(StudyError, match="do not fit"):
            histogram.load({}, wrong, CPU)
    assert torch.equal(histogram.load({}, MEASURED, CPU).quantiles, quantiles)


def test_an_image_size_that_the_network_cannot_take_is_named(tmp_path, models):
    odd = brains()[..., :14]
    path = write(tmp_path / "sub-01_T1w.nii.gz", odd)
    data = TrainingData({"target": [path]}, FAMILIES["diffusion"].needs)
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
