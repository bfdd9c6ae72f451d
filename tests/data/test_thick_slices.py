"""Thick slices: a scan averages the signal through them, and the truth stays that of the grid."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from lmidiff.data.anatomy import icbm_anatomy, label_map_anatomy
from lmidiff.data.grid import Grid
from lmidiff.data.sequences import TISSUE_NAMES, TISSUES, sequence_of
from lmidiff.data.simulate import SimulationSettings, simulate_subject

ROOT = Path(__file__).parents[2]
ALL = ("T1w", "PDw", "T2w", "FLAIR")
#: Nothing but the tissues' signals; the noise is too weak to see.
IDEAL = SimulationSettings(
    tissue_spread=0, texture=0, own_texture=0, bias=0, gain_spread=0, snr=1000
)
GRID = Grid(image_size=32, pixel_size=6.0, slices=4, extent=(0.4, 0.8), slice_thickness=2.0)
#: Of a person's images, in whole scanner units so that other machines agree, and truth, by the code
#: before there were thick slices and atrophy.
BEFORE = {
    "default": "4ec01a1e9cd00b429d94a2e15b68f8341f803749c9ee067b8792bf51bf86f0b7",
    "bare": "98e8ba6522fc9c5bca64a41800e261f78f94e54df4cf936debc99ea179f154fc",
}


@pytest.mark.parametrize("name", BEFORE)
def test_without_them_not_a_bit_has_changed(name):
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())["data"]
    block = config["cohorts"]["simulated"]["simulation"] if name == "default" else {}
    settings = SimulationSettings(**block)
    grid = Grid(image_size=32, pixel_size=6.0, slices=3)
    anatomy = icbm_anatomy(grid, 1, "sub-01", **settings.of_anatomy(1, "sub-01"))
    assert anatomy.slabs == ()
    made = simulate_subject(anatomy, ALL, 1, "sub-01", settings=settings)
    images = [np.rint(image).astype(np.int16) for image in made.images.values()]
    arrays = [*images, made.labels, made.mask]
    assert sha256(b"".join(a.tobytes() for a in arrays)).hexdigest() == BEFORE[name]


@pytest.mark.parametrize(
    ("thickness", "slabs"), [(0.5, 1), (2.0, 1), (2.1, 2), (4.0, 2), (5.0, 3), (10.0, 5)]
)
def test_slabs_fill_a_slice_and_none_is_thicker_than_the_grids(thickness, slabs):
    affine = np.diag([6.0, 6.0, 15.0, 1.0])
    affine[2, 3] = -20
    made = GRID.slabs(affine, thickness)
    assert len(made) == slabs
    edge = -20 - thickness / 2
    for centres, mm in made:
        assert mm <= GRID.slice_thickness
        assert centres[2, 3] - mm / 2 == pytest.approx(edge)
        edge += mm
        np.testing.assert_array_equal(np.delete(centres, 11), np.delete(affine, 11))
    assert edge == pytest.approx(-20 + thickness / 2)


def test_a_thick_slice_is_the_mean_of_the_thin_ones_in_it():
    """Each thin one simulated by itself, with textures, structures and lesions."""
    settings = replace(IDEAL, texture=0.1, own_texture=0.05, structures=1, lesions=30)
    seeds = (7, "sub-00")
    thick = icbm_anatomy(GRID, *seeds, slice_thickness=6.0)
    assert len(thick.slabs) == 3
    step = thick.affine[2, 2]
    assert step > 6
    scan = simulate_subject(thick, ALL, *seeds, settings=settings)
    healthy = replace(settings, lesions=0)
    thin = [simulate_subject(slab, ALL, *seeds, settings=healthy) for slab in thick.slabs]
    calm = simulate_subject(thick, ALL, *seeds, settings=healthy)
    inside = np.logical_and.reduce([scan.mask, *(t.mask for t in thin)])
    for name in ("T1w", "PDw", "T2w"):  # all tissues of one sign
        mean = np.mean([t.images[name][inside] for t in thin], axis=0)
        noise = 6 * mean.mean() / settings.snr
        np.testing.assert_allclose(calm.images[name][inside], mean, atol=noise)
        assert np.abs(scan.images[name] - calm.images[name])[inside].max() > noise


def test_the_truth_is_that_of_the_grid():
    seeds = (7, "sub-00")
    thin, thick = (icbm_anatomy(GRID, *seeds, slice_thickness=mm) for mm in (0.0, 8.0))
    assert thick.fractions.tobytes() == thin.fractions.tobytes()
    assert thick.structures.tobytes() == thin.structures.tobytes()
    one, other = (simulate_subject(a, ["T1w"], *seeds, settings=IDEAL) for a in (thin, thick))
    assert one.labels.tobytes() == other.labels.tobytes()
    assert one.mask.tobytes() == other.mask.tobytes()
    assert np.abs(one.images["T1w"] - other.images["T1w"])[one.mask].max() > 20


def test_the_grids_own_thickness_is_no_change():
    seeds = (7, "sub-00")
    plain, same = (icbm_anatomy(GRID, *seeds, slice_thickness=mm) for mm in (0.0, 2.0))
    one, other = (simulate_subject(a, ALL, *seeds) for a in (plain, same))
    for name in ALL:
        assert one.images[name].tobytes() == other.images[name].tobytes()


def slab_head(tmp_path, height):
    """White matter below a height in mm and ventricle above it, in a block; 1 mm voxels."""
    labels = np.zeros((120, 120, 120), np.int16)
    labels[10:110, 10:110, 10:110] = 4
    labels[10:110, 10:110, 10:height] = 2
    nib.save(nib.Nifti1Image(labels, np.eye(4)), tmp_path / "block.nii.gz")
    return tmp_path / "block.nii.gz"


@pytest.mark.parametrize("thickness", [4.0, 6.0, 10.0])
def test_a_step_between_tissues_becomes_a_ramp(tmp_path, thickness):
    """The share of white matter in a slice is that below the step, and the signal is linear."""
    height = 60
    path = slab_head(tmp_path, height)
    grid = Grid(image_size=32, pixel_size=4.0, slices=31, extent=(0.35, 0.65), slice_thickness=2.0)
    anatomy = label_map_anatomy(path, grid, slice_thickness=thickness)
    scans = simulate_subject(anatomy, ALL, 1, settings=IDEAL).images
    z = anatomy.affine[2, 3] + anatomy.affine[2, 2] * np.arange(31)
    step = height - 0.5  # voxel centres are whole numbers
    white = np.clip((step - (z - thickness / 2)) / thickness, 0, 1)
    for name, scan in scans.items():
        csf, _, wm = (float(sequence_of(name).signal(TISSUES[t])) for t in TISSUE_NAMES)
        expected = 700 * np.abs(white + (1 - white) * csf / wm)
        # The map is interpolated over 1 mm: the ramp's two ends are round.
        tolerance = 0.06 * np.abs(1 - csf / wm) * 700 + 5
        np.testing.assert_allclose(scan[16, 16], expected, atol=tolerance, err_msg=name)
    assert 0.5 * thickness < np.ptp(z[(white > 0) & (white < 1)]) < thickness
