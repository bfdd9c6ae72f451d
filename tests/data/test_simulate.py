"""Simulated anatomies and scans: geometry, contrast, reproducibility, and errors."""

import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import stats

import lmidiff
from lmidiff.common.errors import StudyError
from lmidiff.common.seeds import generator_of
from lmidiff.data.anatomy import Anatomy, _Warp, icbm_anatomy, label_map_anatomy
from lmidiff.data.fields import smooth_field
from lmidiff.data.grid import Grid
from lmidiff.data.labelmaps import TISSUE_MIXES
from lmidiff.data.simulate import (
    SimulationSettings,
    add_rician_noise,
    simulate_subject,
    write_subject,
)

ALL = ("T1w", "PDw", "T2w", "FLAIR")
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "anatomies"


@pytest.fixture(scope="module")
def anatomies():
    return [icbm_anatomy(Grid(), 7, f"sub-{index:02d}") for index in range(3)]


@pytest.fixture(scope="module")
def subject(anatomies):
    return simulate_subject(anatomies[0], ALL, 7, "sub-00")


def check_anatomy(anatomy, grid):
    shape = (3, grid.image_size, grid.image_size, grid.slices)
    assert anatomy.fractions.shape == shape
    assert anatomy.fractions.dtype == np.float32
    assert anatomy.fractions.min() >= 0
    assert anatomy.fractions.sum(axis=0).max() <= 1 + 1e-5
    assert all(anatomy.fractions[k].max() > 0.95 for k in range(3))


def positions(mask, affine):
    return nib.affines.apply_affine(affine, np.argwhere(mask))


# -- ICBM anatomies


def test_icbm_fractions(anatomies):
    for anatomy in anatomies:
        check_anatomy(anatomy, Grid())
        share = anatomy.fractions.sum(axis=(1, 2, 3)) / anatomy.fractions.sum()
        assert 0.07 < share[0] < 0.30
        assert 0.30 < share[1] < 0.55
        assert 0.30 < share[2] < 0.55


def test_icbm_voxels_are_crisp(anatomies):
    for anatomy in anatomies:
        inside = anatomy.fractions.sum(axis=0) > 0.99
        assert (anatomy.fractions.max(axis=0)[inside] > 0.9).mean() > 0.4


def test_subjects_differ_and_seeds_repeat(anatomies):
    again = icbm_anatomy(Grid(), 7, "sub-01")
    assert again.fractions.tobytes() == anatomies[1].fractions.tobytes()
    assert again.affine.tobytes() == anatomies[1].affine.tobytes()
    for one, other in pairwise(anatomies):
        labels = [a.fractions.argmax(axis=0) for a in (one, other)]
        inside = np.minimum(one.fractions.sum(axis=0), other.fractions.sum(axis=0)) > 0.5
        assert (labels[0] != labels[1])[inside].mean() > 0.15


def test_icbm_ventricles_lie_at_the_midline_above_the_origin(anatomies):
    for anatomy in anatomies:
        brain = positions(anatomy.fractions.sum(axis=0) > 0.5, anatomy.affine)
        csf = positions(anatomy.fractions[0] > 0.9, anatomy.affine)
        core = csf[(np.abs(csf - [0, -15, 15]) < [30, 45, 15]).all(axis=1)]
        assert len(core) > 50
        assert np.abs(core[:, 0].mean()) < 6
        assert brain[:, 0].min() < -50
        assert brain[:, 0].max() > 50


def test_affine_spans_the_asked_part_of_the_brain():
    low = icbm_anatomy(Grid(slices=3, extent=(0.4, 0.8)), 7, "sub-00")
    high = icbm_anatomy(Grid(slices=2, extent=(0.6, 0.8)), 7, "sub-00")
    assert low.affine[2, 2] == pytest.approx(high.affine[2, 2])
    assert low.affine[2, 3] + low.affine[2, 2] == pytest.approx(high.affine[2, 3])
    assert 20 < low.affine[2, 2] < 40
    same = [low.fractions.sum(axis=0)[..., 2] > 0.5, high.fractions.sum(axis=0)[..., 1] > 0.5]
    centres = [
        positions(m[..., None], a.affine)[:, :2].mean(axis=0)
        for m, a in zip(same, (low, high), strict=True)
    ]
    assert centres[0] == pytest.approx(centres[1], abs=0.5)


def test_the_same_person_on_a_finer_grid():
    coarse = icbm_anatomy(Grid(image_size=32, pixel_size=6.0, slices=4), 7, "sub-00")
    fine = icbm_anatomy(Grid(image_size=96, pixel_size=2.0, slices=4), 7, "sub-00")
    blocks = fine.fractions.reshape(3, 32, 3, 32, 3, 4).mean(axis=(2, 4))
    assert np.corrcoef(blocks.ravel(), coarse.fractions.ravel())[0, 1] > 0.95


def test_the_warp_does_not_fold():
    axes = (np.arange(-80, 81, 4.0), np.arange(-110, 81, 4.0), np.arange(-60, 81, 4.0))
    for index in range(10):
        where = _Warp(7, index).to_template(axes)
        gradient = np.stack([np.stack(np.gradient(part, 4.0)) for part in where])
        assert np.linalg.det(np.moveaxis(gradient, (0, 1), (-2, -1))).min() > 0.2


def test_the_field_is_standard_and_fixed_in_space():
    axes = [np.arange(-150, 150, 5.0)] * 3
    values = smooth_field(generator_of(1), axes, 10.0)
    assert values.mean() == pytest.approx(0, abs=0.05)
    assert values.std() == pytest.approx(1, abs=0.05)
    part = smooth_field(generator_of(1), [axes[0][3:5], axes[1][7:8], axes[2][2:9]], 10.0)
    np.testing.assert_allclose(part, values[3:5, 7:8, 2:9], atol=1e-5)


def test_a_cohort_takes_seconds():
    icbm_anatomy(Grid(), "warm-up")
    start = time.process_time()
    for index in range(3):
        simulate_subject(icbm_anatomy(Grid(), 1, index), ALL, 1, index)
    assert time.process_time() - start < 6


# -- scans


def test_labels_mask_and_background(anatomies, subject):
    total = anatomies[0].fractions.sum(axis=0)
    assert subject.mask.dtype == bool
    assert subject.labels.dtype == np.uint8
    np.testing.assert_array_equal(subject.mask, total >= 0.5)
    expected = np.where(total >= 0.5, anatomies[0].fractions.argmax(axis=0) + 1, 0)
    np.testing.assert_array_equal(subject.labels, expected)
    for image in subject.images.values():
        assert image.dtype == np.float32
        assert (image[~subject.mask] == 0).all()
        assert (image[subject.mask] >= 0).all()


def test_contrast_is_that_of_sri24(subject):
    def ratios(modality):
        csf, gm, wm = (
            float(subject.images[modality][subject.labels == k].mean()) for k in (1, 2, 3)
        )
        return csf / wm, gm / wm

    assert ratios("T1w") == pytest.approx((0.40, 0.70), abs=0.10)
    assert ratios("PDw") == pytest.approx((1.16, 1.18), abs=0.12)
    csf, gm = ratios("T2w")
    assert gm == pytest.approx(1.39, abs=0.2)
    assert csf > 1.9
    assert ratios("FLAIR")[0] < 0.5


def test_white_matter_is_in_scanner_units(subject):
    for modality in ALL:
        white = subject.images[modality][subject.labels == 3].mean()
        assert 350 < white < 1400


def test_adding_a_modality_changes_no_other(anatomies, subject):
    alone = simulate_subject(anatomies[0], ["PDw"], 7, "sub-00")
    assert list(alone.images) == ["PDw"]
    assert alone.images["PDw"].tobytes() == subject.images["PDw"].tobytes()


def test_seed_decides(anatomies):
    other = simulate_subject(anatomies[0], ["T1w"], 8, "sub-00").images["T1w"]
    first, second = (
        simulate_subject(anatomies[0], ["T1w"], 7, "sub-00").images["T1w"] for _ in range(2)
    )
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != other.tobytes()


def test_more_water_darkens_t1w_and_brightens_pdw(anatomies):
    settings = SimulationSettings(texture=0.2, own_texture=0, bias=0, snr=1000)
    scans = simulate_subject(anatomies[0], ["T1w", "PDw", "T2w"], 7, settings=settings).images
    pure = anatomies[0].fractions[2] > 0.999
    together = np.corrcoef([scans[name][pure] for name in ("T1w", "PDw", "T2w")])
    assert together[0, 1] < -0.8
    assert together[1, 2] > 0.8


def test_bias_scales_with_its_setting(anatomies):
    pure = anatomies[0].fractions[2] > 0.999

    def spread(bias):
        settings = SimulationSettings(tissue_spread=0, texture=0, own_texture=0, bias=bias, snr=1e3)
        values = simulate_subject(anatomies[0], ["T1w"], 7, settings=settings).images["T1w"][pure]
        return np.log(values).std()

    assert spread(0.0) < 0.01
    assert spread(0.2) > 2 * spread(0.05) > 0.02


def test_noise_is_rician():
    noisy = add_rician_noise(np.full(20000, 30.0, np.float32), 20.0, generator_of(3))
    assert stats.kstest(noisy, stats.rice(b=1.5, scale=20.0).cdf).pvalue > 0.01
    empty = add_rician_noise(np.zeros(20000, np.float32), 20.0, generator_of(4))
    assert stats.kstest(empty, stats.rayleigh(scale=20.0).cdf).pvalue > 0.01


def test_noise_level_is_the_snr():
    fractions = np.zeros((3, 24, 24, 6), np.float32)
    fractions[2] = 1
    anatomy = Anatomy("block", fractions, np.diag([3.0, 3, 3, 1]))
    settings = SimulationSettings(texture=0, own_texture=0, bias=0, snr=25)
    image = simulate_subject(anatomy, ["T1w"], 1, settings=settings).images["T1w"]
    assert image.mean() / image.std() == pytest.approx(25, rel=0.05)


def test_written_bytes_repeat(subject, tmp_path):
    first = write_subject(subject, tmp_path / "a", "sub-00")
    second = write_subject(subject, tmp_path / "b", "sub-00")
    assert [path.name for path in first] == [
        *(f"sub-00_{name}.nii.gz" for name in ALL),
        "sub-00_dseg.nii.gz",
        "sub-00_desc-brain_mask.nii.gz",
    ]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    image = nib.load(first[0])
    np.testing.assert_allclose(image.affine, subject.affine, atol=1e-4)
    assert image.get_data_dtype() == np.float32
    assert image.header.get_xyzt_units()[0] == "mm"
    assert int(image.header["qform_code"]) == int(image.header["sform_code"]) == 1
    np.testing.assert_array_equal(np.asarray(image.dataobj), subject.images["T1w"])
    assert nib.load(first[-1]).get_data_dtype() == np.uint8
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")


def test_bits_do_not_depend_on_the_number_of_threads():
    code = (
        "import hashlib; from lmidiff.data.anatomy import *; from lmidiff.data.simulate import *;"
        "s = simulate_subject(icbm_anatomy(Grid(), 1, 'a'), ['T1w'], 1, 'a');"
        "print(hashlib.sha256(s.images['T1w'].tobytes() + s.affine.tobytes()).hexdigest())"
    )
    source = str(Path(lmidiff.__file__).parents[1])
    seen = set()
    for threads in ("1", "2"):
        variables = {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **variables, "PYTHONPATH": source},
            capture_output=True,
            text=True,
            check=True,
        )
        seen.add(done.stdout)
    assert len(seen) == 1


# -- label maps


def small_head():
    """A ball of white matter in cortex, CSF and scalp, with a ventricle on the left; RAS, 2 mm."""
    index = (np.arange(80) - 39.5) * 2
    x, y, z = np.meshgrid(index, index, index, indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    labels = np.zeros(radius.shape, np.int16)
    for outer, label in ((76, 507), (70, 24), (62, 3), (52, 2)):
        labels[radius < outer] = label
    labels[(x + 20) ** 2 + y**2 + (z - 10) ** 2 < 15**2] = 4
    labels[5, 5, 5] = 24  # a stray voxel must not move the grid
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = -79 + np.array([0, 7, 100])
    return nib.Nifti1Image(labels, affine)


@pytest.mark.parametrize("orientation", ["RAS", "LIA", "PSR"])
def test_label_map_in_any_orientation(tmp_path, orientation):
    image = small_head()
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(image.affine), nib.orientations.axcodes2ornt(orientation)
    )
    path = tmp_path / "head.nii.gz"
    nib.save(image.as_reoriented(turn), path)
    grid = Grid(image_size=40, pixel_size=4.0, slices=5, extent=(0.3, 0.7))
    anatomy = label_map_anatomy(path, grid)
    check_anatomy(anatomy, grid)
    inside = positions(anatomy.fractions.sum(axis=0) > 0.5, anatomy.affine)
    assert inside.mean(axis=0) == pytest.approx([0, 7, 100], abs=1.5)
    assert np.ptp(inside[:, 0]) < 134  # 62 mm of cortex and 3 mm of CSF, not the scalp
    csf = positions(anatomy.fractions[0] > 0.9, anatomy.affine)
    ventricle = csf[np.linalg.norm(csf - [0, 7, 100], axis=1) < 50]
    assert ventricle[:, 0].mean() == pytest.approx(-20, abs=1.5)


def test_every_tissue_mix_is_whole():
    for mix in TISSUE_MIXES.values():
        assert sum(mix) == pytest.approx(1)
    labels = [label for group in TISSUE_MIXES for label in group]
    assert len(labels) == len(set(labels))


def save(tmp_path, values, affine=None):
    path = tmp_path / "map.nii.gz"
    nib.save(nib.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.full((8, 8, 8), 999, np.int16), "unknown labels 999"),
        (np.zeros((8, 8, 8), np.int16), "no brain labels"),
        (np.full((8, 8, 8), 507, np.int16), "no brain labels"),
        (np.full((8, 8, 8), 24, np.int16), "no brain labels"),
        (np.full((8, 8, 8), 2.5, np.float32), "not whole numbers"),
        (np.full((8, 8, 8), np.nan, np.float32), "not a label map"),
        (np.full((8, 8, 8), -2, np.int16), "not a label map"),
        (np.full((8, 8, 8, 2), 2, np.int16), "3 axes"),
    ],
)
def test_bad_label_maps_are_one_line_with_the_file(tmp_path, values, says):
    path = save(tmp_path, values)
    with pytest.raises(StudyError, match=says) as caught:
        label_map_anatomy(path, Grid())
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_label_maps(tmp_path):
    with pytest.raises(StudyError, match="no such file"):
        label_map_anatomy(tmp_path / "none.nii.gz", Grid())
    whole = save(tmp_path, np.random.default_rng(0).integers(0, 500, (30, 30, 30), np.int16))
    whole.write_bytes(whole.read_bytes()[:2000])
    with pytest.raises(StudyError, match="not a readable NIfTI"):
        label_map_anatomy(whole, Grid())


def test_a_brain_larger_than_the_grid(tmp_path):
    path = tmp_path / "head.nii.gz"
    nib.save(small_head(), path)
    with pytest.raises(StudyError, match="does not fit into image_size x pixel_size = 64 mm"):
        label_map_anatomy(path, Grid(image_size=32, pixel_size=2.0))


@pytest.mark.parametrize(
    "bad",
    [{"image_size": 4}, {"pixel_size": 0}, {"slices": 0}, {"extent": (0.8, 0.4)}],
)
def test_grid_ranges(bad):
    with pytest.raises(StudyError, match=next(iter(bad))):
        Grid(**bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"snr": 0},
        {"bias": -0.1},
        {"texture": 2},
        {"tissue_spread": 1},
        {"slice_thickness": 11},
        {"atrophy": -0.1},
    ],
)
def test_settings_ranges(bad):
    with pytest.raises(StudyError, match=next(iter(bad))):
        SimulationSettings(**bad)


def test_an_empty_anatomy_and_an_unknown_modality(anatomies):
    with pytest.raises(StudyError, match="nobody: no brain"):
        simulate_subject(Anatomy("nobody", np.zeros((3, 4, 4, 2), np.float32), np.eye(4)), ALL, 1)
    with pytest.raises(StudyError, match="T3w"):
        simulate_subject(anatomies[0], ["T3w"], 1)


@pytest.mark.skipif(not REAL.is_dir(), reason="real label maps are not here")
def test_a_real_label_map():
    anatomy = label_map_anatomy(sorted(REAL.glob("*.nii.gz"))[2], Grid())
    check_anatomy(anatomy, Grid())
    scan = simulate_subject(anatomy, ["T1w"], 1, "real")
    csf, gm, wm = (scan.images["T1w"][scan.labels == k].mean() for k in (1, 2, 3))
    assert (csf / wm, gm / wm) == pytest.approx((0.40, 0.70), abs=0.10)
