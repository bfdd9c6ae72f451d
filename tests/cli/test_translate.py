"""``lmidiff translate`` as one calls it: which scans, where results go, and their detail."""

import json
import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from lmidiff.__main__ import main
from lmidiff.cli.scans import beside, orders_of
from lmidiff.common.errors import StudyError
from lmidiff.data.hyperintensities import Hyperintensities
from lmidiff.data.nifti import write_nifti
from lmidiff.models import regression, shipped
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


def named(*names: str, **how) -> list[str]:
    return [Path(order.scan).name for order in orders_of(list(names), None, "T1w", **how)]


def test_one_scan_by_two_names_is_one_and_two_scans_keep_a_result_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("d/x.nii.gz", "d/x.nii", "p/x.hdr", "p/x.img"):
        head(tmp_path / name, shape=(4, 4, 4)) if "nii" in name else touch(tmp_path / name)
    Path("e").symlink_to("d")
    for other in ("e/x.nii", "d/../d/x.nii", f"{tmp_path}/d/x.nii"):
        with pytest.raises(StudyError, match="would both become"):
            orders_of(["d/x.nii.gz", other], None, "T1w")
    assert named("d/x.nii", "e/x.nii", "d/../d/x.nii", str(tmp_path / "d/x.nii")) == ["x.nii"]
    assert named("p/x.*") == named("p/x.hdr", "p/x.img") == ["x.hdr"]


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


@pytest.mark.parametrize(
    "name", ["a.NII.GZ", "a.nii.bz2", "a.hdr.gz", "a.img.gz", "a.MGZ", "a.mgh", "a.Nii"]
)
def test_results_are_named_without_the_formats_ending(name):
    assert beside(Path(name), "T1w").name == "a_desc-lmidiff_T1w.nii.gz"


def test_a_volume_is_taken_of_each_scan_and_a_mask_of_one(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        touch(tmp_path / name)
    (tmp_path / "bids").mkdir()
    pattern = str(tmp_path / "*.nii.gz")
    for given in ([pattern], [str(tmp_path / name) for name in ("a.nii.gz", "b.nii.gz")]):
        assert named(*given, volume=1) == ["a.nii.gz#1", "b.nii.gz#1"]
    assert named(f"{pattern}#2") == ["a.nii.gz#2", "b.nii.gz#2"]
    for given in (str(tmp_path / "bids"), f"{tmp_path}/a.nii.gz#0"):
        with pytest.raises(StudyError, match="--volume 1: is of scans and patterns"):
            orders_of([given], None, "T1w", volume=1)
    with pytest.raises(StudyError, match="is of one scan, and there are 2"):
        orders_of([pattern], None, "T1w", mask=tmp_path / "m.nii")


def test_what_a_bids_folder_holds_beside_magnitude_images_is_left_out(
    tmp_path, caplog, monkeypatch
):
    anat = tmp_path / "sub-1" / "anat"
    taken = ["sub-1_part-mag_T2w.nii.gz", "sub-1_run-1_PDw.nii", "sub-1_run-2_PDw.nii.gz"]
    for name in (
        *taken,
        *(f"sub-1_part-{part}_T2w.nii.gz" for part in ("phase", "real", "imag")),
        "sub-1_part-real_FLAIR.nii.gz",
        "sub-1_T2W.nii.gz",
        "sub-1_PDT2.nii.gz",
        "sub-1_run-2_PDw.nii.gz.part",
        "sub-1_run-2_PDw.nii.json",
        "sub-1_T1w.nii.gz",
        "sub-1_T2starw.nii.gz",
    ):
        touch(anat / name)
    (tmp_path / "sub-2").mkdir()
    monkeypatch.setattr(logging.getLogger("lmidiff"), "propagate", True)
    assert sorted(named(str(tmp_path))) == taken
    said = dict.fromkeys(record.getMessage() for record in caplog.records)
    assert [Path(line.split()[1]).name.rstrip(":") for line in said] == [
        "sub-1_PDT2.nii.gz",
        "sub-1_T2W.nii.gz",
        "sub-1_part-real_FLAIR.nii.gz",
    ]


def test_a_folder_of_a_person_that_cannot_be_read_is_said(tmp_path, caplog, monkeypatch):
    for person in "12":
        touch(tmp_path / f"sub-{person}" / "anat" / f"sub-{person}_PDw.nii")
    plain = Path.iterdir

    def closed(folder: Path):
        if folder.name == "sub-1":
            raise PermissionError(13, "Permission denied", str(folder))
        return plain(folder)

    monkeypatch.setattr(Path, "iterdir", closed)
    monkeypatch.setattr(logging.getLogger("lmidiff"), "propagate", True)
    assert named(str(tmp_path)) == ["sub-2_PDw.nii"]
    assert "sub-1: cannot be read (Permission denied)" in caplog.text


def test_a_scanners_json_is_not_written_over(tmp_path, weights, capsys, monkeypatch):
    monkeypatch.setattr("lmidiff.data.bias.ITERATIONS", (1,))
    scan = head(tmp_path / "x.nii.gz", shape=(20, 22, 15))
    side = tmp_path / "x.json"
    given = ["translate", str(scan), "--mask", str(scan), "--weights", str(weights)]
    given += ["-o", str(tmp_path / "x.nii")]
    for text in ('{"EchoTime": 0.1}', "[]", "no JSON", '{"GeneratedBy": [{"Name": "fMRIPrep"}]}'):
        side.write_text(text)
        assert main(given) == 1
        assert "x.json: would be written over" in capsys.readouterr().err
        assert side.read_text() == text
    side.write_text('{"GeneratedBy": {"Name": "lmidiff"}}')
    assert main(given) == 0
    assert json.loads(side.read_text())["Target"] == "T1w"


def test_after_an_interruption_the_same_command_starts_again(
    tmp_path, weights, capsys, monkeypatch
):
    monkeypatch.setattr("lmidiff.data.bias.ITERATIONS", (1,))
    scan = head(tmp_path / "x.nii.gz", shape=(20, 22, 15))
    given = ["translate", str(scan), "--mask", str(scan), "--weights", str(weights), "--qc"]
    with monkeypatch.context() as interrupted:
        interrupted.setattr("lmidiff.cli.translate.describe_dataset", _interrupt)
        assert main(given) == 130
    side = tmp_path / "x_desc-lmidiff_T1w.json"
    assert json.loads(side.read_text())["Unfinished"]
    assert (tmp_path / "x_desc-lmidiff_T1w_qc.png").is_file()
    capsys.readouterr()
    assert main(given) == 0
    told = json.loads(side.read_text())
    assert "Unfinished" not in told
    assert told["Mask"] == str(scan)
    assert told["SpacingMM"] == 4.0


def _interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("option", ["--steps", "--draws"])
def test_what_a_model_cannot_do_is_refused(tmp_path, weights, capsys, option):
    scan = head(tmp_path / "a.nii.gz")
    for extra in ([], ["--weights", str(weights)]):
        assert main(["translate", str(scan), option, "20", *extra]) == 1
        assert f"{option}: has no effect here, for" in capsys.readouterr().err


def test_more_slices_than_are_translated_are_said(tmp_path, weights, capsys):
    scan = head(tmp_path / "a.nii.gz")
    given = ["translate", str(scan), "--mask", str(scan), "--weights", str(weights)]
    assert main([*given, "--spacing", "0.3"]) == 0
    assert (
        "slices are 0.46 mm apart, for no more than 200 are translated" in capsys.readouterr().err
    )


def test_a_broken_scan_leaves_the_others_and_is_told_first(tmp_path, weights, capsys, monkeypatch):
    monkeypatch.setattr("lmidiff.data.bias.ITERATIONS", (1,))
    scans = [tmp_path / f"{name}.nii.gz" for name in ("constant", "empty", "a")]
    write_nifti(scans[0], np.ones((8, 8, 8), np.float32), np.eye(4))
    scans[1].write_bytes(b"")
    head(scans[2])
    given = [*map(str, scans), str(tmp_path / "gone.nii.gz"), "--weights", str(weights)]
    assert main(["translate", *given]) == 1
    ended = capsys.readouterr()
    assert ended.out.split() == [str(tmp_path / "a_desc-lmidiff_T1w.nii.gz")]
    lines = ended.err.splitlines()
    assert [line.startswith("ERROR") for line in lines] == [False] * (len(lines) - 1) + [True]
    assert "3 of 4 scans have no result" in lines[-1]
    told = [line.split("WARNING ")[1] for line in lines if "it is left out" in line]
    assert [Path(line.split(":")[0]).name for line in told] == [
        "empty.nii.gz",
        "gone.nii.gz",
        "constant.nii.gz",
    ]


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


# -- the scan's own grid ---------------------------------------------------------------------------


def test_the_result_is_a_nifti_on_the_scans_grid(tmp_path, weights):
    scan = head(tmp_path / "a.nii.gz")
    assert main(["translate", str(scan), "--weights", str(weights)]) == 0
    source, made = (nib.load(p) for p in (scan, tmp_path / "a_desc-lmidiff_T1w.nii.gz"))
    assert made.shape == source.shape
    np.testing.assert_allclose(made.affine, source.affine, atol=1e-5)


@pytest.mark.parametrize(("voxel", "spacing"), [(0.5, 1.0), (1.0, 1.0), (1.3, 1.3), (5.0, 4.0)])
def test_slices_lie_as_close_as_the_scans_own(tmp_path, weights, monkeypatch, voxel, spacing):
    from lmidiff.cli import translate as command

    asked = []
    inner = command.to_slices
    monkeypatch.setattr(
        command, "to_slices", lambda *a, **k: asked.append(k["spacing"]) or inner(*a, **k)
    )
    scan = head(tmp_path / "a.nii.gz")
    image = nib.load(scan)
    affine = image.affine.copy()
    affine[:, 2] *= voxel / np.linalg.norm(affine[:3, 2])
    data = image.get_fdata(dtype=np.float32)
    nib.save(nib.Nifti1Image(data, affine), scan)
    mask = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image((data > 0).astype(np.uint8), affine), mask)
    command_line = ["translate", str(scan), "--weights", str(weights), "--mask", str(mask)]
    assert main(command_line) == 0
    assert asked == [pytest.approx(spacing)]  # the model's pixels have 4 mm


def test_one_pass_gives_the_same_however_many_slices_the_network_takes():
    settings = json.loads((shipped.weights_of("T1w").parent / "config.json").read_text())
    model = regression.RegressionModel(settings, torch.device("cpu"))
    images = torch.rand(5, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    counted: list[int] = []
    with torch.no_grad():
        whole = model(images)
        model.at_once, model.watch = 2, counted.append
        parts = model(images)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)
    assert counted == [2, 2, 1]


@pytest.mark.parametrize(
    ("options", "looked"),
    [((), True), (("--lesions-as-translated",), False), (("--model-pixels",), False)],
)
def test_bright_spots_of_a_flair_are_held_unless_told_otherwise(
    tmp_path, weights, monkeypatch, capsys, options, looked
):
    given = []

    def held(scan, brain, voxel_mm, _image):
        given.append((scan.max(), brain.shape, list(voxel_mm)))
        return Hyperintensities(np.where(brain, 0.5, 0).astype(np.float32), 1.25)

    monkeypatch.setattr("lmidiff.cli.translate.held", held)
    scan = head(tmp_path / "a.nii.gz")
    assert main(["translate", str(scan), "--weights", str(weights), *options]) == 0
    made = tmp_path / "a_desc-lmidiff_T1w.nii.gz"
    said = json.loads(made.with_name("a_desc-lmidiff_T1w.json").read_text())
    values = np.unique(nib.load(made).get_fdata())
    assert ("1.2 ml are brighter" in capsys.readouterr().err) == looked
    if looked:
        assert said["HyperintensitiesML"] == 1.25
        assert list(values) == [0, 0.5]
        ((brightest, shape, voxel_mm),) = given
        assert brightest > 100, "as the scan has it, not clipped where slices are"
        assert shape == nib.load(scan).shape
        assert voxel_mm == [4, 4, 4]
    else:
        assert said["HyperintensitiesML"] is None
        assert not given
        assert len(values) > 2


def test_nothing_is_known_of_lesions_in_another_target(tmp_path, weights, monkeypatch):
    monkeypatch.setattr("lmidiff.cli.translate.held", lambda *_: pytest.fail("asked"))
    config = weights.with_name("config.json")
    told = json.loads(config.read_text())
    told["images"]["target"] = "T2w"
    config.write_text(json.dumps(told))
    scan = head(tmp_path / "a.nii.gz")
    assert main(["translate", str(scan), "--weights", str(weights)]) == 0
    made = json.loads((tmp_path / "a_desc-lmidiff_T2w.json").read_text())
    assert made["HyperintensitiesML"] is None
