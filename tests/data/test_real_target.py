"""Sources of people whose target is real: what the simulation makes of labels, and must not."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from lmidiff.common.errors import StudyError
from lmidiff.data.bias import correct_bias
from lmidiff.data.real_target import MIXING, anatomy_on_grid, simulate_sources
from lmidiff.data.simulate import SimulationSettings
from lmidiff.data.tsv import read_tsv
from lmidiff.data.volumes import Volume, read_volume

ROOT = Path(__file__).parents[2]
PEOPLE = ROOT.parent / "shared" / "data" / "ixi_hh_2mm"
VALIDATION = "IXI057-HH-1342"
STILL = SimulationSettings(
    texture=0, own_texture=0, bias=0, gain_spread=0, tissue_spread=0, snr=1000
)


def volume(labels: np.ndarray) -> Volume:
    return Volume(labels.astype(np.float32), np.diag([2.0, 2.0, 2.0, 1.0]), "labels")


def blocks(seed: int = 0) -> np.ndarray:
    """Tissues in blocks of several voxels, in a ball."""
    rng = np.random.default_rng(seed)
    tissues = np.kron(rng.integers(1, 4, (6, 6, 6)), np.ones((4, 4, 4)))
    away = (np.arange(24) - 11.5) ** 2
    inside = away[:, None, None] + away[None, :, None] + away[None, None, :] < 121
    return tissues * inside


def test_tissues_mix_at_their_borders_and_fill_the_brain() -> None:
    labels = blocks()
    found = anatomy_on_grid(volume(labels))
    assert found.structures is None
    total = found.fractions.sum(axis=0)
    assert np.allclose(total[labels > 0], 1, atol=1e-5), "no fading towards the mask's edge"
    assert not total[labels == 0].any()
    half = np.ones((24, 24, 24))
    half[12:] = 3
    column = anatomy_on_grid(volume(half)).fractions[:, 10:14, 12, 12]
    assert np.allclose(column[0], [1, 0.875, 0.125, 0], atol=1e-6)
    assert np.allclose(column[2], [0, 0.125, 0.875, 1], atol=1e-6)


def test_mixing_is_that_of_the_other_label_maps() -> None:
    """Linear interpolation at two points a voxel and axis, averaged; here by another route."""
    values = np.random.default_rng(1).random((7, 7, 7))
    points = np.stack(
        np.meshgrid(*[np.repeat(np.arange(2, 5), 2) + [-0.25, 0.25] * 3] * 3, indexing="ij")
    )
    fine = ndimage.map_coordinates(values, points, order=1)
    expected = fine.reshape(3, 2, 3, 2, 3, 2).mean(axis=(1, 3, 5))
    found = values
    for axis in range(3):
        found = ndimage.convolve1d(found, MIXING, axis=axis)
    assert np.allclose(found[2:5, 2:5, 2:5], expected)


def test_structures_come_from_dlmuse_alone() -> None:
    labels = np.full((12, 12, 12), 82)
    labels[4:8, 4:8, 4:8] = 55
    labels[:2] = 35
    found = anatomy_on_grid(volume(labels))
    assert found.structures is not None
    pallidum = found.structures[3]
    assert pallidum[5:7, 5:7, 5:7].min() == pytest.approx(1)
    assert pallidum[10].max() == 0
    assert found.fractions[1, 5, 5, 5] == pytest.approx(0.4, abs=1e-5)


def test_contrasts_are_those_of_the_sequences() -> None:
    labels = blocks()
    made = simulate_sources(volume(labels), ["PDw", "T2w", "FLAIR"], 1, "sub-x", settings=STILL)
    inner = {t: ndimage.binary_erosion(labels == t) for t in (1, 2, 3)}
    csf, grey, white = (made["T2w"][inner[tissue]].mean() for tissue in (1, 2, 3))
    assert csf > grey > white
    assert made["FLAIR"][inner[1]].mean() < 0.3 * made["FLAIR"][inner[2]].mean()
    for image in made.values():
        assert image.shape == labels.shape
        assert not image[labels == 0].any()


def test_draws_are_the_persons_and_the_modalitys_own() -> None:
    labels = volume(blocks())
    first = simulate_sources(labels, ["PDw", "T2w"], 1, "sub-x")
    again = simulate_sources(labels, ["T2w"], 1, "sub-x")
    other = simulate_sources(labels, ["T2w"], 1, "sub-y")
    assert np.array_equal(first["T2w"], again["T2w"])
    assert not np.array_equal(first["T2w"], other["T2w"])


def test_what_cannot_be_simulated_from() -> None:
    with pytest.raises(StudyError, match="labels: neither labels of DLMUSE nor 1 for CSF"):
        anatomy_on_grid(volume(np.full((4, 4, 4), 7)))
    with pytest.raises(StudyError, match="labels: no brain labels"):
        anatomy_on_grid(volume(np.zeros((4, 4, 4))))
    with pytest.raises(StudyError, match=r"simulation\.lesions is 3, and a real target has no"):
        simulate_sources(volume(blocks()), ["PDw"], 1, settings=SimulationSettings(lesions=3))


# -- real people ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def person() -> tuple[Volume, np.ndarray, np.ndarray]:
    """Labels, corrected T1w and the inside of the brain of a validation person."""
    if not PEOPLE.is_dir():
        pytest.skip(f"{PEOPLE} is not here")
    labels = read_volume(PEOPLE / "labels" / f"{VALIDATION}_T1_DLMUSE.nii.gz")
    brain = labels.data > 0
    image, _ = correct_bias(read_volume(PEOPLE / "t1" / f"{VALIDATION}_T1.nii.gz"), brain)
    return labels, image.data, ndimage.binary_erosion(brain, iterations=2)


def explained(fractions: np.ndarray, image: np.ndarray, inside: np.ndarray) -> float:
    """Share of an image's variance that a linear function of tissue fractions explains."""
    design = fractions[:, inside].T.astype(np.float64)
    values = image[inside].astype(np.float64)
    rest = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return 1 - rest.var() / values.var()


def test_mixing_fits_a_real_t1w_better_than_whole_voxels_or_a_wide_blur(person) -> None:
    labels, image, inside = person
    found = explained(anatomy_on_grid(labels).fractions, image, inside)
    whole = np.stack(
        [anatomy_on_grid(labels).fractions.argmax(axis=0) == tissue for tissue in range(3)]
    ) * (labels.data > 0)
    blurred = np.stack([ndimage.gaussian_filter(t.astype(np.float32), 1.0) for t in whole])
    assert found > explained(whole.astype(np.float32), image, inside) + 0.02
    assert found > explained(blurred, image, inside) + 0.02


def test_a_simulated_source_tells_of_the_real_target_and_does_not_copy_it(person) -> None:
    labels, image, inside = person
    (source,) = simulate_sources(labels, ["T2w"], 1, "sub-x").values()
    found = np.corrcoef(source[inside], image[inside])[0, 1]
    assert -0.9 < found < -0.4


def test_the_sheet_names_the_test_people_of_the_data_set() -> None:
    if not PEOPLE.is_dir():
        pytest.skip(f"{PEOPLE} is not here")
    lines = (PEOPLE / "people.tsv").read_text().splitlines()[1:]
    held_out = {line.split("\t")[0] for line in lines if line.split("\t")[3].strip() == "test"}
    rows = [row for _, row in read_tsv(ROOT / "config/simulated_sources.tsv", "sheet", "", str)]
    assert {Path(row["path"]).name.removesuffix("_T1.nii.gz") for row in rows} == held_out
    assert all(row["labels"] == row["mask"] for row in rows)
