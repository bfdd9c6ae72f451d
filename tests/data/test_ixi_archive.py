"""The made-up IXI archive is what it says: shapes, orientations, and the motion as its truth."""

import tarfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

import ixi_archive
from ixi_archive import Truth, subjects, write_archives


@pytest.fixture(scope="module")
def truths() -> list[Truth]:
    return subjects(ixi_archive.NAMES[:2])


def overlap(truth: Truth, motion: np.ndarray) -> float:
    """Dice of the PD scan's brain and the T1 scan's, carried over by ``motion``."""
    here, there = truth.masks["PDw"], truth.masks["T1w"]
    matrix = np.linalg.inv(there.affine) @ motion @ here.affine
    values = np.asarray(there.dataobj).astype(np.float32)
    carried = ndimage.affine_transform(values, matrix[:3, :3], matrix[:3, 3], here.shape, order=1)
    pair = carried > 0.5, np.asarray(here.dataobj) > 0
    return float(2 * (pair[0] & pair[1]).sum() / (pair[0].sum() + pair[1].sum()))


def test_grids_and_orientations_are_those_of_ixi(truths: list[Truth]) -> None:
    for truth in truths:
        t1, pd, t2 = (truth.images[m] for m in ("T1w", "PDw", "T2w"))
        assert nib.aff2axcodes(t1.affine) == tuple("PSR")
        assert nib.aff2axcodes(pd.affine) == tuple("LPS")
        np.testing.assert_array_equal(pd.affine, t2.affine)
        assert pd.shape == t2.shape == (80, 80, 41)
        assert t1.shape == (80, 80, 47)
        assert {image.get_data_dtype() for image in truth.images.values()} == {np.dtype(np.int16)}


def test_the_motion_takes_one_brain_to_the_other(truths: list[Truth]) -> None:
    for truth in truths:
        turn = truth.motion[:3, :3]
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        angle = np.degrees(np.arccos((np.trace(turn) - 1) / 2))
        np.testing.assert_allclose(angle, truth.degrees)
        assert 3 <= truth.degrees <= 15
        assert 3 <= truth.millimetres <= 15
        assert overlap(truth, truth.motion) > 0.97
        assert overlap(truth, np.eye(4)) < overlap(truth, truth.motion) - 0.02
        assert overlap(truth, np.linalg.inv(truth.motion)) < overlap(truth, np.eye(4))


def test_the_head_is_more_than_the_brain_and_contrasts_are_right(truths: list[Truth]) -> None:
    for truth in truths:
        for modality, image in truth.images.items():
            values = np.asarray(image.dataobj).astype(float)
            brain = np.asarray(truth.masks[modality].dataobj) > 0
            litres = brain.sum() * abs(np.linalg.det(image.affine[:3, :3])) / 1e6
            assert 1.0 < litres < 2.0
            assert np.percentile(values[~brain], 95) > 0.3 * np.median(values[brain])
            assert not brain[[0, -1]].any()
            assert not brain[:, :, [0, -1]].any()


def test_archives_hold_the_images_and_are_the_same_twice(
    truths: list[Truth], tmp_path: Path
) -> None:
    first = write_archives(truths, tmp_path / "a")
    second = write_archives(truths, tmp_path / "b")
    assert {path.name for path in first.values()} == {"IXI-T1.tar", "IXI-PD.tar", "IXI-T2.tar"}
    for modality, path in first.items():
        assert path.read_bytes() == second[modality].read_bytes()
        with tarfile.open(path) as archive:
            assert archive.getnames() == sorted(truth.member(modality) for truth in truths)
