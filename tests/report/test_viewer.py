"""The viewer: what it shows of a volume, and in a real browser that it draws and scrolls."""

import base64
import gzip
import json
import re
import time

import nibabel as nib
import numpy as np
import pytest

from browser import chromium
from lmidiff.__main__ import main
from lmidiff.common.errors import StudyError
from lmidiff.report.viewer import (
    MOST,
    keep_volumes,
    kept_volumes,
    volume_of,
    write_viewer,
)

AFFINE = np.array([[-2.0, 0, 0, 30], [0, 2.0, 0.1, -40], [0, -0.1, 3.0, 12], [0, 0, 0, 1]])


def ball(radius: float, shape=(30, 36, 24)) -> np.ndarray:
    """A ball that is brighter towards its top, in air."""
    grid = np.indices(shape)
    centre = np.array(shape)[:, None, None, None] / 2
    inside = np.linalg.norm(grid - centre, axis=0) < radius
    return (inside * (200 + 20 * grid[2])).astype(np.float32)


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "sub-01_PDw.nii.gz"
    nib.save(nib.Nifti1Image(ball(10), AFFINE), path)
    return path


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "sub-01_dseg.nii.gz"
    nib.save(nib.Nifti1Image((ball(10) > 0).astype(np.uint8) * 3, AFFINE), path)
    return path


def embedded(page) -> list[dict]:
    found = re.search(r'<script type="application/json" id="volumes">(.*?)</script>', page, re.S)
    return json.loads(found.group(1))


def decoded(entry: dict) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(entry["nifti"])))


def test_the_page_holds_the_volume_in_its_place_and_units(scan, tmp_path):
    page = tmp_path / "view.html"
    write_viewer([volume_of(scan, "PDw")], page, "One <b>scan", "A note")
    text = page.read_text()
    assert "One &lt;b&gt;scan" in text
    entry = embedded(text)[0]
    shown, true = decoded(entry), nib.load(scan)
    np.testing.assert_allclose(shown.affine, true.affine, atol=1e-4)
    step = (entry["high"] - entry["low"]) / 255
    clipped = np.clip(true.get_fdata(), entry["low"], entry["high"])
    assert np.abs(shown.get_fdata() - clipped).max() <= step / 2 + 1e-3
    assert entry["high"] == pytest.approx(np.percentile(ball(10)[ball(10) > 0], 99.9))


def test_labels_stay_what_they_are(labels, tmp_path):
    page = tmp_path / "view.html"
    write_viewer([volume_of(labels, "labels", "labels")], page, "Labels", "")
    entry = embedded(page.read_text())[0]
    assert np.array_equal(decoded(entry).get_fdata(), nib.load(labels).get_fdata())
    assert entry["labels"] == ["", "CSF", "GM", "WM"]


def test_the_same_volumes_give_the_same_bytes(scan, labels, tmp_path):
    volumes = [volume_of(scan, "PDw"), volume_of(labels, "labels", "labels")]
    for name in ("one", "two"):
        write_viewer(volumes, tmp_path / f"{name}.html", "Page", "Note")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_kept_volumes_give_the_same_page(scan, labels, tmp_path):
    volumes = [volume_of(scan, "PDw", top=600.0), volume_of(labels, "labels", "labels")]
    keep_volumes(tmp_path / "kept.safetensors", volumes)
    again = kept_volumes(tmp_path / "kept.safetensors")
    for name, shown in (("one", volumes), ("two", again)):
        write_viewer(shown, tmp_path / f"{name}.html", "Page", "Note")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_a_volume_of_a_file_is_shown(tmp_path, capsys):
    several, single = tmp_path / "several.nii.gz", ball(10)
    nib.save(nib.Nifti1Image(np.stack([ball(5), single], -1), AFFINE), several)
    nib.save(nib.Nifti1Image(single, AFFINE), tmp_path / "single.nii.gz")
    shown, alone = volume_of(f"{several}#1", "x"), volume_of(tmp_path / "single.nii.gz", "x")
    np.testing.assert_array_equal(shown.levels, alone.levels)
    before = several.read_bytes()
    assert main(["view", f"{several}#1", "-o", str(tmp_path / "page.html")]) == 0
    assert main(["view", f"{several}#2", "-o", str(tmp_path / "none.html")]) == 1
    assert "has no volume 2" in capsys.readouterr().err
    link = tmp_path / "link.html"
    link.symlink_to(several)
    assert main(["view", f"{several}#1", "-o", str(link)]) == 1
    assert "only read" in capsys.readouterr().err
    assert several.read_bytes() == before


def test_what_is_not_a_number_is_black(tmp_path):
    data = ball(10)
    data[data == 0] = np.nan
    nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / "x.nii.gz")
    assert volume_of(tmp_path / "x.nii.gz", "x").levels[0, 0, 0] == 0


@pytest.mark.parametrize(
    ("shape", "told"), [((4, 4), "is not 3-D"), ((4, 4, 4, 2), "holds 2 volumes")]
)
def test_what_is_no_volume_is_named(tmp_path, shape, told):
    path = tmp_path / "odd.nii.gz"
    nib.save(nib.Nifti1Image(np.ones(shape, np.float32), np.eye(4)), path)
    with pytest.raises(StudyError, match=rf"odd.nii.gz.*{told}"):
        volume_of(path, "odd")


def test_the_command_says_what_is_wrong_in_one_line(scan, tmp_path, capsys):
    before = scan.read_bytes()
    (tmp_path / "text.nii.gz").write_text("no volume")
    for arguments, told in (
        ([str(tmp_path / "none.nii.gz")], "no such file"),
        ([str(tmp_path / "text.nii.gz")], "cannot be read as NIfTI"),
        ([str(scan)] * (MOST + 1), f"up to {MOST} volumes"),
        ([str(scan), "-o", str(scan)], "name it"),
    ):
        assert main(["view", *arguments]) == 1
        said = capsys.readouterr().err
        assert told in said
        assert said.count("\n") == 1
    assert scan.read_bytes() == before


def test_it_draws_scrolls_and_asks_nobody(scan, labels, tmp_path):
    page = tmp_path / "a page.html"
    assert main(["view", str(scan), str(scan), "--labels", str(labels), "-o", str(page)]) == 0
    with chromium(webgl=True) as browser:
        browser.open(page)
        end = time.monotonic() + 60
        while browser.script("return document.body.dataset.drawn") != "3":
            assert time.monotonic() < end, browser.script("return document.body.innerText")
            time.sleep(0.2)
        first = browser.pictures("canvas")
        assert all(picture.std() > 10 for picture in first), "a panel is empty"
        browser.scroll("canvas", 0, lines=4)
        second = browser.pictures("canvas")
        moved = [np.abs(a - b).mean() for a, b in zip(first, second, strict=True)]
        assert min(moved) > 0.1, "the wheel moves every panel"
        assert "mm" in browser.script("return document.getElementById('place').textContent")
        browser.script(
            "const s = document.getElementById('low'); s.value = 60; s.oninput({target: s});"
        )
        third = browser.pictures("canvas")
        assert third[0].mean() < second[0].mean() - 1, "a higher window darkens"
        assert np.abs(third[2] - second[2]).mean() < 0.1, "and leaves labels alone"
        console, asked = browser.overheard()
    assert not asked
    assert not console
