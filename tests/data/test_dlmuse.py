"""DLMUSE's labels as tissues: what they mean, and that they are told from other label maps."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from lmidiff.data.dlmuse import CSF, GREY, STEM, WHITE, freesurfer_of, is_dlmuse, tissues_of
from lmidiff.data.grid import Grid
from lmidiff.data.labelmaps import STRUCTURE_LABELS, TISSUE_MIXES, read_label_map
from lmidiff.data.preprocess import preprocess_subject
from lmidiff.data.volumes import Volume, read_volume

PEOPLE = Path(__file__).parents[3] / "shared" / "data" / "ixi_hh_2mm"


def test_each_group_is_a_tissue() -> None:
    labels = np.array([0, 1, 4, 51, 23, 100, 207, 35, 40, 95])
    assert is_dlmuse(labels)
    assert tissues_of(labels).tolist() == [0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 2, 41, 3, 42, 16], [0, 35], [0, 40], [0, 7]])
def test_other_label_maps_are_not_taken_for_it(labels: list[int]) -> None:
    assert not is_dlmuse(np.array(labels))


def test_each_label_has_a_structure_of_its_tissue() -> None:
    labels = np.array([*CSF, *GREY, *WHITE, *STEM])
    mixes = {label: mix for group, mix in TISSUE_MIXES.items() for label in group}
    tissues = 1 + np.array([np.argmax(mixes[int(n)]) for n in freesurfer_of(labels)])
    differ = set(labels[tissues != tissues_of(labels)].tolist())
    # Half grey: pallidum and ventral diencephalon, which the signal has nearer to white matter.
    assert differ == {55, 56, 61, 62}
    assert freesurfer_of(np.zeros(3)).tolist() == [0, 0, 0]
    named = {"thalamus": 59, "caudate": 36, "putamen": 57, "pallidum": 55, "cerebellar cortex": 38}
    for name, label in named.items():
        assert int(freesurfer_of(np.array(label))) in STRUCTURE_LABELS[name]


def test_a_label_map_in_its_numbers_is_read(tmp_path: Path) -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[4:16, 4:16, 4:16] = 82
    labels[8:12, 8:12, 8:12] = 59
    labels[4:6] = 1
    labels[4:16, 4:16, 4:6] = 35
    nib.save(nib.Nifti1Image(labels, np.diag([2.0, 2, 2, 1])), tmp_path / "labels.nii.gz")
    brain = read_label_map(tmp_path / "labels.nii.gz")
    assert set(np.unique(brain.labels)) == {0, 2, 10, 16, 24}
    assert (brain.labels == 10).sum() == 64


def test_preprocessing_takes_them_for_tissues() -> None:
    labels = np.zeros((24, 24, 24), np.float32)
    labels[4:20, 4:20, 4:20] = 40
    labels[8:16, 8:16, 8:16] = 51
    labels[4:8, 4:20, 4:20] = 35
    affine, grid = np.diag([2.0, 2, 2, 1]), Grid(24, 2.0, 3, (0.4, 0.6))
    scan, brain = (Volume((labels > 0).astype(np.float32), affine, n) for n in ("T1w", "mask"))
    ready = preprocess_subject({"T1w": scan}, Volume(labels, affine, "seg"), brain, grid)
    assert ready.labels is not None
    assert sorted(np.unique(ready.labels)) == [0, 1, 3]


@pytest.mark.parametrize("name", ["IXI012-HH-1211", "IXI013-HH-1212"])
def test_tissues_of_a_real_person_have_the_order_of_t1w(name: str) -> None:
    if not PEOPLE.is_dir():
        pytest.skip(f"{PEOPLE} is not here")
    labels = read_volume(PEOPLE / "labels" / f"{name}_T1_DLMUSE.nii.gz").data
    image = read_volume(PEOPLE / "t1" / f"{name}_T1.nii.gz").data
    assert is_dlmuse(labels)
    tissues = tissues_of(labels)
    assert np.array_equal(tissues > 0, labels > 0)
    csf, grey, white = (np.median(image[tissues == tissue]) for tissue in (1, 2, 3))
    assert csf < 0.7 * grey < grey < 0.9 * white
