"""The pictures that models make while they are trained."""

import numpy as np
import pytest
import torch
from PIL import Image

from lmidiff.common.errors import StudyError
from lmidiff.figures.previews import figure_previews
from lmidiff.training.learner import TrainingSettings
from lmidiff.training.loop import LossLearner, fit
from lmidiff.training.previews import COUNT, write_previews

SETTINGS = TrainingSettings(steps=10, warmup=0, ema=0.5, learning_rate=0.1, checkpoint_every=4)


def learner(show=None):
    """A weight that is pulled from 0 to 1; ``show`` draws its value."""
    torch.manual_seed(0)
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)

    def loss(generator):
        return (network.weight - 1).square().mean() + 0 * torch.rand(1, generator=generator).sum()

    made = LossLearner(network, loss, SETTINGS, torch.device("cpu"))
    made.show = show or (lambda: network.weight.view(1, 1, 1, 1).expand(COUNT, 1, 2, 2).clone())
    return made


def pictures(folder):
    write_previews(folder, folder / "out.npz")
    with np.load(folder / "out.npz") as content:
        return content["steps"], content["images"]


def test_five_pictures_of_the_averaged_weights(tmp_path):
    weights, _ = fit(learner(), SETTINGS, tmp_path, "toy")
    steps, images = pictures(tmp_path)
    assert steps.tolist() == [2, 4, 6, 8, 10]
    assert images.shape == (5, COUNT, 2, 2)
    assert (np.diff(images[:, 0, 0, 0].astype(int)) > 0).all()  # on its way to 1
    assert images[-1, 0, 0, 0] == round(255 * weights["weight"].item())


def test_pictures_do_not_change_what_is_trained(tmp_path):
    with_pictures, _ = fit(learner(), SETTINGS, tmp_path / "a", "toy")
    blind = learner()
    blind.show = None
    without, _ = fit(blind, SETTINGS, tmp_path / "b", "toy")
    assert torch.equal(with_pictures["weight"], without["weight"])
    steps, images = pictures(tmp_path / "b")
    assert len(steps) == len(images) == 0


def test_a_resumed_run_ends_with_the_same_pictures(tmp_path):
    fit(learner(), SETTINGS, tmp_path / "whole", "toy")
    stopped = learner()
    taken = []

    def show():
        taken.append(1)
        if len(taken) == 4:
            raise KeyboardInterrupt
        return stopped.network.weight.view(1, 1, 1, 1).expand(COUNT, 1, 2, 2).clone()

    stopped.show = show
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, SETTINGS, tmp_path / "part", "toy")
    fit(learner(), SETTINGS, tmp_path / "part", "toy")
    for one, other in zip(pictures(tmp_path / "whole"), pictures(tmp_path / "part"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_figure_has_a_row_for_each_model_that_took_pictures(tmp_path):
    fit(learner(), SETTINGS, tmp_path / "a", "toy")
    pictures(tmp_path / "a")
    (tmp_path / "empty").mkdir()
    pictures(tmp_path / "empty")
    one = {"a": tmp_path / "a/out.npz"}
    figure_previews(one, tmp_path / "one.png", tmp_path / "one.pdf")
    figure_previews(
        {**one, "none": tmp_path / "empty/out.npz"}, tmp_path / "two.png", tmp_path / "two.pdf"
    )
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    figure_previews({**one, "b": one["a"]}, tmp_path / "three.png", tmp_path / "three.pdf")
    heights = [Image.open(tmp_path / f"{name}.png").height for name in ("one", "three")]
    assert heights[1] > heights[0]


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK no")
    with pytest.raises(StudyError, match="not a file of previews"):
        figure_previews({"m": tmp_path / "bad.npz"}, tmp_path / "x.png", tmp_path / "x.pdf")
