"""MeshNet: in slabs as in one piece, on whatever axes, and on a real T1w as it was trained."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from clusters import long_test
from lmidiff.common.errors import StudyError
from lmidiff.data.volumes import Volume, read_volume
from lmidiff.evaluation import meshnet
from lmidiff.evaluation.meshnet import MeshNet
from meshnets import DILATIONS, publish
from workflows import ROOT

SHARED = ROOT.parent / "shared" / "data"


def by_hand(cube: np.ndarray, layers: list[tuple], activation=F.relu) -> np.ndarray:
    """The network on a whole cube, by torch's convolutions, layer by layer."""
    x = torch.from_numpy(cube)[None, None]
    for number, (kernel, bias, dilation) in enumerate(layers):
        weight = torch.from_numpy(kernel.copy()).permute(4, 3, 0, 1, 2)
        pad = dilation * (kernel.shape[0] // 2)
        x = F.conv3d(x, weight, torch.from_numpy(bias.copy()), padding=pad, dilation=dilation)
        x = activation(x) if number < len(layers) - 1 else x
    return x[0].argmax(0).numpy()


def scan(side: int = 24) -> Volume:
    """A ball of random tissue in air, 1 mm, axes as FreeSurfer has them when turned."""
    generator = np.random.default_rng(5)
    grid = np.indices((side,) * 3) - (side - 1) / 2
    inside = np.linalg.norm(grid, axis=0) < side / 3
    data = (inside * generator.uniform(0.3, 1, (side,) * 3)).astype(np.float32)
    return Volume(data, np.eye(4), "ball")


@pytest.fixture
def small(monkeypatch):
    """A cube of 24 in place of 256, in slabs of 5 planes."""
    monkeypatch.setattr(meshnet, "SIDE", 24)
    monkeypatch.setattr(meshnet, "PLANES", 5)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("activation", ["relu", "elu"])
@pytest.mark.parametrize("reverse", [False, True])
def test_slabs_give_the_labels_of_the_whole(tmp_path, activation, reverse):
    layers = publish(tmp_path, activation=activation)
    volume = scan()
    network = MeshNet(tmp_path, reverse=reverse)
    assert network.reach == sum(DILATIONS)
    # Right, anterior, superior to left, inferior, anterior: flip, swap.
    cube = volume.data[::-1].transpose(0, 2, 1)[:, ::-1].copy() / volume.data.max()
    given = cube.transpose(2, 1, 0).copy() if reverse else cube
    expected = by_hand(given, layers, {"relu": F.relu, "elu": F.elu}[activation])
    expected = expected.transpose(2, 1, 0) if reverse else expected
    back = expected[:, ::-1].transpose(0, 2, 1)[::-1]
    inside = volume.data > 0
    found = network.segment(volume)
    assert np.array_equal(found[inside], back[inside])
    assert len(np.unique(found[inside])) > 1
    # Beyond its reach of what is not air the network is not run, and nothing is labelled.
    near = ndimage.grey_dilation(inside, 2 * network.reach + 1)
    around = ndimage.find_objects(near.astype(int))[0]
    assert np.array_equal(found[around], back[around])
    found[around] = 0
    assert not found.any()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("held", [1, 2**26])
def test_a_brain_gets_the_same_labels_without_what_is_around_it(
    tmp_path, monkeypatch, reverse, held
):
    """In slabs and in one piece, with a ball that is cut off by the edge of the cube as well."""
    publish(tmp_path)
    monkeypatch.setattr(meshnet, "HELD", held)
    network = MeshNet(tmp_path, reverse=reverse)
    for shift in (0, 2, 5, 7):
        volume = scan()
        data = np.roll(volume.data, shift, axis=0)
        volume = Volume(data * (np.indices(data.shape)[0] > 0), volume.affine, "ball")
        inside = volume.data > 0
        found, full = network.segment(volume, margin=0), network.segment(volume)
        assert np.array_equal(found[inside], full[inside])
        box = ndimage.find_objects(inside.astype(int))[0]
        assert np.array_equal(found[box], full[box])
        found[box] = 0
        assert not found.any()


@pytest.mark.usefixtures("small")
def test_a_scan_on_other_axes_gets_the_same_labels(tmp_path):
    publish(tmp_path)
    network = MeshNet(tmp_path)
    volume = scan()
    turned = Volume(volume.data[:, ::-1].copy(), np.diag([1.0, -1, 1, 1]), "turned")
    assert np.array_equal(network.segment(turned)[:, ::-1], network.segment(volume))


@pytest.mark.parametrize("damage", ["missing", "short", "kind", "json"])
def test_what_is_no_such_network_is_named(damage, tmp_path):
    publish(tmp_path)
    path = tmp_path / "model.json"
    if damage == "missing":
        (tmp_path / "weights.bin").unlink()
    elif damage == "short":
        (tmp_path / "weights.bin").write_bytes((tmp_path / "weights.bin").read_bytes()[:-4])
    elif damage == "kind":
        path.write_text(path.read_text().replace("Activation", "Dense"))
    else:
        path.write_text("{")
    with pytest.raises(StudyError, match=str(tmp_path)) as caught:
        MeshNet(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("small")
def test_an_empty_volume_is_told(tmp_path):
    publish(tmp_path)
    empty = Volume(np.zeros((24,) * 3, np.float32), np.eye(4), "empty")
    with pytest.raises(StudyError, match="empty"):
        MeshNet(tmp_path).segment(empty)


@long_test
def test_it_labels_a_real_t1w_as_published():
    """The white and grey matter of SRI24's T1w, a minute: .873 and .781 in Dice."""
    folder = SHARED / "meshnet" / "model5_gw_ae"
    if not folder.is_dir():
        pytest.skip("needs the published networks beside the project")
    labels = MeshNet(folder).segment(read_volume(SHARED / "sri24" / "spgr.nii.gz"))
    tissues = read_volume(SHARED / "sri24" / "tissues.nii.gz").data
    for label, tissue, expected in ((1, 3, 0.873), (2, 2, 0.781)):
        found, truth = labels == label, tissues == tissue
        dice = 2 * float((found & truth).sum()) / float(found.sum() + truth.sum())
        assert dice == pytest.approx(expected, abs=0.002)
