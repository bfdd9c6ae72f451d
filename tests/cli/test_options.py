"""What the command line says of options, of its surroundings, and of models that make no sense."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lmidiff.__main__ import main
from lmidiff.common.environment import own_backend
from lmidiff.common.errors import StudyError
from lmidiff.data.nifti import write_nifti
from lmidiff.data.own_space import OwnScan, read_own
from lmidiff.evaluation.segmentation import KMeansModel
from lmidiff.models.histogram import QUANTILES
from lmidiff.models.shipped import weights_of
from lmidiff.models.weights import publish
from workflows import ROOT

AFFINE = np.diag([4.0, 4, 4, 1])
IMAGES = {
    "target": "T1w",
    "percentile": 99.5,
    "grid": {"image_size": 32, "pixel_size": 6.0, "slices": 4, "extent": [0.2, 0.8]},
}
QUANTILES_OF = {"quantiles": torch.linspace(0, 1, QUANTILES), "dimming": torch.tensor(0.6)}


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A translation as much as a scan: a ramp from 0 to 1 within a box."""
    data = np.zeros((12, 12, 12), np.float32)
    data[1:-1, 1:-1, 1:-1] = np.linspace(0.05, 1, 1000).reshape(10, 10, 10)
    write_nifti(tmp_path / "x.nii.gz", data, AFFINE)
    return tmp_path / "x.nii.gz"


@pytest.fixture
def kmeans(tmp_path: Path) -> Path:
    KMeansModel((0.2, 0.5, 0.8), 100, 1).save(tmp_path / "kmeans.json")
    return tmp_path / "kmeans.json"


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """Run a command that must fail, by its options or later; its one line."""
    try:
        status = main([str(part) for part in arguments])
    except SystemExit as ended:
        status = ended.code
    assert status in (1, 2)
    lines = [each for each in capsys.readouterr().err.splitlines() if each.startswith("ERROR ")]
    assert len(lines) == 1
    return lines[0]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights" / "weights.safetensors"
    publish(path, QUANTILES_OF, {"family": "histogram", "images": IMAGES})
    return path


# -- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["translate", ""], "argument SCAN: an empty name"),
        (["translate", "x.nii", "--out="], "argument -o/--out: an empty name"),
        (["translate", "x.nii", "--weights="], "argument --weights: an empty name"),
        (["translate", "x.nii", "--method="], "argument --method: an empty name"),
        (["translate", "x.nii", "--mask", " "], "argument --mask: an empty name"),
        (["translate", "~nosuchuser/x.nii"], "there is no such home folder"),
        (["segment", "--model=", "x.nii"], "argument --model: an empty name"),
        (["view", ""], "argument NIFTI: an empty name"),
        (["preprocess", "PDw=~nosuchuser/x.nii"], "there is no such home folder"),
        (["preprocess"], "name the scans of a person"),
        (["translate", "**.nii.gz"], "matches no scan"),
        (["translate", "x.nii", "--weights", "/"], "/: is a folder; name the weights.safetensors"),
    ],
)
def test_a_name_that_is_none_is_refused(arguments, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert says in refused(capsys, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("kmeans")
def test_a_home_folder_is_known_behind_an_equals_sign(scan, monkeypatch):
    monkeypatch.setenv("HOME", str(scan.parent))
    monkeypatch.chdir(scan.parent)
    given = ["segment", "~/x.nii.gz", "--model=~/kmeans.json", "--translated", "--out=~/o.nii.gz"]
    assert main(given) == 0
    assert (scan.parent / "o.nii.gz").exists()
    assert not Path("~").exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--translated", "--mask", "x.nii.gz"], "--mask: has no effect here"),
        (["--translated", "--percentile", "99.5"], "--percentile: has no effect here"),
        (["--percentile", "99", "--weights", "x"], "--percentile: has no effect here"),
        (["--method", "x", "--steps", "4"], "--method, --steps: has no effect here"),
        (["--translated", "--seed", "1"], "--seed: has no effect here"),
        (["--translated", "--weights", "x"], "leave out --weights"),
    ],
)
def test_options_without_effect_are_refused(given, says, scan, kmeans, capsys):
    assert says in refused(capsys, "segment", "--model", kmeans, scan, *given)


def test_preprocess_puts_its_folder_beside_the_first_scan(scan, capsys):
    taken = scan.parent / "x_desc-lmidiff_aligned"
    taken.write_text("")
    given = [f"PDw={scan}", f"T1w={scan.parent}/y.nii.gz"]
    assert f"{taken}: is a file" in refused(capsys, "preprocess", *given)
    assert "is a file" in refused(capsys, "preprocess", *given, "-o", scan)
    assert f"{taken}: is a file" in refused(capsys, "preprocess", "--scans", *given)


@pytest.mark.parametrize("judged", [None, "{}", '{"scans": []}', "no JSON"])
def test_preprocess_does_not_write_over_what_it_has_not_written(judged, scan, capsys):
    other = scan.parent / "brain_mask.nii.gz"
    other.write_bytes(b"another program's")
    if judged:
        (scan.parent / "quality.json").write_text(judged)
    given = [f"PDw={scan}", f"T1w={scan.parent}/y.nii.gz", "-o", scan.parent]
    said = refused(capsys, "preprocess", *given)
    assert f"{other}: is there already, and lmidiff preprocess did not write it" in said
    assert other.read_bytes() == b"another program's"
    # What it has written before, it writes again: here it goes on, to a scan that is not there.
    scans = [{"file": "x.nii.gz (PDw)"}, {"file": "y.nii.gz (T1w)"}]
    (scan.parent / "quality.json").write_text(json.dumps({"scans": scans}))
    assert f"{scan.parent}/y.nii.gz (T1w): no such file" in refused(capsys, "preprocess", *given)


def test_several_translations_are_segmented_beside_them(scan, kmeans, capsys):
    names = ["a_desc-lmidiff_T1w", "b_desc-lmidiffFromPDw_T1w", "b_desc-lmidiff_T1w_uncertainty"]
    for name in names:
        (scan.parent / f"{name}.nii.gz").write_bytes(scan.read_bytes())
    given = ["segment", "--model", kmeans, scan.parent / "*.nii.gz"]
    assert main([str(part) for part in (*given, "--translated")]) == 0
    made = sorted(path.name for path in scan.parent.glob("*_dseg.nii.gz"))
    assert made == ["a_desc-lmidiffT1w_dseg.nii.gz", "b_desc-lmidiffFromPDw_dseg.nii.gz"]
    assert capsys.readouterr().out.split() == [str(scan.parent / name) for name in made]
    assert "is a folder; name scans" in refused(capsys, *given[:3], scan.parent)


# -- models that make no sense ---------------------------------------------------------------------


@pytest.fixture
def translate(scan, tmp_path, capsys):
    """What ``translate`` refuses of weights, with their config."""

    def say(values: dict, config: dict) -> str:
        path = tmp_path / "model" / "weights.safetensors"
        publish(path, values, config)
        return refused(capsys, "translate", scan, "--mask", scan, "--weights", path)

    return say


def test_weights_that_are_no_numbers_are_named(translate):
    values = {**QUANTILES_OF, "dimming": torch.tensor(float("nan"))}
    said = translate(values, {"family": "histogram", "images": IMAGES})
    assert "weights.safetensors: dimming holds NaN or infinite numbers" in said


@pytest.mark.parametrize(
    ("block", "key", "value", "says"),
    [
        ("contrast", "noise", float("nan"), "contrast.noise: nan is no number"),
        ("unet", "groups", 0, "unet.groups: 0 is less than the minimum"),
        ("unet", "head_channels", 0, "unet.head_channels: 0 is less than"),
        ("unet", "channels", [10**9], "unet.channels.0: 1000000000 is greater"),
        ("unet", "groups", 5, "unet: DiffusionModelUNet expects"),
        ("guidance", "bandwidths", "x", "guidance.bandwidths: 'x' is not"),
        ("guidance", "patch_size", 10001, "guidance.patch_size: 10001 is greater"),
    ],
)
def test_a_config_that_makes_no_sense_is_named(block, key, value, says, translate):
    config = json.loads(weights_of("T1w").with_name("config.json").read_text())
    config[block][key] = value
    said = translate(QUANTILES_OF, config)
    assert "config.json: " in said
    assert says in said


def test_slices_that_the_network_cannot_take_are_named(scan, tmp_path, capsys):
    shipped = weights_of("T1w")
    config = json.loads(shipped.with_name("config.json").read_text())
    config["images"]["grid"]["image_size"] = 97
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / shipped.name).write_bytes(shipped.read_bytes())
    said = refused(capsys, "translate", scan, "--mask", scan, "--weights", folder / shipped.name)
    assert "config.json: images.grid.image_size 97 is not a multiple of 8" in said


def test_json_that_is_too_deep_is_named(scan, kmeans, translate, tmp_path, capsys):
    translate({}, {})
    deep = tmp_path / "model" / "config.json"
    deep.write_text("[" * 200_000)
    given = [scan, "--mask", scan, "--weights", deep.with_name("weights.safetensors")]
    assert "config.json: cannot be read as JSON" in refused(capsys, "translate", *given)
    kmeans.write_text("[" * 200_000)
    said = refused(capsys, "segment", "--model", kmeans, scan, "--translated", "-o", "o.nii")
    assert "kmeans.json: not a K-Means model" in said


def test_a_result_of_no_numbers_is_not_written(scan, tmp_path):
    own: OwnScan = read_own(scan, ready=True)
    with pytest.raises(StudyError, match="NaN or infinite voxels"):
        own.write(tmp_path / "o.nii.gz", np.full(own.brain.shape, np.nan, np.float32))
    assert not (tmp_path / "o.nii.gz").exists()


# -- the surroundings ------------------------------------------------------------------------------


def test_jobs_of_a_study_inherit_a_backend_that_is_there(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://not_installed.backend_inline")
    own_backend()
    assert os.environ["MPLBACKEND"] == "Agg"
    assert "own_backend()" in (ROOT / "workflow" / "rules" / "common.smk").read_text()


def test_a_notebooks_backend_stops_nothing_and_pyplot_is_not_waited_for():
    code = (
        "import sys\nfrom lmidiff.__main__ import main\n"
        "assert main(['models']) == 0\n"
        "import lmidiff.figures.own_scan, lmidiff.figures.alignment_check\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    notebook = {"MPLBACKEND": "module://not_installed.backend_inline"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow"), **notebook},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENAMETOOLONG])
def test_what_the_system_refuses_is_one_line(number, scan, capsys, monkeypatch):
    def deny(*_, **__):
        raise OSError(number, os.strerror(number), "/closed/x.nii")

    monkeypatch.setattr("lmidiff.cli.view.volume_of", deny)
    said = refused(capsys, "view", scan, "-o", scan.parent / "v.html")
    assert said == f"ERROR /closed/x.nii: {os.strerror(number)}"


def test_a_result_whose_name_is_too_long_is_refused_first(scan, kmeans, capsys):
    given = [
        "segment",
        "--model",
        kmeans,
        scan,
        "--translated",
        "-o",
        scan.parent / f"{'x' * 250}.nii",
    ]
    assert "the name is longer than" in refused(capsys, *given)


def test_ctrl_c_is_one_line(scan, kmeans, capsys, monkeypatch):
    def interrupt(*_, **__):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("lmidiff.cli.segment.segment", interrupt)
    given = ["segment", "--model", kmeans, scan, "--translated"]
    # A shell starts what runs behind it with interrupts ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert main([str(part) for part in given]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err.startswith("ERROR interrupted")


def test_what_cannot_be_printed_is_written_all_the_same(scan, monkeypatch, capsys, weights):
    monkeypatch.setattr("lmidiff.data.bias.ITERATIONS", (1,))
    folder = scan.parent / "é"
    folder.mkdir()
    given = ["translate", str(scan), "--mask", str(scan), "--weights", str(weights)]
    for terminal, status in (("ascii", 0), ("full", 1)):
        out = folder / f"{terminal}.nii.gz"
        if terminal == "ascii":
            stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        else:
            stream = open("/dev/full", "w")  # noqa: SIM115 - it cannot be flushed
        monkeypatch.setattr(sys, "stdout", stream)
        assert main([*given, "-o", str(out)]) == status
        assert out.exists()
        assert out.with_name(f"{terminal}.json").exists()
        if terminal == "ascii":
            assert stream.buffer.getvalue().endswith(b"\\xe9/ascii.nii.gz\n")
    assert "ERROR standard output: No space left" in capsys.readouterr().err


def test_readme_away_from_the_repository_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "go to the top of the repository" in refused(capsys, "readme")


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "", '"'])
def test_show_of_another_table_is_one_line(text, tmp_path, capsys):
    (tmp_path / "table1.csv").write_text(text)
    assert "table1.csv: " in refused(capsys, "show", tmp_path)


@pytest.mark.parametrize("value", [-1e20, 1e30])
def test_one_grey_far_from_zero_is_viewed(value, tmp_path):
    write_nifti(tmp_path / "a.nii.gz", np.full((3, 3, 3), value, np.float32), AFFINE)
    out = tmp_path / "v.html"
    assert main(["view", str(tmp_path / "a.nii.gz"), "-o", str(out)]) == 0
    assert out.exists()
