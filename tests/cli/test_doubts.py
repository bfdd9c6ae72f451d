"""What is no brain, lies otherwise or is no contrast is doubted in a line."""

from dataclasses import replace

import numpy as np
import pytest

from lmidiff.common.errors import StudyError
from lmidiff.data import own_space
from lmidiff.data.orientation import OwnSpace
from lmidiff.data.own_space import BRAIN_ML, OwnScan, check_plausible, contrast_of
from lmidiff.data.quality import scan_quality
from lmidiff.data.upright import is_cut, turned_axes
from lmidiff.data.volumes import Volume, read_volume
from lmidiff.data.voxels import even_share
from lmidiff.evaluation.segmentation import KMeansModel, lies_as_tissue
from small_scans import SHAPE, brain, done, refused, save, translated


def template() -> np.ndarray:
    from nilearn import datasets

    data = datasets.load_mni152_brain_mask(resolution=4).dataobj
    return np.pad(np.asarray(data) > 0, 2)


TURNS = {
    "on its face": lambda b: np.transpose(b, (0, 2, 1))[:, ::-1],
    "upside down": lambda b: b[:, :, ::-1],
    "back to front": lambda b: b[:, ::-1],
    "on its side": lambda b: np.transpose(b, (2, 1, 0)),
    "axes cycled": lambda b: np.transpose(b, (1, 2, 0)),
}


def test_an_upright_brain_is_not_doubted_and_part_of_one_neither():
    whole = template()
    assert turned_axes(whole, np.diag([4.0, 4, 4, 1])) == ""
    assert turned_axes(whole[::-1], np.diag([4.0, 4, 4, 1])) == "", "a mirror image has no sign"
    assert turned_axes(whole[:, :, 18:], np.diag([4.0, 4, 4, 1])) == ""


@pytest.mark.parametrize("how", TURNS)
def test_a_brain_that_lies_otherwise_is_doubted(how):
    assert turned_axes(TURNS[how](template()), np.diag([4.0, 4, 4, 1])) != ""


def test_a_brain_cropped_to_its_own_extent_is_not_cut():
    whole = template()
    box = tuple(slice(found.min(), found.max() + 1) for found in np.nonzero(whole))
    tight, edges = whole[box], np.diag([4.0, 4, 4, 1])
    assert turned_axes(tight, edges) == ""
    assert turned_axes(tight[:, :, ::-1], edges) == "R, A, I"
    assert not is_cut(tight)
    assert is_cut(tight[:, :, : -tight.shape[2] // 8])


def own(brain_: np.ndarray, edge: float, found: bool = True) -> OwnScan:
    affine = np.diag([edge, edge, edge, 1])
    greys = np.linspace(0.2, 1, len(brain_), dtype=np.float32)[:, None, None]
    volume = Volume(brain_ * greys, affine, "scan.nii")
    return OwnScan(volume, brain_, OwnSpace(brain_.shape, affine), found)


def test_how_a_brain_lies_is_asked_of_the_scan_as_it_was_read(tmp_path, monkeypatch):
    path, asked = save(tmp_path / "scan.nii.gz", brain()), []

    def lies(data, *_):
        asked.append(data)
        return "L, A, I"

    monkeypatch.setattr(own_space, "lies_otherwise", lies)
    read, ready = own_space.read_own(path), own_space.read_own(path, ready=True)
    raw = read_volume(path).data
    assert len(asked) == 2
    assert all((data == raw).all() for data in asked)
    assert not (read.volume.data == raw).all()
    for scan in (read, ready):
        assert "right, front and top seem to be the header's L, A, I;" in check_plausible(scan)[-1]


def test_what_is_cut_or_has_hardly_a_contrast_is_said():
    whole = template()
    (line,) = check_plausible(own(whole[:, :, 18:], 4.0))
    assert "the field of view cuts the brain" in line
    scan = own(whole, 4.0)
    even = Volume(np.where(whole, 1, 0).astype(np.float32), scan.volume.affine, "even.nii")
    (line,) = check_plausible(replace(scan, volume=even))
    assert line.startswith("even.nii: its contrast (0.00) is none that this was tried on")
    assert contrast_of(scan.volume.data, whole) == pytest.approx(0.6, abs=0.15)
    assert contrast_of(np.zeros(whole.shape), whole) == np.inf


def test_what_is_no_brains_size_is_refused_unless_a_mask_is_given():
    whole = template()
    assert check_plausible(own(whole, 4.0)) == []
    with pytest.raises(StudyError, match="no magnitude image"):
        check_plausible(own(whole, 2.5))
    assert "look at the mask" in check_plausible(own(whole, 2.5, found=False))[0]
    slab = whole[:, :, 20:23]
    ml = slab.sum() * 0.064
    assert ml < BRAIN_ML[0]
    assert "look at the mask" in check_plausible(own(slab, 4.0))[0], "a slab is less than a brain"


def test_a_map_of_labels_as_the_scan_is_said(tmp_path, weights, capsys):
    whole = template()
    depth = np.minimum(brain() // 150, 3).astype(np.uint8)
    scan = save(tmp_path / "labels.nii.gz", np.where(brain() > 0, 1 + (depth > 2), 0).astype("u1"))
    _, said = translated(capsys, scan, weights)
    assert "equal all their neighbours, as in a map of labels; give the scan itself" in said
    noise = np.random.default_rng(0).random(whole.shape)
    assert even_share(np.round(50 * noise), whole) < 0.01
    ones = np.ones(whole.shape, np.float32)
    volume = Volume(whole.astype(np.float32), np.diag([4.0, 4, 4, 1]), "map.nii")
    assert any(
        "map of labels" in flag for flag in scan_quality("T1w", *[volume] * 2, whole, ones).flags
    )


def test_tissues_lie_where_tissues_lie():
    depth = np.minimum.reduce([np.minimum(place, 19 - place) for place in np.indices((20,) * 3)])
    labels = np.digitize(depth, [3, 6]) + 1
    assert lies_as_tissue(labels, np.ones(3))
    assert not lies_as_tissue(4 - labels, np.ones(3))


def test_a_segmenter_says_what_it_does_not_know(scan, mask, kmeans, capsys):
    given = ["--model", kmeans, "--source", scan, "--mask", mask, "--out", scan.with_name("o.nii")]
    said = done(capsys, "segment", *given)
    assert "may not be the modality" in said, "the dark core is deepest"
    plain = given[:4] + given[6:]
    assert "is no translation" in refused(capsys, "segment", *plain, "--translated")
    flat = save(scan.with_name("flat.nii.gz"), (brain() > 0).astype(np.float32))
    said = refused(capsys, "segment", *given[:2], flat, *given[6:], "--translated")
    assert "as in a mask or a map of labels; name the translation" in said
    said = done(capsys, "segment", "--model", kmeans, "--out", scan.with_name("o.nii"), flat)
    assert "as in a map of labels" in said
    five = scan.with_name("five.json")
    KMeansModel((0.1, 0.2, 0.5, 0.7, 0.9), 100, 1).save(five)
    said = refused(capsys, "segment", "--model", five, *given[2:])
    assert "has 5 centres, and this command labels csf, gm, wm" in said


def test_a_brain_of_hardly_any_white_matter_is_doubted(tmp_path, kmeans, capsys):
    """As of a T2w, whose fluid alone is as bright as a T1w's white matter."""
    x, y, z = (np.abs(np.indices(SHAPE)[k] - SHAPE[k] / 2) for k in range(3))
    data = brain() * 0.3
    data[(x < 3) & (y < 4) & (z < 3)] = 1000
    scan = save(tmp_path / "a.nii.gz", data.astype(np.float32))
    said = done(capsys, "segment", "--model", kmeans, "--out", tmp_path / "o.nii", scan)
    assert "of the brain is labelled white matter, so this may not be the modality" in said
