"""The commands for one's own scans: results lie over the scan, whatever its axes and its voxels."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from scipy import ndimage, stats

import ixi_archive
from lmidiff.__main__ import main
from lmidiff.cli.common import SAMPLING
from lmidiff.data.own_space import back, read_own, stack_of, to_slices
from lmidiff.data.volumes import read_volume
from lmidiff.evaluation.segmentation import KMeansModel
from lmidiff.models.diffusion import DiffusionModel
from lmidiff.models.histogram import QUANTILES
from lmidiff.models.weights import publish, read_weights
from method_cases import travelling

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
IMAGES = {
    "target": "T1w",
    "percentile": 99.5,
    "grid": {"image_size": 64, "pixel_size": 3.0, "slices": 4, "extent": [0.4, 0.8]},
}


@pytest.fixture(scope="module")
def truth() -> ixi_archive.Truth:
    return ixi_archive.subject(ixi_archive.NAMES[0], 12, voxel_mm=3.0)


@pytest.fixture(scope="module")
def files(truth: ixi_archive.Truth, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("own")
    found = {}
    for name in ("PDw", "T1w"):
        found[name], found[f"{name} mask"] = folder / f"{name}.nii.gz", folder / f"{name}_m.nii.gz"
        nib.save(truth.images[name], found[name])
        nib.save(truth.masks[name], found[f"{name} mask"])
    return found


@pytest.fixture(scope="module")
def histogram(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the method that trains nothing: its translation has a law to be checked by."""
    path = tmp_path_factory.mktemp("histogram") / "weights.safetensors"
    weights = {"quantiles": torch.linspace(0, 1, QUANTILES), "dimming": torch.tensor(1.0)}
    publish(path, weights, {"family": "histogram", "images": IMAGES})
    return path


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("diffusion") / "weights.safetensors"
    settings = json.loads(json.dumps(CONFIG["model_defaults"]))
    settings["unet"] |= {"channels": [16, 32], "attention": [False, True], "head_channels": 16}
    settings["training"] |= {"seed": 1}
    network = DiffusionModel(settings, torch.device("cpu")).network
    config = {"family": "diffusion", "contrast_randomised": True, **settings, "images": IMAGES}
    publish(path, {**network.state_dict(), **travelling()}, config)
    return path


def said(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    assert main([str(part) for part in arguments]) == 1
    text = capsys.readouterr().err
    line = next(line for line in text.splitlines() if line.startswith("ERROR "))
    assert "Traceback" not in text
    return line


def test_a_translation_lies_over_its_source(files, histogram: Path, tmp_path: Path) -> None:
    out = tmp_path / "sub" / "T1w.nii.gz"
    command = ["translate", "--weights", histogram, "--source", files["PDw"], "--out", out]
    assert main([*map(str, command), "--mask", str(files["PDw mask"]), "--spacing", "4"]) == 0
    source, result = nib.load(files["PDw"]), nib.load(out)
    assert result.shape == source.shape
    np.testing.assert_allclose(result.affine, source.affine, atol=1e-4)
    image = result.get_fdata()
    mask = np.asarray(nib.load(files["PDw mask"]).dataobj) > 0
    assert image.min() >= 0
    assert image.max() <= 1
    assert not image[~mask].any()
    assert (image[mask] > 0).mean() > 0.85
    # Inverted histogram matching turns the order of intensities round, so what comes back must
    # run against the source at the same voxels, and less so a voxel aside, to whichever side.
    values = source.get_fdata()

    def against(axis: int, step: int) -> float:
        there = np.roll(image, step, axis)
        both = mask & (there > 0)
        return float(stats.spearmanr(values[both], there[both]).statistic)

    here = against(0, 0)
    assert here < -0.5  # the rim shows what lies beside it
    assert all(here < against(axis, step) - 0.05 for axis in range(3) for step in (-1, 1))


def test_a_diffusion_model_and_its_uncertainty(files, diffusion: Path, tmp_path: Path) -> None:
    command = ["translate", "--weights", diffusion, "--source", files["PDw"]]
    command += ["--mask", files["PDw mask"], "--steps", 2, "--draws", 2, "--spacing", 20]
    results = []
    for name in ("a.nii.gz", "b.nii.gz"):
        assert main([*map(str, command), "--out", str(tmp_path / name), "--uncertainty"]) == 0
        results.append((tmp_path / name).read_bytes())
    assert results[0] == results[1], "the same seed gives the same translation"
    spread = nib.load(tmp_path / "a_uncertainty.nii.gz")
    assert spread.shape == nib.load(files["PDw"]).shape
    assert 0 < spread.get_fdata().max() < 1
    assert main([*map(str, command), "--out", str(tmp_path / "c.nii.gz"), "--seed", "2"]) == 0
    assert (tmp_path / "c.nii.gz").read_bytes() != results[0]


def test_slices_come_back_to_where_they_were(files) -> None:
    """A linear function of the world's coordinates survives the way to the slices and back."""
    scan = read_own(files["T1w"], files["T1w mask"])
    slices = to_slices(scan, image_size=48, pixel_size=4.0, spacing=5.0, percentile=99.5)
    weights = np.array([0.003, -0.002, 0.004])

    def world(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
        index = np.stack(np.indices(shape), -1)
        return (index @ affine[:3, :3].T + affine[:3, 3]) @ weights + 0.5

    stack = torch.from_numpy(world(slices.mask.shape, slices.affine)).permute(2, 0, 1)[:, None]
    assert stack_of(slices).shape == stack.shape
    found = back(scan, slices, stack.float())
    expected = world(scan.brain.shape, scan.volume.affine)
    # At the rim, where pixels outside the brain do not count, the others' mean place is elsewhere.
    inner = ndimage.binary_erosion(scan.brain, iterations=3) & (found != 0)
    assert inner.sum() > 5000
    error = np.abs(found - expected)[inner]
    # A dent of the coarse mask may reach a single voxel even here.
    assert np.mean(error > 2e-3) < 1e-3
    assert error.max() < 4.0 * np.linalg.norm(weights)


def test_tissues_of_a_translation_and_of_a_raw_scan(
    files, truth: ixi_archive.Truth, tmp_path: Path
) -> None:
    model = tmp_path / "kmeans.json"
    KMeansModel((0.2, 0.5, 0.8), 10, 1).save(model)
    image = np.zeros((9, 9, 9), np.float32)
    image[1:8, 1:8, 1:8] = np.linspace(0.05, 1, 343).reshape(7, 7, 7)
    affine = nib.affines.from_matvec(np.diag([-2.0, 2, 2]), [9, 0, 0])
    nib.save(nib.Nifti1Image(image, affine), tmp_path / "t.nii.gz")
    out = tmp_path / "labels.nii.gz"
    command = ["segment", "--model", model, "--source", tmp_path / "t.nii.gz", "--out", out]
    assert main([*map(str, command), "--translated"]) == 0
    labels = nib.load(out)
    np.testing.assert_array_equal(labels.affine, affine)
    expected = np.where(image > 0, 1 + (image > 0.35) + (image > 0.65).astype(int), 0)
    np.testing.assert_array_equal(np.asarray(labels.dataobj), expected)
    command = ["segment", "--model", model, "--source", files["T1w"], "--out", out]
    assert main([*map(str, command), "--mask", str(files["T1w mask"])]) == 0
    tissue = np.asarray(nib.load(out).dataobj)
    mask = np.asarray(nib.load(files["T1w mask"]).dataobj) > 0
    np.testing.assert_array_equal(tissue > 0, mask)
    raw = np.asarray(truth.images["T1w"].dataobj, float)
    assert raw[tissue == 1].mean() < raw[tissue == 2].mean() < raw[tissue == 3].mean()


def test_raw_scans_of_a_person_are_aligned(files, truth, tmp_path: Path) -> None:
    out = tmp_path / "aligned"
    scans = [f"{name}={files[name]}" for name in ("PDw", "T1w")]
    assert main(["preprocess", *scans, "-o", str(out), "--keep"]) == 0
    assert {path.name for path in out.iterdir()} == {
        "PDw.nii.gz",
        "T1w.nii.gz",
        "brain_mask.nii.gz",
        "from-T1w_to-PDw_xfm.tfm",
        "quality.json",
        "quality.png",
    }
    matrix = np.array(json.loads((out / "quality.json").read_text())["scans"][1]["matrix"])
    mask = nib.as_closest_canonical(truth.masks["PDw"])
    points = np.argwhere(np.asarray(mask.dataobj))[::50] @ mask.affine[:3, :3].T
    points += mask.affine[:3, 3]
    far = np.linalg.norm(
        (points @ (matrix - truth.motion)[:3, :3].T) + (matrix - truth.motion)[:3, 3], axis=1
    )
    assert np.percentile(far, 95) < 1.0
    assert read_volume(out / "T1w.nii.gz").data.shape == read_volume(out / "PDw.nii.gz").data.shape


def test_what_knows_whole_heads_is_not_shown_a_brain(files, histogram: Path, capsys) -> None:
    weights = histogram.parent / "heads" / histogram.name
    config = json.loads((histogram.parent / "config.json").read_text())
    config["images"]["field"] = "head"
    publish(weights, read_weights(histogram), config)
    out = histogram.parent / "no.nii.gz"
    scan = ["--source", files["PDw"], "--mask", files["PDw mask"], "--out", out]
    line = said(capsys, "translate", "--weights", weights, *scan)
    assert "config.json: the model knows whole heads (data.field: head)" in line
    for number, fields in enumerate((("head", "head"), ("brain", "head"), ("head", "brain"))):
        model = histogram.parent / f"kmeans{number}.json"
        KMeansModel((0.2, 0.5, 0.8), 10, 1, (), *fields).save(model)
        line = said(capsys, "segment", "--model", model, *scan)
        assert f"{model.name}: the K-Means of a study of whole heads or slices" in line
    assert not out.exists()


def test_mistakes_are_one_line(files, histogram: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "o.nii.gz"
    source = ["--source", files["PDw"], "--mask", files["PDw mask"]]
    alone = tmp_path / "alone" / "weights.safetensors"
    publish(
        alone,
        {"quantiles": torch.linspace(0, 1, QUANTILES), "dimming": torch.tensor(1.0)},
        {"family": "histogram"},
    )
    for arguments, says in (
        (["--weights", tmp_path / "w.safetensors", *source, "--out", out], "config.json: no such"),
        (["--weights", alone, *source, "--out", out], "does not say what the model's slices"),
        (["--weights", histogram, *source, "--out", tmp_path / "o.png"], "must end in .nii"),
        (["--weights", histogram, "--source", "gone.nii", "--out", out], "gone.nii: no such file"),
        (
            ["--weights", histogram, *source[:2], "--mask", files["T1w mask"], "--out", out],
            "is not on the grid",
        ),
    ):
        assert says in said(capsys, "translate", *arguments)
    assert "write it as NAME=FILE" in said(
        capsys, "preprocess", "--scans", "a.nii", "--out", tmp_path
    )
    assert not out.exists()


def test_the_defaults_are_the_default_studys() -> None:
    assert CONFIG["sampling"] == SAMPLING


@pytest.mark.parametrize("command", ["translate", "segment", "preprocess"])
def test_help_says_what_comes_out(command: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "--out" in text
    assert len(text) > 800
