"""The default's simulated people beside real ones: what a source tells of T1w, and how bright."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from lmidiff.data.anatomy import Anatomy, icbm_anatomy
from lmidiff.data.grid import Grid
from lmidiff.data.preprocess import normalise, preprocess_subject
from lmidiff.data.sequences import STRUCTURES
from lmidiff.data.simulate import SimulationSettings, simulate_subject
from lmidiff.data.volumes import read_volume
from lmidiff.images.intensities import conditional_mean, explained
from lmidiff.images.rim import inside_of

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data"
MODALITIES = ("T1w", "PDw", "T2w", "FLAIR")
#: Share of T1w's variance that a source explains, and how far from real a simulator may be.
EXPLAINED = {"PDw": (0.74, 0.06), "T2w": (0.81, 0.06), "FLAIR": (0.40, 0.12)}


def stack(array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)[:, None].contiguous()


def shares(images: dict[str, np.ndarray], mask: np.ndarray) -> dict[str, float]:
    inside = inside_of(stack(mask))
    target = stack(images["T1w"])
    return {
        name: explained(target, conditional_mean(target, stack(image), inside, 256), inside)
        for name, image in images.items()
        if name != "T1w"
    }


@pytest.fixture(scope="module")
def people() -> list[tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]]:
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())["data"]
    settings = SimulationSettings(**config["cohorts"]["simulated"]["simulation"])
    made = []
    for number in range(1, 5):
        seeds = (1, f"sub-{number:02d}")
        anatomy = icbm_anatomy(Grid(), *seeds)
        scans = simulate_subject(anatomy, MODALITIES, *seeds, settings=settings)
        images = {name: normalise(image, scans.mask) for name, image in scans.images.items()}
        made.append((images, scans.mask, scans.labels))
    return made


@pytest.mark.parametrize("source", EXPLAINED)
def test_a_source_tells_of_t1w_what_it_tells_in_real_images(people, source):
    wanted, tolerance = EXPLAINED[source]
    found = [shares(images, mask)[source] for images, mask, _ in people]
    assert np.mean(found) == pytest.approx(wanted, abs=tolerance)


def test_tissues_are_as_bright_as_in_the_t1w_of_185_people(people):
    ratios = []
    for images, mask, labels in people:
        inside = inside_of(stack(mask))[:, 0].permute(1, 2, 0).numpy()
        csf, grey, white = (images["T1w"][inside & (labels == n)].mean() for n in (1, 2, 3))
        ratios.append((csf / white, grey / white))
    csf, grey = np.mean(ratios, axis=0)
    assert csf == pytest.approx(0.38, abs=0.03)
    assert grey == pytest.approx(0.74, abs=0.03)


def test_the_real_images_are_what_the_simulator_is_held_to():
    folder = REAL / "sri24"
    if not folder.is_dir():
        pytest.skip(f"no real images in {folder}")
    files = {"T1w": "spgr", "PDw": "erly", "T2w": "late"}
    volumes = {name: read_volume(folder / f"{file}.nii.gz") for name, file in files.items()}
    ready = preprocess_subject(volumes, None, None, Grid())
    found = shares(ready.images, ready.mask)
    for source in ("PDw", "T2w"):
        assert found[source] == pytest.approx(EXPLAINED[source][0], abs=0.04)


def test_the_easy_settings_are_the_first_ones():
    """Not a bit of those scans has changed, so their record stays comparable."""
    easy = yaml.safe_load((ROOT / "config" / "easy.yaml").read_text())["data"]["cohorts"]
    default = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())["data"]["cohorts"]
    settings = {**default["simulated"]["simulation"], **easy["simulated"]["simulation"]}
    assert SimulationSettings(**settings) == SimulationSettings(snr=120, bias=0.03)


def test_lesions_are_in_white_matter_and_as_a_lesion_is_in_each_contrast():
    anatomy = icbm_anatomy(Grid(), 1, "sub-01")
    calm = {"snr": 1000.0, "gain_spread": 0.0}
    without, with_ = (
        simulate_subject(
            anatomy, MODALITIES, 1, "sub-01", settings=SimulationSettings(**calm, lesions=n)
        ).images
        for n in (0, 30)
    )
    changed = np.abs(with_["FLAIR"] / np.maximum(without["FLAIR"], 1) - 1) > 0.1
    changed &= anatomy.fractions.sum(axis=0) > 0.5
    assert changed.sum() > 20
    assert np.median(anatomy.fractions[2][changed]) > 0.5
    for name, sign in (("T1w", -1), ("PDw", 1), ("T2w", 1), ("FLAIR", 1)):
        away = (with_[name][changed] / without[name][changed]).mean() - 1
        assert sign * away > 0.03, name


def test_a_shift_moves_each_scan_by_itself_and_by_as_much():
    anatomy = icbm_anatomy(Grid(), 1, "sub-02")
    calm = {"snr": 1000.0, "gain_spread": 0.0}
    scans = {
        mm: simulate_subject(
            anatomy,
            ("PDw", "T2w"),
            1,
            "sub-02",
            settings=SimulationSettings(**calm, misalignment=mm),
        ).images
        for mm in (0.0, 3.0)
    }
    inside = inside_of(stack(anatomy.fractions.sum(axis=0) > 0.5))[:, 0].permute(1, 2, 0).numpy()
    for name in ("PDw", "T2w"):
        still, moved = scans[0.0][name], scans[3.0][name]
        slopes = np.stack([np.gradient(still, axis=a)[inside] for a in (0, 1)], 1) / 3.0
        step = np.linalg.lstsq(slopes, (still - moved)[inside], rcond=None)[0]
        assert np.hypot(*step) == pytest.approx(3.0, rel=0.35), name


def test_a_pallidum_is_darker_in_t2w_and_brighter_in_t1w_than_cortex():
    fractions = np.zeros((3, 12, 12, 3), np.float32)
    fractions[1] = 1
    structures = np.zeros((len(STRUCTURES), 12, 12, 3), np.float32)
    structures[list(STRUCTURES).index("pallidum"), :6] = 1
    anatomy = Anatomy("block", fractions, np.diag([3.0, 3, 3, 1]), structures)
    calm = SimulationSettings(snr=1000, texture=0, own_texture=0, bias=0, structures=1)
    images = simulate_subject(anatomy, MODALITIES, 1, "sub-01", settings=calm).images
    ratio = {name: image[:6].mean() / image[6:].mean() for name, image in images.items()}
    assert ratio["T2w"] < 0.8
    assert ratio["T1w"] > 1.03
