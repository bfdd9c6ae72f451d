"""``lmidiff translate`` as one calls it: which scans, where results go, and their detail."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from lmidiff.__main__ import main
from lmidiff.cli.scans import beside, orders_of
from lmidiff.common.errors import StudyError
from lmidiff.data.detail import at_own_resolution, function_of
from lmidiff.data.nifti import write_nifti
from lmidiff.models import shipped
from lmidiff.models.histogram import QUANTILES
from lmidiff.models.weights import publish


def head(path: Path, *, shape=(40, 44, 30), seed=0) -> Path:
    """A stripped ball of random blobs, 4 mm."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    ball = (place**2).sum(axis=0) < 0.8
    image = (100 + 50 * np.sin(7 * place[0]) + 5 * rng.standard_normal(shape)) * ball
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(path, image.astype(np.float32), np.diag([4.0, 4, 4, 1]))
    return path


@pytest.fixture
def weights(tmp_path) -> Path:
    path = tmp_path / "model" / "weights.safetensors"
    path.parent.mkdir()
    images = {
        "target": "T1w",
        "percentile": 99.5,
        "grid": {"image_size": 48, "pixel_size": 4.0, "extent": [0.0, 1.0], "slices": 20},
    }
    values = {"quantiles": torch.linspace(0.1, 1, QUANTILES), "dimming": torch.tensor(1.0)}
    publish(path, values, {"family": "histogram", "images": images})
    return path


# -- which scans, and where results go ------------------------------------------------------------


def test_a_result_lies_beside_its_scan(tmp_path):
    scan = head(tmp_path / "a.nii.gz")
    (order,) = orders_of([str(scan)], None, "T1w")
    assert order.out == tmp_path / "a_desc-lmidiff_T1w.nii.gz"
    assert beside(Path("x/b.mgz"), "T1w") == Path("x/b_desc-lmidiff_T1w.nii.gz")
    assert beside(Path("b.nii"), "T1w", 1) == Path("b_volume-1_desc-lmidiff_T1w.nii.gz")


def test_a_pattern_takes_scans_and_no_results(tmp_path):
    for name in ("a", "b", "a_desc-lmidiff_T1w"):
        head(tmp_path / f"{name}.nii.gz")
    found = orders_of([str(tmp_path / "*.nii.gz")], None, "T1w")
    assert [Path(order.scan).name for order in found] == ["a.nii.gz", "b.nii.gz"]
    with pytest.raises(StudyError, match="matches no scan"):
        orders_of([str(tmp_path / "z*.nii.gz")], None, "T1w")


def test_two_scans_cannot_have_one_result(tmp_path):
    scans = [str(head(tmp_path / name)) for name in ("a.nii.gz", "b.nii.gz")]
    with pytest.raises(StudyError, match="names one result, and there are 2 scans"):
        orders_of(scans, tmp_path / "o.nii.gz", "T1w")
    both = [str(head(tmp_path / name)) for name in ("c.nii", "c.nii.gz")]
    with pytest.raises(StudyError, match="would both become"):
        orders_of(both, None, "T1w")


def test_a_bids_folder_gives_derivatives_that_say_what_they_are_from(tmp_path, weights, capsys):
    top = tmp_path / "bids"
    for name in ("sub-1/anat/sub-1_PDw", "sub-1/anat/sub-1_T2w", "sub-1/anat/sub-1_T1w"):
        head(top / f"{name}.nii.gz")
    head(top / "sub-2/ses-a/anat/sub-2_ses-a_FLAIR.nii.gz")
    head(top / "sub-2/ses-a/anat/sub-2_ses-a_part-phase_FLAIR.nii.gz")
    assert main(["translate", str(top), "--weights", str(weights)]) == 0
    made = top / "derivatives" / "lmidiff"
    results = sorted(str(path.relative_to(made)) for path in made.rglob("*.nii.gz"))
    assert results == [
        "sub-1/anat/sub-1_desc-lmidiffFromPDw_T1w.nii.gz",
        "sub-1/anat/sub-1_desc-lmidiffFromT2w_T1w.nii.gz",
        "sub-2/ses-a/anat/sub-2_ses-a_desc-lmidiffFromFLAIR_T1w.nii.gz",
    ]
    assert capsys.readouterr().out.split() == [str(made / name) for name in results]
    told = json.loads((made / "dataset_description.json").read_text())
    assert told["DatasetType"] == "derivative"
    side = json.loads((made / results[0].replace(".nii.gz", ".json")).read_text())
    assert side["Sources"] == [str(top / "sub-1/anat/sub-1_PDw.nii.gz")]
    assert len(side["Weights"]["SHA256"]) == 64
    assert side["Target"] == "T1w"


def test_a_result_does_not_depend_on_the_others_in_the_call(tmp_path, weights):
    scans = [head(tmp_path / f"{name}.nii.gz", seed=n) for n, name in enumerate("ab")]
    assert main(["translate", *map(str, scans), "--weights", str(weights), "--qc"]) == 0
    together = (tmp_path / "b_desc-lmidiff_T1w.nii.gz").read_bytes()
    picture = (tmp_path / "b_desc-lmidiff_T1w_qc.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    alone = tmp_path / "alone.nii.gz"
    command = ["translate", "--source", str(scans[1]), "--weights", str(weights)]
    assert main([*command, "--out", str(alone)]) == 0
    assert alone.read_bytes() == together


def test_nothing_to_translate_is_said(capsys, weights):
    assert main(["translate", "--weights", str(weights)]) == 1
    assert "name a scan to work on" in capsys.readouterr().err


def test_a_mask_is_of_one_scan(tmp_path, weights, capsys):
    scans = [str(head(tmp_path / f"{name}.nii.gz")) for name in "ab"]
    assert main(["translate", *scans, "--weights", str(weights), "--mask", scans[0]]) == 1
    assert "is of one scan, and there are 2" in capsys.readouterr().err


def test_a_sidecar_is_no_scan_that_is_read(tmp_path, weights, capsys):
    scan = head(tmp_path / "a.nii.gz")
    config = weights.with_name("config.json")
    out = weights.with_name("config.nii.gz")  # whose sidecar would be the model's config
    before = config.read_bytes()
    assert main(["translate", str(scan), "--weights", str(weights), "-o", str(out)]) == 1
    assert config.read_bytes() == before
    assert "config.json" in capsys.readouterr().err


# -- what comes with the package ------------------------------------------------------------------


def test_every_model_that_ships_says_what_it_is(capsys):
    cards = shipped.shipped()
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    for name, card in cards.items():
        assert {"makes", "training", "tried on", "not for", "licence"} <= set(card), name
        assert name in printed
    total = sum(path.stat().st_size for path in shipped.FOLDER.rglob("*.safetensors"))
    assert total < 8e6
    with pytest.raises(StudyError, match="does not come with lmidiff"):
        shipped.weights_of("telepathy")


# -- how far off it may be -------------------------------------------------------------------------


def test_one_pass_knows_where_it_does_not_find_its_own_translation_again(tmp_path):
    scan = head(tmp_path / "a.nii.gz")
    assert main(["translate", str(scan), "--uncertainty", "--qc"]) == 0
    out = tmp_path / "a_desc-lmidiff_T1w"
    source, made = nib.load(scan), nib.load(f"{out}_uncertainty.nii.gz")
    assert made.shape == source.shape
    np.testing.assert_allclose(made.affine, source.affine, atol=1e-5)
    values, brain = made.get_fdata(), nib.load(f"{out}.nii.gz").get_fdata() > 0
    assert 0.001 < values[brain].mean() < 0.5
    assert not values[source.get_fdata() == 0].any()
    assert "random contrasts" in json.loads(Path(f"{out}.json").read_text())["Uncertainty"]
    assert Path(f"{out}_qc.png").stat().st_size > 10_000


# -- the scan's own detail ------------------------------------------------------------------------


def blobs(shape, scale, seed):
    rng = np.random.default_rng(seed)
    coarse = rng.random([max(2, n // scale) for n in shape]).astype(np.float32)
    big = coarse.repeat(scale, 0).repeat(scale, 1).repeat(scale, 2)
    return big[tuple(slice(0, n) for n in shape)]


def test_a_function_of_the_scan_comes_back_with_all_its_detail():
    shape = (48, 48, 24)
    scan = 0.2 + 0.6 * blobs(shape, 3, 1)
    brain = np.zeros(shape, bool)
    brain[4:-4, 4:-4, 3:-3] = True
    scan = np.where(brain, scan, 0).astype(np.float32)
    truth = np.where(brain, 0.9 - 0.7 * scan, 0)
    low = torch.from_numpy(scan).permute(2, 0, 1)[:, None]
    table = function_of(low, torch.where(low > 0, 0.9 - 0.7 * low, 0.0))
    from scipy import ndimage

    blurred = ndimage.gaussian_filter(truth, 1.2)  # what a network of coarse pixels would give
    found = at_own_resolution(scan, brain, np.ones(3), blurred, table, 3.0)
    inner = ndimage.binary_erosion(brain, iterations=4)
    assert np.abs(found - truth)[inner].mean() < 0.35 * np.abs(blurred - truth)[inner].mean()
    assert not found[~brain].any()


def test_where_the_network_knows_better_over_some_millimetres_it_is_followed():
    shape = (40, 40, 20)
    scan = np.full(shape, 0.5, np.float32)
    brain = np.ones(shape, bool)
    told = np.full(shape, 0.4, np.float32)
    told[20:] = 0.8  # two tissues of one intensity in the scan
    table = (np.array([0.0, 1.0], np.float32), np.array([0.6, 0.6], np.float32))
    found = at_own_resolution(scan, brain, np.ones(3), told, table, 2.0)
    assert found[8, 20, 10] == pytest.approx(0.4, abs=0.02)
    assert found[31, 20, 10] == pytest.approx(0.8, abs=0.02)


def test_the_result_is_a_nifti_on_the_scans_grid(tmp_path, weights):
    scan = head(tmp_path / "a.nii.gz")
    assert main(["translate", str(scan), "--weights", str(weights)]) == 0
    source, made = (nib.load(p) for p in (scan, tmp_path / "a_desc-lmidiff_T1w.nii.gz"))
    assert made.shape == source.shape
    np.testing.assert_allclose(made.affine, source.affine, atol=1e-5)


def test_an_intensity_that_few_pixels_have_prints_no_noise():
    rng = np.random.default_rng(0)
    source = torch.from_numpy(rng.normal(0.5, 0.03, (5, 1, 100, 100)).clip(0.3, 0.7)).float()
    image = 1 - source
    source[2, 0, 50, 40:50] = torch.linspace(0.15, 0.25, 10)
    image[2, 0, 50, 40:50] = torch.tensor([0.0, 1.0] * 5)
    values, function = function_of(source, image)
    common = (values > 0.42) & (values < 0.58)
    assert np.abs(function - (1 - values))[common].max() < 0.01
    assert np.abs(np.diff(function)).max() < 0.02
    assert function.min() > 0.4
