"""Real images through the raw path: a patient with lesions, skull-stripped; slices with skull."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from lmidiff.common.errors import StudyError
from lmidiff.data.align import align_subject
from lmidiff.data.bias import correct_bias
from lmidiff.data.brain import find_brain
from lmidiff.data.own_space import check_plausible, read_own
from lmidiff.data.registration import distances, surface_points
from lmidiff.data.volumes import Volume, read_volume

SHARED = Path(__file__).parents[3] / "shared" / "data"


def real(folder: str) -> Path:
    path = SHARED / folder
    if not path.is_dir():
        pytest.skip(f"the real images are not at {path}")
    return path


def halved(volume: Volume) -> Volume:
    """Every second voxel, to save time."""
    affine = volume.affine @ np.diag([2, 2, 2, 1])
    return Volume(np.ascontiguousarray(volume.data[::2, ::2, ::2]), affine, volume.name)


def test_a_patient_whose_scans_are_stripped_and_aligned_already() -> None:
    """Turned away from its published alignment, each target is brought back to it."""
    folder = real("ms_patient07")
    scans = {n: halved(read_volume(folder / f"{n}.nii.gz")) for n in ("T2", "FLAIR", "T1")}
    turn = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.15, -0.1, 0.12), [8, -5, 6])
    moved = Volume(scans["T1"].data, turn @ scans["T1"].affine, "T1")
    for source in ("T2", "FLAIR"):
        brain = find_brain(scans[source])
        nonzero = scans[source].data > 0
        assert 2 * (brain & nonzero).sum() / (brain.sum() + nonzero.sum()) > 0.97, source
        aligned = align_subject({source: scans[source], "T1": moved}, source)
        points = surface_points(aligned.brain, scans[source].affine)
        assert np.percentile(distances(points, aligned.transforms["T1"], turn), 95) < 1.5, source
        assert aligned.quality[1].registration.starts_mm < 2


def test_slices_with_skull() -> None:
    """A 2-D file is refused with the mend; as a volume of one slice it goes through."""
    folder = real("ixi_slices")
    for name in ("T1", "T2"):
        path = folder / f"IXI002-Guys-0828-{name}_slice90.nii.gz"
        with pytest.raises(StudyError, match=r"\(150, 256\) is not 3-D; give one volume"):
            read_volume(path)
        stored = nib.load(path)
        image = nib.as_closest_canonical(
            nib.Nifti1Image(np.asarray(stored.dataobj)[:, :, None], stored.affine)
        )
        data = np.maximum(np.asarray(image.dataobj, np.float32), 0)
        scan = Volume(data, image.affine, name)
        brain = find_brain(scan)
        area = brain.sum() * 1.2 * 0.9375 / 100
        assert 150 < area < 180, f"{name}: {area:.0f} cm2 is no brain's axial slice"
        head = data[..., 0] > 0.15 * np.percentile(data, 99)
        assert (brain[..., 0] & ~head).mean() < 0.05
        corrected, field = correct_bias(scan, brain)
        assert corrected.data.shape == data.shape
        assert 1 < field[brain].max() / field[brain].min() < 5


@pytest.mark.parametrize(
    ("count", "thickness"), [(1, 1.2), (2, 1.2), (3, 1.2), (8, 1.2), (1, 5.0), (2, 5.0)]
)
@pytest.mark.parametrize("name", ["T1", "T2"])
def test_a_slab_of_few_slices_has_the_mask_of_each(name, thickness, count) -> None:
    stored = nib.load(real("ixi_slices") / f"IXI002-Guys-0828-{name}_slice90.nii.gz")
    data = np.maximum(np.asarray(stored.dataobj, np.float32), 0)
    slab = Volume(np.repeat(data[..., None], count, 2), np.diag([1.2, 0.9375, thickness, 1]), name)
    areas = find_brain(slab).sum(axis=(0, 1)) * 1.2 * 0.9375 / 100
    assert ((areas > 150) & (areas < 180)).all(), f"{areas} cm2, where about 165 is right"


def test_an_upright_head_is_not_doubted_for_its_receive_field() -> None:
    """The field that fits the brain makes no head of what is around it, and was asked once."""
    scan = read_own(real("t1_flair_2mm") / "Subj1_FLAIR.nii.gz")
    assert check_plausible(scan) == []
