"""A published segmenter as a judge: its agreement with itself, over the right voxels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import f1_score

from clusters import long_test
from lmidiff.common.errors import StudyError
from lmidiff.data.volumes import Volume, read_volume
from lmidiff.evaluation.meshnet import MeshNet
from lmidiff.evaluation.network_labels import label_whole, score_labels
from lmidiff.evaluation.published import MOST_MM, NETWORKS
from meshnets import publish
from workflows import ROOT

SHARED = ROOT.parent / "shared" / "data"
LABELS = NETWORKS["model5_gw_ae"].labels
SHAPE = (5, 4, 6)
maps = arrays.arrays(np.uint8, SHAPE, elements=st.integers(0, 2))


def values(*given_, **more) -> dict[str, float]:
    return {score.region: score.value for score in score_labels(*given_, LABELS, **more)}


@given(maps, maps, arrays.arrays(bool, SHAPE))
def test_dice_is_that_of_another_library_whichever_comes_first(one, other, mask):
    found = values(one, other, mask)
    assert found == pytest.approx(values(other, one, mask), nan_ok=True)
    for tissue, label in LABELS.items():
        a, b = one[mask] == label, other[mask] == label
        expected = f1_score(b, a, zero_division=np.nan) if (a | b).any() else np.nan
        assert found[tissue] == pytest.approx(expected, nan_ok=True)


@given(maps)
def test_the_truth_agrees_with_itself(labels):
    labels[0, 0, :2] = 1, 2
    assert values(labels, labels, np.ones(SHAPE, bool)) == {"gm": 1, "wm": 1}


def test_slices_beyond_the_extent_do_not_count():
    right, wrong = np.full(SHAPE, 2, np.uint8), np.full(SHAPE, 2, np.uint8)
    wrong[..., [0, 5]] = 1  # at 0 and 1 of the height; the others at 0.2, 0.4, 0.6, 0.8
    mask = np.ones(SHAPE, bool)
    assert values(wrong, right, mask, extent=(0.2, 0.8))["gm"] == 1
    assert values(wrong, right, mask, extent=(0.0, 0.8))["gm"] == pytest.approx(2 * 4 / (4 + 5))
    mask[..., 0] = False
    assert values(wrong, right, mask, extent=(0.0, 0.8))["gm"] == 1


def test_slices_that_are_apart_are_refused_and_touching_ones_labelled(tmp_path):
    publish(tmp_path)
    network = MeshNet(tmp_path)
    data = np.random.default_rng(0).uniform(0.2, 1, (9, 9, 9)).astype(np.float32)
    apart = Volume(data, np.diag([2.0, 2.0, MOST_MM + 0.1, 1]), "sub-a_T1w.nii.gz")
    with pytest.raises(StudyError, match=r"sub-a_T1w.*segmentation\.network\.slices") as caught:
        label_whole(network, apart)
    assert "\n" not in str(caught.value)
    near = label_whole(network, Volume(data, np.diag([2.0, 2.0, MOST_MM, 1]), "near"))
    assert near.shape == data.shape
    assert len(np.unique(near)) > 1


@long_test
def test_what_a_real_brain_gets_is_not_what_its_slab_or_spread_slices_get():
    """Why all of a brain is translated: SRI24's T1w against parts of itself."""
    folder = SHARED / "meshnet" / "model5_gw_ae"
    if not folder.is_dir():
        pytest.skip("needs the published networks beside the project")
    network = MeshNet(folder)
    scan = read_volume(SHARED / "sri24" / "spgr.nii.gz")
    heights = np.flatnonzero((scan.data > 0).any(axis=(0, 1)))
    low, high = np.quantile(heights, (0.25, 0.85)).astype(int)
    whole = network.segment(scan, margin=0)
    slab = Volume(scan.data[..., low:high], scan.affine, "slab")
    affine = scan.affine @ np.diag([1, 1, 7, 1])
    spread = Volume(scan.data[..., low:high:7], affine, "spread")
    for part, step in ((slab, 1), (spread, 7)):
        wanted = whole[..., low:high:step]
        found = values(network.segment(part, margin=0), wanted, part.data > 0)
        assert found["gm"] < 0.9
