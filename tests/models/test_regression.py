"""The regression models: what they learn, what they are shown, and that a rerun is the same."""

import numpy as np
import pytest
import torch

from lmidiff.common.errors import StudyError
from lmidiff.data.nifti import write_nifti
from lmidiff.data.training_data import TrainingData
from lmidiff.methods import make
from lmidiff.models import FAMILIES, regression, supervised

CPU = torch.device("cpu")
SETTINGS = {
    "contrast": {},
    "guidance": {},
    "unet": {
        "channels": [8, 8],
        "attention": [False, False],
        "groups": 4,
        "head_channels": 8,
        "unshuffle": 1,
    },
    "training": {"steps": 60, "batch_size": 4, "warmup": 5, "learning_rate": 5e-3, "ema": 0.8},
}


def volume(seed):
    """Smooth tissue in a box of air, (16, 16, 4), 0..1."""
    coarse = np.random.default_rng(seed).random((5, 5, 4))
    tissue = 0.1 + 0.8 * coarse.repeat(4, 0).repeat(4, 1)[:16, :16]
    tissue[:2] = tissue[-2:] = 0
    return tissue.astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """PDw and T1w of three people; T1w is a known function of PDw: 0.9 - 0.6 PDw in tissue."""
    folder = tmp_path_factory.mktemp("volumes")
    paths = []
    for seed in range(3):
        pd = volume(seed)
        for name, array in (("PDw", pd), ("T1w", np.where(pd > 0, 0.9 - 0.6 * pd, 0))):
            paths.append(folder / f"sub-0{seed}_{name}.nii.gz")
            write_nifti(paths[-1], array.astype(np.float32), np.eye(4))
    return paths


def test_supervised_learns_the_map_between_the_modalities(files, tmp_path):
    data = TrainingData({"pairs": files}, FAMILIES["supervised"].needs)
    weights, curve = supervised.fit(SETTINGS, data, tmp_path, CPU, "pairs")
    model = supervised.load(SETTINGS, weights, CPU)
    source = torch.from_numpy(volume(7)).permute(2, 0, 1)[:, None]
    wanted = torch.where(source > 0, 0.9 - 0.6 * source, 0)
    made = make("supervised", {}, model, 1).translate(source, []).image
    inside = source > 0
    assert (made - wanted)[inside].abs().mean() < 0.06
    assert (source - wanted)[inside].abs().mean() > 0.2  # what copying would give
    assert curve["loss"].iloc[-1] < 0.5 * curve["loss"].iloc[0]


def test_it_learns_targets_from_sources_of_the_training_pair(files, tmp_path, monkeypatch):
    """The pair is made up: what is learned is the map from its second image to its first."""

    def pair(images, *_):
        return torch.where(images > 0, 0.9 - 0.6 * images, 0), images

    monkeypatch.setattr(regression, "training_pair", pair)
    data = TrainingData({"target": files[::2]}, FAMILIES["regression"].needs)
    weights, _ = regression.fit(SETTINGS, data, tmp_path, CPU, "made up")
    model = regression.load(SETTINGS, weights, CPU)
    source = torch.from_numpy(volume(7)).permute(2, 0, 1)[:, None]
    with torch.no_grad():
        off = (model(source) - (0.9 - 0.6 * source))[source > 0]
    assert off.abs().mean() < 0.06


@pytest.mark.parametrize("kind", ["image", "maps", "image_and_maps"])
def test_contrast_randomised_regression_sees_the_target_alone(files, tmp_path, kind):
    settings = {**SETTINGS, "regression": {"input": kind, "loss": "l2"}}
    settings["training"] = {**SETTINGS["training"], "steps": 3}
    data = TrainingData({"target": files[1::2]}, FAMILIES["regression"].needs)
    runs = [
        regression.fit(settings, data, tmp_path / part, CPU, "cr")[0] for part in ("one", "two")
    ]
    assert all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])
    model = regression.load(settings, runs[0], CPU)
    source = torch.from_numpy(volume(8)).permute(2, 0, 1)[:, None]
    method = make("cr_regression", {}, model, 1)
    whole = method.translate(source, []).image
    parts = torch.cat([method.translate(part, []).image for part in source.split(3)])
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)
    with pytest.raises(StudyError, match="asks for role 'pairs'"):
        supervised.fit(settings, data, tmp_path / "three", CPU, "cr")


@pytest.mark.parametrize(("loss", "expected"), [("l1", 0.5), ("l2", 0.25)])
def test_the_loss_is_the_configured_one(loss, expected):
    model = regression.RegressionModel({**SETTINGS, "regression": {"loss": loss}}, CPU)
    # MONAI's last layer starts at zero, so the network's first answer is 0 everywhere.
    target = torch.full((2, 1, 16, 16), 0.5)
    assert model.loss(torch.rand(2, 1, 16, 16), target, torch.Generator()).item() == pytest.approx(
        expected
    )


@pytest.mark.parametrize(("key", "value"), [("input", "sound"), ("loss", "l3")])
def test_unknown_choices_are_named(key, value):
    with pytest.raises(StudyError, match=f"regression: {key} must be one of"):
        regression.RegressionModel({**SETTINGS, "regression": {key: value}}, CPU)


def test_pairs_must_be_of_the_same_people(files):
    data = TrainingData({"pairs": [files[0], files[3]]}, FAMILIES["supervised"].needs)
    with pytest.raises(StudyError, match="a source and a target per subject"):
        data.pairs()


def test_pairs_come_slice_by_slice(files):
    source, target = TrainingData({"pairs": files}, FAMILIES["supervised"].needs).pairs()
    assert source.shape == target.shape == (12, 1, 16, 16)
    inside = source > 0
    torch.testing.assert_close(target[inside], 0.9 - 0.6 * source[inside])


def test_weights_and_sizes_that_do_not_fit():
    with pytest.raises(StudyError, match="weights do not fit"):
        regression.load(SETTINGS, {"spare": torch.zeros(1)}, CPU)
    model = regression.RegressionModel(SETTINGS, CPU)
    with pytest.raises(StudyError, match="image_size 15 is not a multiple of 2"):
        model(torch.zeros(1, 1, 15, 15))
