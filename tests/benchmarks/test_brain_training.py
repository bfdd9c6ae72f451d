"""Training of the mask networks: the same heads and weights, however often it is stopped."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from brain_mask import surface_training
from brain_mask.fitting import BrainTraining, fit, loss_of
from brain_mask.surface_training import Heads, ScannedHead, head_of, surface_example, worn
from lmidiff.data.brain_surface import BOX

SETTINGS = BrainTraining(steps=6, optimizer="muon", rounds=2, warmup=1)


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv3d(a, b, 3, padding=1) for a, b in ((1, 3), (3, 3), (3, 1)))
        )

    def forward(self, image):
        return self.layers(image)


def examples(first: int):
    for step in range(first, SETTINGS.steps):
        draw = torch.Generator().manual_seed(step)
        image = torch.rand(1, 1, 6, 6, 6, generator=draw)
        yield image, (image > 0.5).float()


def trained(output: Path, **options) -> bool:
    torch.manual_seed(0)
    return fit(Tiny(), examples, output, SETTINGS, {"heads": []}, {"saw": "noise"}, **options)


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_training_that_is_stopped_ends_with_the_same_weights(tmp_path, monkeypatch, optimizer):
    monkeypatch.setitem(globals(), "SETTINGS", replace(SETTINGS, optimizer=optimizer))
    assert trained(tmp_path / "whole.safetensors")
    for _ in range(SETTINGS.steps):
        done = trained(tmp_path / "parts.safetensors", stop_after_s=0)
    assert not done
    assert trained(tmp_path / "parts.safetensors")
    whole, parts = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    with safe_open(tmp_path / "whole.safetensors", "pt") as file:
        assert file.metadata() == {"saw": "noise"}
    assert not list(tmp_path.glob("*.state"))


def test_each_head_is_shown_twice_and_not_twice_running():
    shown = [head_of(step) for step in range(2000)]
    assert shown[:8] == [0, 0, 1, 0, 2, 1, 3, 2]
    counts = [shown.count(head) for head in range(2, 900)]
    assert set(counts) == {2}
    assert all(a != b for a, b in pairwise(shown[1:]))


def test_heads_are_the_same_from_any_step_on(monkeypatch):
    monkeypatch.setattr(surface_training, "surface_example", lambda *given: given[-1])
    whole = list(Heads([], [], range(9), seed=1))
    for first in range(1, 9):
        assert list(Heads([], [], range(first, 9), seed=1)) == whole[first:]
    assert list(Heads([], [], range(9), seed=2)) != whole


@pytest.fixture(scope="module")
def head() -> ScannedHead:
    places = torch.linspace(-1, 1, surface_training.SIDE)
    x, y, z = torch.meshgrid(places, places, places, indexing="ij")
    radius = (x**2 + y**2 + z**2).sqrt()[None, None]
    image = (radius < 0.55).float() + 0.5 * ((radius > 0.6) & (radius < 0.7)).float()
    brain = (radius < 0.55).float()
    return ScannedHead(image, brain, 2 * brain.int())


def test_what_is_shown_of_a_head(head):
    # The first draw of this seed takes a scan.
    image, brain = surface_example([], [head], 3)
    again, _ = surface_example([], [head], 3)
    assert image.shape == (1, 2, *BOX)
    assert brain.shape == (1, 1, *BOX)
    assert torch.equal(image, again)
    assert image[:, 0].min() >= 0
    assert image[:, 0].max() <= 1
    assert image[:, 1].abs().max() <= 1
    assert brain.min() >= 0
    assert brain.max() < 1 + 1e-6  # rounding of the interpolation
    assert 0.1 < float(brain.mean()) < 0.9


def test_beyond_the_field_of_view_there_is_neither_image_nor_brain(head):
    for seed in range(12):
        draw = surface_training.Draw(seed)
        image, brain = worn(head.image, head.brain, draw)
        dark = image.amax((0, 1, 2, 3)) == 0
        assert not brain[..., dark].any()


def test_the_loss_is_least_where_the_answer_is_right():
    target = (torch.rand(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    right, wrong, unsure = (
        float(loss_of(scale * (2 * target - 1), target)) for scale in (20.0, -20.0, 0.0)
    )
    assert right == pytest.approx(0, abs=0.01)
    assert right < unsure < wrong
