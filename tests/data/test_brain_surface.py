"""The second mask network: what it is shown lies where the image does, and so does its answer."""

import csv

import numpy as np
import pytest
import torch

from lmidiff.data import brain_network, brain_surface
from lmidiff.data.brain import find_brain
from lmidiff.data.brain_network import fold, unfold
from lmidiff.data.brain_surface import BOX, SURE, VOXEL_MM
from lmidiff.data.volumes import read_volume
from workflows import ROOT

SHARED = ROOT.parent / "shared" / "data"


def ball(voxel_mm, centre_mm, radius_mm: float, field_mm: float = 240.0):
    """A smooth ball: distances to its surface in mm, positive inside."""
    edges = np.asarray(voxel_mm, dtype=float)
    shape = np.round(field_mm / edges).astype(int)
    places = np.indices(shape).T * edges
    return (radius_mm - np.linalg.norm(places - centre_mm, axis=-1)).T.astype(np.float32)


def centre_of(mask: np.ndarray, voxel_mm) -> np.ndarray:
    return np.argwhere(mask).mean(0) * voxel_mm


GRIDS = [(1, 1, 1), (0.8, 0.8, 0.8), (2, 2, 2), (0.5, 1.0, 1.3), (1.2, 0.9375, 5.0)]


@pytest.mark.parametrize("voxel_mm", GRIDS)
def test_the_answer_lies_where_the_image_does(monkeypatch, voxel_mm) -> None:
    """A network that takes for brain what is bright."""
    monkeypatch.setattr(brain_surface, "_network", lambda: lambda shown: shown[:, :1] - 0.5)
    centre = np.array([120.0, 115.0, 125.0])
    inside = ball(voxel_mm, centre, 60)
    image = np.clip(inside / 4 + 0.5, 0, 1)  # half at the surface
    found = brain_surface.brain_surface(100 * image, voxel_mm, inside) > 0
    assert centre_of(found, voxel_mm) == pytest.approx(centre, abs=0.15)
    volume = found.sum() * np.prod(voxel_mm)
    assert volume == pytest.approx(4 / 3 * np.pi * 60**3, rel=0.03)


@pytest.mark.parametrize("voxel_mm", GRIDS)
def test_the_first_answer_lies_where_the_image_does(monkeypatch, voxel_mm) -> None:
    monkeypatch.setattr(brain_network, "cube_logits", lambda cubes: cubes - 0.5)
    centre = np.array([120.0, 115.0, 125.0])
    inside = ball(voxel_mm, centre, 60)
    share = brain_network.brain_share(100 * np.clip(inside / 8 + 0.5, 0, 1), np.array(voxel_mm))
    assert centre_of(share > 0, voxel_mm) == pytest.approx(centre, abs=0.25)


@pytest.mark.parametrize("voxel_mm", GRIDS)
def test_the_first_answer_is_shown_where_it_was_given(monkeypatch, voxel_mm) -> None:
    monkeypatch.setattr(brain_surface, "_network", lambda: lambda shown: SURE * shown[:, 1:])
    inside = ball(voxel_mm, [118.0, 121.0, 119.0], 60)
    surface = brain_surface.brain_surface(np.ones_like(inside), voxel_mm, inside)
    assert surface.shape == inside.shape
    near = np.abs(inside) < SURE - 3
    assert np.abs(surface - inside)[near].max() < 0.6
    assert ((surface > 0) == (inside > 0)).mean() > 0.999


def test_a_brain_larger_than_the_box_gets_a_larger_box() -> None:
    found = np.zeros((140, 140, 140), bool)
    found[10:130, 20:120, 30:100] = True
    start, box = brain_surface._surroundings(found, np.full(3, VOXEL_MM))
    assert box == (144, 128, 96)
    assert all(side % 16 == 0 for side in box)
    assert np.all(start + 8 <= [10, 20, 30])
    assert np.all(start + np.array(box) >= [130 + 8, 120 + 8, 100 + 8])
    small = np.zeros((140, 140, 140), bool)
    small[60:70, 60:70, 60:70] = True
    assert brain_surface._surroundings(small, np.full(3, VOXEL_MM))[1] == BOX


def test_folding_two_images_is_folding_each() -> None:
    images = torch.rand(2, 2, 8, 6, 4)
    apart = torch.cat([fold(images[:, :1]), fold(images[:, 1:])], 1)
    assert torch.equal(fold(images), apart)
    assert torch.equal(unfold(fold(images[:, :1])), images[:, :1])


def test_a_mirrored_head_has_the_mirrored_mask() -> None:
    drawn = np.random.default_rng(0).random((128, 120, 110), dtype=np.float32)
    inside = ball((2, 2, 2), [127.0, 120.0, 110.0], 70, 240)[:, :, :110]
    image = drawn[: inside.shape[0]] * (inside > -15)
    straight = brain_surface.brain_surface(image, (2, 2, 2), inside)
    mirrored = brain_surface.brain_surface(image[::-1].copy(), (2, 2, 2), inside[::-1].copy())
    assert mirrored[::-1] == pytest.approx(straight, abs=0.02)


def people(split: str, modality: str) -> list[dict[str, str]]:
    with (ROOT / "config" / "real.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return [row for row in rows if (row["split"], row["modality"]) == (split, modality)]


def test_real_heads_that_no_network_was_trained_on() -> None:
    """Those of the training's scanner, by their labels; all others: docs/data.md."""
    if not SHARED.is_dir():
        pytest.skip(f"the real images are not at {SHARED}")
    for row in people("val", "T1w")[:3]:
        scan = read_volume(SHARED / row["path"])
        labels = read_volume(SHARED / row["labels"], flat=True).data > 0
        found = find_brain(scan)
        dice = 2 * (found & labels).sum() / (found.sum() + labels.sum())
        assert dice > 0.95, (row["subject"], dice)
