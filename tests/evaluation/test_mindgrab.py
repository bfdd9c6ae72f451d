"""MindGrab against torch's own layers, and on a real head."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from brain_mask import mindgrab
from brain_mask.masks import dice
from brain_mask.mindgrab import MindGrab
from clusters import long_test
from lmidiff.common.errors import StudyError
from lmidiff.data.volumes import Volume, read_volume
from lmidiff.evaluation import meshnet
from lmidiff.evaluation.meshnet import MeshNet
from meshnets import publish
from workflows import ROOT

SHARED = ROOT.parent / "shared" / "data"


def by_hand(cube: np.ndarray, layers: list[tuple]) -> np.ndarray:
    """The labels of a whole cube, by torch's convolutions and instance normalisation."""
    x = torch.from_numpy(cube.copy())[None, None]
    for kernel, _, dilation in layers[:-1]:
        weight = torch.from_numpy(kernel.copy()).permute(4, 3, 0, 1, 2)
        x = F.conv3d(x, weight, padding=dilation, dilation=dilation)
        x = F.gelu(F.instance_norm(x))
    kernel, bias, _ = layers[-1]
    weight = torch.from_numpy(kernel.copy()).permute(4, 3, 0, 1, 2)
    return F.conv3d(x, weight, torch.from_numpy(bias.copy()))[0].argmax(0).numpy()


@pytest.mark.parametrize("planes", [5, 24, 100])
def test_a_brain_is_the_largest_piece_of_what_torch_finds(tmp_path, monkeypatch, planes):
    monkeypatch.setattr(meshnet, "SIDE", 24)
    monkeypatch.setattr(mindgrab, "PLANES", planes)
    layers = publish(tmp_path, seed=0, activation="gelu", normalised=True)
    data = np.random.default_rng(1).uniform(10, 200, (24,) * 3).astype(np.float32)
    found = MindGrab(tmp_path).find(Volume(data, np.eye(4), "noise"))
    # Right, anterior, superior to left, inferior, anterior: flip, swap.
    cube = data[::-1].transpose(0, 2, 1)[:, ::-1]
    expected = by_hand((cube - data.min()) / (data.max() - data.min()), layers) == mindgrab.BRAIN
    expected = expected[:, ::-1].transpose(0, 2, 1)[::-1]
    pieces, count = ndimage.label(expected)
    sizes = ndimage.sum_labels(expected, pieces, range(1, count + 1))
    assert count > 1
    assert np.sort(sizes)[-2] < sizes.max()
    np.testing.assert_array_equal(found, pieces == 1 + sizes.argmax())


def test_what_is_normalised_over_a_volume_is_not_run_in_slabs(tmp_path):
    publish(tmp_path, activation="gelu", normalised=True)
    with pytest.raises(StudyError, match="looks at a whole volume in each layer"):
        MeshNet(tmp_path)


@long_test
def test_the_brain_of_a_real_head_is_found():
    heads, published = SHARED / "ixi_hh_2mm", SHARED / "meshnet" / "mindgrab"
    scans = sorted((heads / "t1").glob("*_T1.nii.gz"))
    if not scans or not published.is_dir():
        pytest.skip(f"{heads} and {published}: not beside this checkout")
    labels = heads / "labels" / scans[0].name.replace("_T1.", "_T1_DLMUSE.")
    found = MindGrab(published).find(read_volume(scans[0]))
    assert dice(found, read_volume(labels, flat=True).data > 0) > 0.95
